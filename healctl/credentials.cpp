#include "healctl/credentials.h"

#include "base/file.h"
#include "base/text.h"
#include "protocol/mac.h"

#include <dirent.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <vector>

namespace luminous_healing::healctl {
namespace {

constexpr std::size_t kMaxKeyFile = 4096;  // bytes

std::optional<std::string> variable(const char* name) {
    const char* const value = std::getenv(name);
    return value != nullptr && *value != '\0' ? std::optional<std::string>(value) : std::nullopt;
}

std::string home_directory() {
    if (auto home = variable("HOME")) return *home;
    const passwd* const entry = ::getpwuid(::geteuid());
    return entry != nullptr ? entry->pw_dir : "/";
}

std::string user_name() {
    const passwd* const entry = ::getpwuid(::geteuid());
    return entry != nullptr ? entry->pw_name : std::to_string(::geteuid());
}

std::optional<std::string> named_caller(const CredentialOptions& options) {
    return options.caller ? options.caller : variable("LUMINOUS_HEALING_CALLER");
}

/// A key file is named after its caller, but for those that are just called "key".
std::string caller_of(const std::string& key_file) {
    const std::string name = key_file.substr(key_file.find_last_of('/') + 1);
    return name == "key" || name.empty() ? user_name() : name;
}

bool is_file(const std::string& path) {
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode);
}

std::vector<std::string> files_in(const std::string& directory) {
    std::vector<std::string> names;
    const std::unique_ptr<DIR, int (*)(DIR*)> listing(::opendir(directory.c_str()), ::closedir);
    if (listing == nullptr) return names;
    while (const dirent* const entry = ::readdir(listing.get())) {
        const std::string_view name = entry->d_name;
        std::string path = directory;
        path.append("/").append(name);
        if (name[0] != '.' && is_file(path)) names.emplace_back(name);
    }
    return names;
}

Expected<std::string> choose_credential(const std::string& directory, const CredentialOptions& options) {
    const std::string wanted = named_caller(options).value_or(user_name());
    if (wanted.find('/') == std::string::npos && is_file(directory + "/" + wanted)) return directory + "/" + wanted;
    if (named_caller(options)) return std::string();
    const auto names = files_in(directory);
    if (names.size() > 1)
        return fail(directory + " holds " + std::to_string(names.size()) +
                    " credentials: say which is the key with --caller NAME");
    return names.empty() ? std::string() : directory + "/" + names[0];
}

/// The path of the key, or empty when there is none.
Expected<std::string> find_key_file(const CredentialOptions& options) {
    if (options.key_file) return *options.key_file;
    if (auto named = variable("LUMINOUS_HEALING_KEY_FILE")) return *named;
    if (const auto directory = variable("CREDENTIALS_DIRECTORY")) {
        auto chosen = choose_credential(*directory, options);
        if (!chosen || !chosen->empty()) return chosen;
    }
    const std::string own = home_directory() + "/.config/luminous-healing/key";
    return ::access(own.c_str(), F_OK) == 0 ? own : std::string();
}

/// Keys that the installation keeps where the right people can read them: root those of the daemon, and on NixOS the
/// group those in a folder made for it (nix/module.nix), where "local" is everybody's. Others see nothing there.
std::string installed_key_file(const CredentialOptions& options) {
    const std::string wanted = named_caller(options).value_or(user_name());
    if (wanted.find('/') != std::string::npos) return {};
    std::vector<std::string> places{"/etc/luminous-healing/keys/" + wanted,
                                    "/var/lib/luminous-healing/client/" + wanted};
    if (!named_caller(options)) places.emplace_back("/var/lib/luminous-healing/client/local");
    for (const auto& path : places) {
        if (::access(path.c_str(), R_OK) == 0) return path;
    }
    return {};
}

Expected<Credentials> read_key_file(const std::string& path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode))
        return fail(path + " is not a file: name the file that holds the key");
    auto text = read_file(path, kMaxKeyFile);
    if (!text) {
        const bool is_missing = text.error().system_error == ENOENT;
        return fail("the key cannot be read: " + text.error().message +
                    (is_missing ? "; name it with --key-file, or make one with healctl keygen"
                                : "; it must be readable by you (user " + user_name() + ")"));
    }
    Credentials found;
    found.key = std::string(trim(*text));
    protocol::wipe(*text);
    if (found.key.empty()) return fail(path + " is empty: make a key with healctl keygen");
    found.source = path;
    if ((status.st_mode & 0007U) != 0) found.warning = path + " is open to every user: chmod 0400 " + path;
    return found;
}

}  // namespace

Credentials::~Credentials() { protocol::wipe(key); }

Expected<Credentials> find_credentials(const CredentialOptions& options) {
    const auto path = find_key_file(options);
    if (!path) return tl::unexpected(path.error());
    if (!path->empty()) {
        auto found = read_key_file(*path);
        if (found) found->caller = named_caller(options).value_or(caller_of(*path));
        return found;
    }
    auto secret = variable("LUMINOUS_HEALING_SECRET");
    if (const auto installed = installed_key_file(options); !secret && !installed.empty()) {
        auto found = read_key_file(installed);
        if (found) found->caller = caller_of(installed);
        return found;
    }
    if (!secret)
        return fail("no key: give --key-file FILE, or put it in " + home_directory() +
                    "/.config/luminous-healing/key (healctl keygen makes one)");
    Credentials found;
    found.key = std::string(trim(*secret));
    protocol::wipe(*secret);
    found.source = "LUMINOUS_HEALING_SECRET";
    found.caller = find_caller(options);
    return found;
}

std::string find_caller(const CredentialOptions& options) {
    if (auto named = named_caller(options)) return *named;
    const auto path = find_key_file(options);
    if (path && !path->empty()) return caller_of(*path);
    const auto installed = installed_key_file(options);
    return installed.empty() || variable("LUMINOUS_HEALING_SECRET") ? user_name() : caller_of(installed);
}

}  // namespace luminous_healing::healctl
