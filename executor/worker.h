#pragma once
// Starting and ending worker processes. A worker holds nothing but what its row says (confinement.h): a fork of the
// executor runs a built-in action's steps, the launcher (launcher.cpp) becomes a configured command.

#include "actions/action.h"
#include "base/clock.h"
#include "base/expected.h"
#include "base/unique_fd.h"
#include "executor/confinement.h"
#include "executor/keeper.h"

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace luminous_healing::executor {

/// A worker, leader of its own process group. Owned by actions' Run; the pid stays ours until it is reaped. It is
/// hatched without a task, told its orders once, confines itself to them, and does nothing of them before it is let go.
struct Worker {
    pid_t pid = -1;
    UniqueFd pidfd;
    UniqueFd report;   ///< WorkerMessages; its end closed = the worker has exited, or has become its command
    UniqueFd beside;   ///< WorkerMessages of the companion, which the worker cannot write; not valid without one
    UniqueFd output;   ///< a command's standard output and error; not valid for a built-in action
    UniqueFd control;  ///< to the worker: its orders, the word to go, and to a built-in action: one byte = confirmed
    Credentials credentials;
    KeptGroup kept;  ///< destroyed when nothing is left of its group
};

/// The steps of a built-in worker. `deadline`: when the executor will end it.
using WorkerBody = std::function<void(BootTime deadline)>;

/// A process beside a built-in worker: confined like it but for the filter, connected to it by kWorkerBus, in its
/// group, and gone with it. Its kWorkerReport is a pipe of its own.
struct Companion {
    const FilterProgram* filter = nullptr;  ///< not owned
    WorkerBody body;
};

/// What a built-in worker is to do, as it learns it itself.
struct Orders {
    WorkerConfinement row;  ///< the ruleset is the one that comes with the orders
    WorkerBody body;        ///< must not return control to the executor's code
    std::optional<Companion> companion;
};

/// What the executor does with signals, before its loop takes the ones it wants: all have their default whoever started
/// us had set otherwise, but for SIGPIPE and SIGXFSZ, which are errors of the call. Only those a worker then has to
/// take back.
void ignore_signals();

/// Forks a worker that waits for its orders. `read` makes them of what give_orders() sent; it runs in the worker, on
/// the memory that the executor has now.
[[nodiscard]] Expected<Worker> hatch(const std::function<Expected<Orders>(std::string_view message)>& read);

/// Starts a launcher, opened as `program`, that waits for its orders: a Launch. Not a fork of ours, and not vfork(2)'s
/// guest for longer than its execve(2): it becomes another user only as a program of its own.
[[nodiscard]] Expected<Worker> hatch_launcher(int program);

/// Fences a launcher in, before its orders: with this ruleset of FileSystemRuleset (not owned; -1: none) and what
/// encode_fence() gave.
[[nodiscard]] Expected<void> give_fence(const Worker& worker, int ruleset, std::string_view fence);

/// What the executor has to know of the orders that it gives.
struct Errand {
    Credentials credentials;   ///< who the worker becomes
    int ruleset = -1;          ///< of FileSystemRuleset, not owned; -1: none, or it is fenced in already
    bool command = false;      ///< with a pipe for its output
    bool companion = false;    ///< with a pipe for what that says
    std::string_view message;  ///< for `read`, or a Launch
};

/// Once. The worker confines itself and waits. An error, EPIPE: it has ended meanwhile.
[[nodiscard]] Expected<void> give_orders(Worker& worker, const Errand& errand);

/// The word to go: the steps run, or the launcher executes argv[0] (absolute, owned by root or by us, not writable by
/// others: checked on the opened descriptor and executed through it, execveat(2)) with a fixed environment and
/// /dev/null as input. A worker that never hears it ends with the executor's end of `control`, having done nothing.
void let_go(const Worker& worker, BootTime deadline);

/// Kills it and waits until it has ended, at most a second: one that has not been let go ends by itself too, where it
/// cannot be killed for want of a process to do it.
void end_at_once(Worker& worker);

/// Sends the signal to the worker's whole process group, through a helper of its uid where ours may not.
void signal_group(const Worker& worker, int signal);

/// Is anything left of the group, zombies aside? Only after the worker itself has been reaped.
[[nodiscard]] bool group_is_empty(const Worker& worker);

}  // namespace luminous_healing::executor
