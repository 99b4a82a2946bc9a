#include "executor/config_sections.h"

#include "base/text.h"
#include "executor/config_trust.h"
#include "protocol/mac.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>

namespace luminous_healing::executor {
namespace {

using policy::CallerPolicy;
using policy::Config;

constexpr std::size_t kMaxKeyFile = 4096;                 // bytes
constexpr std::size_t kFewestCharacters = 5;              // different ones; 32 random bytes as hex have 16
constexpr const char* kServiceUser = "luminous-healing";  // who runs the packaged unit

// Keys that others have printed: the prototype's, and what people type to get on.
constexpr std::array<std::string_view, 8> kKnownDefaults{"default-dev-key", "changeme", "change-me", "secret",
                                                         "password",        "test-key", "dev-key",   "example-key"};

struct KeyPlace {
    std::string path;
    bool is_credential = false;
};

/// An entry of `keys` is a name, or a path where daemon.key_directory is set (config_callers.cpp).
KeyPlace place_of(const std::string& key, const ConfigSources& sources) {
    const std::string name = key.substr(key.rfind('/') + 1);
    if (sources.credentials_directory) {
        // LoadCredential=keys:FOLDER names each file of the folder keys_NAME, systemd.exec(5).
        for (const char* const prefix : {"/", "/keys_"}) {
            const std::string path = *sources.credentials_directory + prefix + name;
            if (::access(path.c_str(), F_OK) == 0) return {path, true};
        }
    }
    return {key.starts_with('/') ? key : sources.key_directory + "/" + name, false};
}

bool may_own_keys(uid_t uid, const Config& config) {
    if (is_trusted_owner(uid)) return true;
    // Whoever checks the file as root sees keys of the user that the daemon will run as.
    const auto service = find_user(config.daemon.user.value_or(kServiceUser));
    return service && *service && **service == uid;
}

/// systemd gives credentials as mode 0400 or, with an access list for the unit's user, 0440 of group root: acl(5)
/// shows the list's mask as the group's bits.
Expected<void> check_key_file(int fd, const KeyPlace& place, const Config& config, const ConfigSources& sources) {
    struct stat found {};
    const auto& path = place.path;
    if (::fstat(fd, &found) != 0) return fail_errno("fstat " + path);
    if (!S_ISREG(found.st_mode)) return fail("key file " + path + " is not a regular file");
    if (!sources.check_owner) return {};
    if (!may_own_keys(found.st_uid, config))
        return fail("key file " + path + " belongs to uid " + std::to_string(found.st_uid) + ". Run: chown root " +
                    path);
    const mode_t harmless = found.st_gid == 0 ? S_IRGRP : 0;
    if ((found.st_mode & (S_IRWXG | S_IRWXO) & ~(S_IXGRP | harmless)) != 0)
        return fail("key file " + path +
                    " can be read or changed by others. Make a new key if others had access. "
                    "Run: chmod 0400 " +
                    path);
    return {};
}

/// systemd looks after the credentials directory; the key directory is ours to check.
Expected<void> check_folder_of(const KeyPlace& place, const ConfigSources& sources) {
    if (place.is_credential || !sources.check_owner) return {};
    const auto way = check_way_to(place.path.substr(0, place.path.rfind('/')));
    if (way || way.error().system_error == ENOENT) return {};  // the missing file is what will be told
    return fail("the key directory cannot be used: " + way.error().message);
}

Expected<std::string> read_key_bytes(const KeyPlace& place, const Config& config, const ConfigSources& sources) {
    const auto& path = place.path;
    if (auto way = check_folder_of(place, sources); !way) return tl::unexpected(way.error());
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW));
    if (!fd.valid() && errno == ENOENT) return fail("there is no key file " + path + ". Run: healctl keygen " + path);
    if (!fd.valid() && errno == ELOOP)
        return fail("key file " + path + " is a symlink, not the key itself. Run: rm " + path + " && healctl keygen " +
                    path);
    if (!fd.valid()) return fail_errno("key file " + path);
    if (auto good = check_key_file(fd.get(), place, config, sources); !good) return tl::unexpected(good.error());
    std::string bytes(kMaxKeyFile + 1, '\0');  // never grows: growing would leave a copy behind
    std::size_t filled = 0;
    int error = 0;
    while (filled < bytes.size()) {
        const ssize_t n = ::read(fd.get(), bytes.data() + filled, bytes.size() - filled);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) error = errno;
        if (n <= 0) break;
        filled += static_cast<std::size_t>(n);
    }
    Expected<std::string> key(trim(std::string_view(bytes).substr(0, filled)));
    protocol::wipe(bytes);
    if (error == 0 && filled <= kMaxKeyFile) return key;
    protocol::wipe(*key);
    return error != 0 ? fail_errno("key file " + path, error) : fail("key file " + path + " is longer than a key");
}

/// Why this text is no key, or nothing. Never repeats any of it.
std::optional<std::string> mistake_of_key(std::string_view key) {
    const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; };
    if (std::find(kKnownDefaults.begin(), kKnownDefaults.end(), key) != kKnownDefaults.end())
        return "holds a default key that everybody knows";
    if (key.size() < protocol::kMinKeyLength)
        return "holds a key of " + std::to_string(key.size()) + " bytes, fewer than " +
               std::to_string(protocol::kMinKeyLength);
    if (std::any_of(key.begin(), key.end(), is_control) || !is_valid_utf8(key))
        return "holds something other than one line of text";
    std::array<bool, 256> seen{};
    for (const char c : key) seen[static_cast<unsigned char>(c)] = true;
    if (static_cast<std::size_t>(std::count(seen.begin(), seen.end(), true)) < kFewestCharacters)
        return "holds a key that anyone can guess";
    return {};
}

std::string new_key_at(const std::string& path) { return "rm -f " + path + " && healctl keygen " + path; }

class KeyReader {
public:
    KeyReader(const Config& config, const ConfigSources& sources) : config_(config), sources_(sources) {}
    ~KeyReader() {
        for (auto& [caller, texts] : keys_)
            for (auto& text : texts) protocol::wipe(text);
    }
    KeyReader(const KeyReader&) = delete;
    KeyReader& operator=(const KeyReader&) = delete;

    tl::expected<CallerKeys, std::vector<ConfigProblem>> run();

private:
    void read_one(const CallerPolicy& caller, const std::string& key);
    void note(const CallerPolicy& caller, const std::string& what) {
        problems_.push_back({caller.where, "callers." + caller.name.str() + ": " + what});
    }
    [[nodiscard]] const CallerName* owner_of(const std::string& text) const;

    const Config& config_;
    const ConfigSources& sources_;
    CallerKeys keys_ = {};
    std::vector<ConfigProblem> problems_ = {};
};

const CallerName* KeyReader::owner_of(const std::string& text) const {
    for (const auto& [caller, texts] : keys_) {
        if (std::find(texts.begin(), texts.end(), text) != texts.end()) return &caller;
    }
    return nullptr;
}

void KeyReader::read_one(const CallerPolicy& caller, const std::string& key) {
    const auto place = place_of(key, sources_);
    auto text = read_key_bytes(place, config_, sources_);
    if (!text) return note(caller, text.error().message);
    const auto mistake = mistake_of_key(*text);
    const auto* const owner = owner_of(*text);
    if (mistake) {
        note(caller, "key file " + place.path + " " + *mistake + ". Run: " + new_key_at(place.path));
    } else if (owner != nullptr) {
        note(caller, "key file " + place.path + " holds the same key as one of caller \"" + owner->str() +
                         "\". Each needs its own. Run: " + new_key_at(place.path));
    } else {
        keys_[caller.name].push_back(std::move(*text));
        return;
    }
    protocol::wipe(*text);
}

tl::expected<CallerKeys, std::vector<ConfigProblem>> KeyReader::run() {
    for (const auto& [name, caller] : config_.callers) {
        keys_[name].reserve(caller.keys.size());
        for (const auto& key : caller.keys) read_one(caller, key);
    }
    if (!problems_.empty()) return tl::unexpected(std::move(problems_));
    return std::move(keys_);
}

}  // namespace

tl::expected<CallerKeys, std::vector<ConfigProblem>> read_keys(const Config& config, const ConfigSources& sources) {
    return KeyReader(config, sources).run();
}

}  // namespace luminous_healing::executor
