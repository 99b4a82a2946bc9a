#pragma once
// Landlock through its raw system calls (landlock(7); Debian 12's headers and libc lack the newer parts).

#include "base/expected.h"
#include "base/unique_fd.h"

#include <cstdint>
#include <string>
#include <vector>

namespace luminous_healing::executor {

/// The kernel's Landlock ABI version, 0 when there is none (not built in, or not in the lsm= list).
[[nodiscard]] int landlock_abi();

struct FileSystemRules {
    bool read_everything = false;     ///< read and execute below "/"; false: no path at all
    std::vector<std::string> hidden;  ///< folders that are not read even so: keys, credentials, the audit log
    std::vector<std::string> writes;  ///< files, and folders with what is below; one that does not exist is left out
    bool network = false;             ///< false: from ABI 4 on no TCP bind or connect
    bool signals = false;             ///< false: from ABI 6 on no signal to a process outside
};

/// Rules made ready, to be applied by any number of processes. Landlock cannot take a folder out of what it allows, so
/// hiding one means allowing everything beside it, all the way up; that takes a rule for each neighbour, so the ruleset
/// is kept and made anew only when one of those folders has changed.
class FileSystemRuleset {
public:
    /// Uses everything that this kernel's ABI has. Without Landlock it is empty and applying it does nothing; the
    /// caller knows from landlock_abi().
    [[nodiscard]] static Expected<FileSystemRuleset> build(const FileSystemRules& rules);

    /// Do the folders and written paths still have the entries that they had?
    [[nodiscard]] bool is_current() const;

    /// The ruleset's descriptor for apply_ruleset(); -1 without Landlock.
    [[nodiscard]] int fd() const noexcept { return fd_.get(); }

private:
    struct Seen {
        std::string path;
        std::uint64_t inode = 0;     // 0: did not exist
        std::int64_t changed_s = 0;  // of a folder, st_mtim
        std::int64_t changed_ns = 0;
    };
    [[nodiscard]] static Seen look(const std::string& path, bool folder);
    [[nodiscard]] Expected<void> allow_beside(const std::string& folder, const std::vector<std::string>& hidden);

    UniqueFd fd_;
    std::vector<Seen> folders_;
    std::vector<Seen> written_;
};

/// Confines this process for good; nothing happens for -1. Needs no_new_privs.
[[nodiscard]] Expected<void> apply_ruleset(int fd);

}  // namespace luminous_healing::executor
