#pragma once
// Users and capabilities (credentials(7), capabilities(7)): of this process, and of a worker to be.

#include "actions/action.h"
#include "base/expected.h"
#include "policy/config.h"

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace luminous_healing::executor {

/// A set of capabilities as bits, CAP_CHOWN = bit 0.
using CapabilitySet = std::uint64_t;

[[nodiscard]] std::optional<CapabilitySet> capability_bit(std::string_view name);  ///< "cap_kill"
[[nodiscard]] std::vector<std::string> capability_names(CapabilitySet set);  ///< lower case, in the kernel's order

[[nodiscard]] CapabilitySet permitted_capabilities();
[[nodiscard]] CapabilitySet bounding_capabilities();

/// Permitted, effective and inheritable become exactly these; ambient is cleared.
[[nodiscard]] Expected<void> set_capabilities(CapabilitySet permitted, CapabilitySet inheritable = 0);
/// Drops everything else from the bounding set. Needs CAP_SETPCAP; without it nothing happens and false is returned.
bool limit_bounding(CapabilitySet keep);

struct Credentials {
    uid_t uid = 0;
    gid_t gid = 0;
    std::vector<gid_t> groups;
};
[[nodiscard]] Expected<Credentials> credentials_of(const std::string& user);

/// Becomes that user for good (real, effective and saved), keeping `keep` permitted. Needs CAP_SETUID and CAP_SETGID
/// unless it is who we are already.
[[nodiscard]] Expected<void> become(const Credentials& who, CapabilitySet keep);

/// What the enabled actions need the daemon itself to hold: what it passes on to workers, and CAP_SETUID, CAP_SETGID
/// and CAP_SETPCAP when a worker has another uid than `daemon_uid`.
[[nodiscard]] CapabilitySet needed_capabilities(const policy::Config& config, uid_t daemon_uid);

/// What this process can offer to actions.
[[nodiscard]] actions::Machine look_at_machine();

/// The row of an enabled action: the built-in one, or the one its command makes.
[[nodiscard]] actions::Action row_of(const policy::ActionPolicy& policy);

}  // namespace luminous_healing::executor
