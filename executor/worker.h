#pragma once
// Starting and ending worker processes. A worker is a fork of the executor that holds nothing but what its row says
// (confinement.h): it runs a built-in action's steps, or becomes a configured command.

#include "actions/action.h"
#include "base/expected.h"
#include "base/unique_fd.h"
#include "executor/confinement.h"
#include "executor/keeper.h"

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

namespace luminous_healing::executor {

/// A started worker, leader of its own process group. Owned by actions' Run; the pid stays ours until it is reaped.
struct Worker {
    pid_t pid = -1;
    UniqueFd pidfd;
    UniqueFd report;   ///< WorkerMessages; its end closed = the worker has exited, or has become its command
    UniqueFd beside;   ///< WorkerMessages of the companion, which the worker cannot write; not valid without one
    UniqueFd output;   ///< a command's standard output and error; not valid for a built-in action
    UniqueFd control;  ///< to a built-in action: one byte = confirmed
    Credentials credentials;
    KeptGroup kept;  ///< destroyed when nothing is left of its group
};

/// Descriptors as a worker's body sees them.
inline constexpr int kWorkerReport = 3;
inline constexpr int kWorkerControl = 4;
inline constexpr int kWorkerBus = 5;  ///< to the process beside it, and back, where there is one

/// A process beside a built-in worker: confined like it but for the filter, connected to it by kWorkerBus, in its
/// group, and gone with it. Its kWorkerReport is a pipe of its own.
struct Companion {
    const FilterProgram* filter = nullptr;  ///< not owned
    std::function<void()> body;
};

/// What the executor does with signals, before its loop takes the ones it wants: all have their default whoever started
/// us had set otherwise, but for SIGPIPE and SIGXFSZ, which are errors of the call. Only those a worker then has to
/// take back.
void ignore_signals();

/// Starts a worker that runs `body` and ends. `body` must not return control to the executor's code.
[[nodiscard]] Expected<Worker> start_builtin(const WorkerConfinement& row, const std::function<void()>& body,
                                             const Companion* companion = nullptr);

/// Starts a worker that executes argv[0] (absolute, owned by root or by us, not writable by others: checked on the
/// opened descriptor and executed through it, execveat(2)) with a fixed environment and /dev/null as input.
[[nodiscard]] Expected<Worker> start_command(const WorkerConfinement& row, const std::vector<std::string>& argv);

/// Sends the signal to the worker's whole process group, through a helper of its uid where ours may not.
void signal_group(const Worker& worker, int signal);

/// Is anything left of the group, zombies aside? Only after the worker itself has been reaped.
[[nodiscard]] bool group_is_empty(const Worker& worker);

}  // namespace luminous_healing::executor
