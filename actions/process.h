#pragma once
// A process, held by a descriptor so that its number cannot come to mean another one (pidfd_open(2)), and what /proc
// says of it (proc_pid_stat(5), proc_pid_status(5), cgroups(7)).

#include "base/clock.h"
#include "base/expected.h"
#include "base/unique_fd.h"

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace luminous_healing::actions {

struct ProcessFacts {
    pid_t pid = 0;
    pid_t parent = 0;
    std::string comm;             ///< as the process set it: any bytes but NUL, at most 15
    std::int64_t start_time = 0;  ///< clock ticks since boot; with the PID it names a process for good
    std::int64_t rss_bytes = 0;
    bool kernel_thread = false;
    std::vector<uid_t> uids;  ///< real, effective, saved
    std::string unit;         ///< the system unit it belongs to, or empty; never a unit of a user's manager
};

/// What /proc/PID says now. Without a descriptor the number may come to mean another process at any time.
[[nodiscard]] Expected<ProcessFacts> read_process(pid_t pid);

/// Only its parent: one file of the three.
[[nodiscard]] Expected<pid_t> read_parent(pid_t pid);

/// The system unit in the content of /proc/PID/cgroup: the first part of the path that is no slice. What follows it
/// may be named by an unprivileged user, to whom the subtree is delegated, and proves nothing.
[[nodiscard]] std::string unit_in_cgroup(std::string_view content);

class HeldProcess {
public:
    /// The error's system_error is ESRCH when there is no such process.
    [[nodiscard]] static Expected<HeldProcess> open(pid_t pid);

    /// Reads /proc and then makes sure that the process had not ended, so that what was read is about this one.
    [[nodiscard]] Expected<ProcessFacts> inspect() const;

    /// pidfd_send_signal(2).
    [[nodiscard]] Expected<void> send(int signal) const;

    /// Waits at most that long for its end, all threads of it; true when it has ended, even if nobody has reaped it.
    [[nodiscard]] bool ends_within(Micros limit) const;

private:
    HeldProcess(pid_t pid, UniqueFd fd) : pid_(pid), fd_(std::move(fd)) {}
    pid_t pid_;
    UniqueFd fd_;
};

}  // namespace luminous_healing::actions
