#pragma once
// Landlock through its raw system calls (landlock(7); Debian 12's headers and libc lack the newer parts).

#include "base/expected.h"

#include <string>
#include <vector>

namespace luminous_healing::executor {

/// The kernel's Landlock ABI version, 0 when there is none (not built in, or not in the lsm= list).
[[nodiscard]] int landlock_abi();

struct FileSystemRules {
    bool read_everything = false;     ///< read and execute below "/"; false: no path at all
    std::vector<std::string> writes;  ///< files, and folders with what is below; one that does not exist is left out
    bool network = false;             ///< false: from ABI 4 on no TCP bind or connect
};

/// Confines this process for good. Uses everything that this kernel's ABI has; without Landlock it does nothing and
/// succeeds, the caller knows from landlock_abi(). Needs no_new_privs.
[[nodiscard]] Expected<void> restrict_file_system(const FileSystemRules& rules);

}  // namespace luminous_healing::executor
