#include "executor/landlock.h"

#include "base/unique_fd.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>

namespace luminous_healing::executor {
namespace {

// linux/landlock.h, spelled out: the header on Debian 12 ends at ABI 2.
constexpr std::uint64_t kExecute = 1U << 0U;
constexpr std::uint64_t kWriteFile = 1U << 1U;
constexpr std::uint64_t kReadFile = 1U << 2U;
constexpr std::uint64_t kReadDir = 1U << 3U;
constexpr std::uint64_t kAllOfAbi1 = (1U << 13U) - 1;
constexpr std::uint64_t kRefer = 1U << 13U;     // ABI 2
constexpr std::uint64_t kTruncate = 1U << 14U;  // ABI 3
constexpr std::uint64_t kIoctlDev = 1U << 15U;  // ABI 5
constexpr std::uint64_t kNetAll = 3;            // ABI 4: bind and connect, TCP
constexpr std::uint64_t kScopeSockets = 1;      // ABI 6: abstract sockets of others; 2 is signals to others
constexpr std::uint64_t kScopeAll = 3;
constexpr std::uint64_t kReading = kExecute | kReadFile | kReadDir;

constexpr unsigned kCreateRulesetVersion = 1;
constexpr int kRulePathBeneath = 1;

struct RulesetAttributes {
    std::uint64_t handled_access_fs;
    std::uint64_t handled_access_net;
    std::uint64_t scoped;
};
struct __attribute__((packed)) PathBeneath {
    std::uint64_t allowed_access;
    std::int32_t parent_fd;
};

std::uint64_t all_rights(int abi) {
    return kAllOfAbi1 | (abi >= 2 ? kRefer : 0) | (abi >= 3 ? kTruncate : 0) | (abi >= 5 ? kIoctlDev : 0);
}

Expected<void> allow(int ruleset, const std::string& path, std::uint64_t rights) {
    const UniqueFd fd(::open(path.c_str(), O_PATH | O_CLOEXEC));
    if (!fd.valid()) {
        if (errno == ENOENT || errno == EACCES) return {};
        return fail_errno("open " + path);
    }
    struct stat status {};
    if (::fstat(fd.get(), &status) != 0) return fail_errno("fstat " + path);
    // Rights that only folders have are refused with EINVAL for a file.
    constexpr std::uint64_t kOfFiles = kExecute | kWriteFile | kReadFile | kTruncate | kIoctlDev;
    const PathBeneath rule{S_ISDIR(status.st_mode) ? rights : rights & kOfFiles, fd.get()};
    if (::syscall(SYS_landlock_add_rule, ruleset, kRulePathBeneath, &rule, 0) != 0)
        return fail_errno("landlock_add_rule " + path);
    return {};
}

}  // namespace

int landlock_abi() {
    const long abi = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, kCreateRulesetVersion);
    return abi < 0 ? 0 : static_cast<int>(abi);
}

FileSystemRuleset::Seen FileSystemRuleset::look(const std::string& path, bool folder) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) return {path};
    if (!folder) return {path, status.st_ino};
    return {path, status.st_ino, status.st_mtim.tv_sec, status.st_mtim.tv_nsec};
}

bool FileSystemRuleset::is_current() const {
    const auto same = [](const Seen& then, const Seen& now) {
        return then.inode == now.inode && then.changed_s == now.changed_s && then.changed_ns == now.changed_ns;
    };
    return std::all_of(folders_.begin(), folders_.end(), [&](const Seen& s) { return same(s, look(s.path, true)); }) &&
           std::all_of(written_.begin(), written_.end(), [&](const Seen& s) { return same(s, look(s.path, false)); });
}

/// Everything in the folder but what is hidden; a folder that leads to something hidden is entered.
Expected<void> FileSystemRuleset::allow_beside(const std::string& folder, const std::vector<std::string>& hidden) {
    folders_.push_back(look(folder.empty() ? "/" : folder, true));  // before it is read: a change meanwhile is seen
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(folder.empty() ? "/" : folder, error)) {
        const std::string path = folder + "/" + entry.path().filename().string();
        if (std::find(hidden.begin(), hidden.end(), path) != hidden.end()) continue;
        // What a link leads to is allowed, or hidden, at its own place: /var/run is /run, which has the credentials.
        std::error_code unknown;
        if (entry.is_symlink(unknown)) continue;
        const bool leads_there = std::any_of(hidden.begin(), hidden.end(),
                                             [&](const std::string& secret) { return secret.starts_with(path + "/"); });
        auto ok = leads_there ? allow_beside(path, hidden) : allow(fd_.get(), path, kReading);
        if (!ok) return ok;
    }
    if (error) return fail(folder + ": " + error.message(), error.value());
    return {};
}

Expected<FileSystemRuleset> FileSystemRuleset::build(const FileSystemRules& rules) {
    FileSystemRuleset ruleset;
    const int abi = landlock_abi();
    if (abi == 0) return ruleset;
    const std::uint64_t rights = all_rights(abi);
    RulesetAttributes attributes{};
    attributes.handled_access_fs = rights;
    attributes.handled_access_net = abi >= 4 && !rules.network ? kNetAll : 0;
    attributes.scoped = abi < 6 ? 0 : rules.signals ? kScopeSockets : kScopeAll;
    const std::size_t size = abi >= 6 ? sizeof attributes : abi >= 4 ? 16 : 8;
    ruleset.fd_.reset(static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attributes, size, 0)));
    if (!ruleset.fd_.valid()) return fail_errno("landlock_create_ruleset");
    if (rules.read_everything) {
        auto ok =
            rules.hidden.empty() ? allow(ruleset.fd_.get(), "/", kReading) : ruleset.allow_beside("", rules.hidden);
        // A command may open its standard input and error again by name; writing to nowhere harms nobody.
        if (ok) ok = allow(ruleset.fd_.get(), "/dev/null", kReading | kWriteFile | (abi >= 3 ? kTruncate : 0));
        if (!ok) return tl::unexpected(ok.error());
    }
    for (const auto& path : rules.writes) {
        ruleset.written_.push_back(look(path, false));
        if (auto ok = allow(ruleset.fd_.get(), path, rights); !ok) return tl::unexpected(ok.error());
    }
    return ruleset;
}

Expected<void> apply_ruleset(int fd) {
    if (fd < 0) return {};
    if (::syscall(SYS_landlock_restrict_self, fd, 0) != 0) return fail_errno("landlock_restrict_self");
    return {};
}

}  // namespace luminous_healing::executor
