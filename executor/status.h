#pragma once
// What a status request tells a caller about the daemon and about what the caller may do.

#include "actions/action.h"
#include "executor/pipeline.h"
#include "policy/limiter.h"

#include <sys/types.h>

#include <string>
#include <vector>

namespace luminous_healing::executor {

/// What the daemon knows of itself.
struct DaemonFacts {
    Host host;
    BootTime started;
    pid_t pid = -1;
    uid_t uid = 0;
    std::vector<std::string> capabilities;
    bool bounding_limited = false;
    bool memory_locked = true;
    int landlock_abi = 0;
    bool inherited_socket = false;
    std::size_t connections = 0;
    std::size_t running = 0;
    std::size_t gate_restarts = 0;
};

/// The state of the daemon, the log's head included, as a JSON object.
[[nodiscard]] std::string describe_daemon(const DaemonFacts& facts, const policy::Config& config, audit::Log& log);

/// {"actions":[…]}: what this caller may do, what is left of each budget, what is unavailable and why.
[[nodiscard]] std::string describe_actions(const policy::CallerPolicy& caller, const Authority& authority,
                                           const policy::Limiter& limiter);

}  // namespace luminous_healing::executor
