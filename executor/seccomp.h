#pragma once
// System call filters (seccomp(2)), compiled once by libseccomp and installed by each process in one call.

#include "actions/action.h"
#include "base/expected.h"

#include <linux/filter.h>

#include <vector>

namespace luminous_healing::executor {

using FilterProgram = std::vector<sock_filter>;

/// The gate: a list of what it uses; anything else kills it.
[[nodiscard]] Expected<FilterProgram> gate_filter();

/// A built-in worker of that class: a list of what it may; anything else fails with EPERM. For `command`: everything
/// but a list (other users' processes, kernel interfaces, new namespaces, leaving the process group, and without
/// `network` every socket family but AF_UNIX), which fails with EPERM.
[[nodiscard]] Expected<FilterProgram> worker_filter(actions::SyscallClass syscalls, bool network);

/// For this process and all it starts, for good. Needs no_new_privs.
[[nodiscard]] Expected<void> install(const FilterProgram& program);

}  // namespace luminous_healing::executor
