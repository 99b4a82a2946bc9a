#pragma once
// How our processes give up what they do not need, each in one call, in the order the kernel wants it.

#include "actions/action.h"
#include "base/expected.h"
#include "executor/landlock.h"
#include "executor/privileges.h"
#include "executor/seccomp.h"

namespace luminous_healing::executor {

/// The gate, from inside: no capability, no new privileges, no core dump, no path, its list of system calls.
[[nodiscard]] Expected<void> confine_gate();

/// The executor, once its socket is bound: only these capabilities, no core dump, not traceable by others of its user.
/// True in `bounded` when its bounding set could be cut too.
[[nodiscard]] Expected<void> confine_executor(CapabilitySet keep, bool* bounded);

/// What a worker becomes.
struct WorkerConfinement {
    Credentials credentials;
    CapabilitySet capabilities = 0;         ///< permitted, effective; for a command inheritable and ambient too
    bool executes = false;                  ///< a command: its capabilities must survive execve(2)
    bool confined = true;                   ///< to be fenced in; false too for a launcher that already is
    int ruleset = -1;                       ///< of FileSystemRuleset, not owned; -1 where there is no Landlock
    const FilterProgram* filter = nullptr;  ///< not owned; there when `confined`
};

/// The part that does not depend on who it becomes: no new privileges, this ruleset (-1: none), this filter. For good.
[[nodiscard]] Expected<void> fence_worker(int ruleset, const FilterProgram& filter);

/// A worker, from inside, after its descriptors are in order (actions.md, "A worker's start").
[[nodiscard]] Expected<void> confine_worker(const WorkerConfinement& row);

}  // namespace luminous_healing::executor
