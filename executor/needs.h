#pragma once
// What a configuration needs of the machine and of the daemon's privileges, and what there is of both.

#include "actions/action.h"
#include "executor/privileges.h"
#include "policy/config.h"

namespace luminous_healing::executor {

/// That user and its groups, as the machine has them now.
[[nodiscard]] Expected<Credentials> credentials_of(const std::string& user);

/// What the enabled actions need the daemon itself to hold: what it passes on to workers, and CAP_SETUID, CAP_SETGID
/// and CAP_SETPCAP when a worker has another uid than `daemon_uid`.
[[nodiscard]] CapabilitySet needed_capabilities(const policy::Config& config, uid_t daemon_uid);

/// What this process can offer to actions.
[[nodiscard]] actions::Machine look_at_machine();

/// The row of an enabled action: the built-in one, or the one its command makes.
[[nodiscard]] actions::Action row_of(const policy::ActionPolicy& policy);

}  // namespace luminous_healing::executor
