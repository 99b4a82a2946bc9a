#pragma once
// Inside a worker, whether it is a fork of the executor or the launcher: from its start to the word to go. What the
// executor does for it stands in worker.h.

#include "base/clock.h"
#include "base/unique_fd.h"
#include "executor/confinement.h"

#include <sys/types.h>

#include <string>
#include <string_view>

namespace luminous_healing::executor {

/// Descriptors as a worker sees them.
inline constexpr int kWorkerReport = 3;   ///< to the executor: WorkerMessages
inline constexpr int kWorkerControl = 4;  ///< from the executor: orders, the word to go, a confirmation
inline constexpr int kWorkerBus = 5;      ///< to the process beside it, and back, where there is one

inline constexpr int kSetupFailed = 125;  // exit status of a worker that gave up, as env(1) uses it

/// A copy that is out of the way of those numbers, closed by execve(2); -1 for -1, or when there is none to be had.
[[nodiscard]] int away(int fd);

/// Tells the executor that nothing ran and why, and ends.
[[noreturn]] void give_up(std::string_view why);

/// An executor that somebody started from a terminal has it for its controlling one, and so has each of its children:
/// what a worker runs could read there, or type for whoever sits before it (tty_ioctl(4), TIOCSTI).
void leave_terminal();

/// What rides along with a letter, in the order of these bits of its first byte; and that it is no orders yet, but the
/// fence of a launcher.
enum Along : char { kRuleset = 1, kPipe = 2, kFence = 4 };

struct Letter {
    bool fence = false;
    std::string message;
    UniqueFd ruleset;
    UniqueFd pipe;  // a command's output, or a companion's report
};

/// Waits for the next letter. A worker whose executor has ended, or has no use for it, ends here.
[[nodiscard]] Letter read_letter();

/// Confines this process for good, and makes sure that the executor, `parent`, is still there.
void confine_or_give_up(const WorkerConfinement& row, pid_t parent);

/// Nothing is done before this has returned. Without the word, or when `parent` is gone by then, it ends. Gives the
/// time at which the executor ends it.
[[nodiscard]] BootTime await_go(pid_t parent);

}  // namespace luminous_healing::executor
