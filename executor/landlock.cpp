#include "executor/landlock.h"

#include "base/unique_fd.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

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
constexpr std::uint64_t kScopeAll = 3;          // ABI 6: abstract sockets and signals to outside

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

Expected<void> restrict_file_system(const FileSystemRules& rules) {
    const int abi = landlock_abi();
    if (abi == 0) return {};
    const std::uint64_t rights = all_rights(abi);
    RulesetAttributes attributes{};
    attributes.handled_access_fs = rights;
    attributes.handled_access_net = abi >= 4 && !rules.network ? kNetAll : 0;
    // A worker that may read the file system also talks to abstract sockets some buses use, and seccomp rules its
    // signals; the gate may do neither.
    attributes.scoped = abi < 6 ? 0 : rules.read_everything ? 0 : kScopeAll;
    const std::size_t size = abi >= 6 ? sizeof attributes : abi >= 4 ? 16 : 8;
    const UniqueFd ruleset(static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attributes, size, 0)));
    if (!ruleset.valid()) return fail_errno("landlock_create_ruleset");
    if (rules.read_everything) {
        if (auto ok = allow(ruleset.get(), "/", kExecute | kReadFile | kReadDir); !ok) return ok;
        // A command's standard input and error may be reopened by name; writing to nowhere harms nobody.
        if (auto ok = allow(ruleset.get(), "/dev/null", kReadFile | kWriteFile | (abi >= 3 ? kTruncate : 0)); !ok)
            return ok;
    }
    for (const auto& path : rules.writes) {
        if (auto ok = allow(ruleset.get(), path, rights); !ok) return ok;
    }
    if (::syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0) return fail_errno("landlock_restrict_self");
    return {};
}

}  // namespace luminous_healing::executor
