#pragma once
// Users and capabilities (credentials(7), capabilities(7)): of this process, and of a worker to be.

#include "base/expected.h"

#include <sys/types.h>

#include <cstdint>
#include <optional>
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

/// Permitted, effective, inheritable and ambient become exactly these: what survives execve(2) of an ordinary program
/// by an ordinary user.
[[nodiscard]] Expected<void> keep_across_exec(CapabilitySet set);

/// While it lives, a program that this process executes gets its capabilities: as ambient ones, which a user other than
/// root needs for that. No thread but one may be there to execute another program meanwhile.
class LentCapabilities {
public:
    LentCapabilities();
    LentCapabilities(const LentCapabilities&) = delete;
    LentCapabilities& operator=(const LentCapabilities&) = delete;
    ~LentCapabilities();

private:
    CapabilitySet permitted_;
};

struct Credentials {
    uid_t uid = 0;
    gid_t gid = 0;
    std::vector<gid_t> groups;
};

/// Becomes that user for good (real, effective and saved), keeping `keep` permitted. Needs CAP_SETUID and CAP_SETGID
/// unless it is who we are already.
[[nodiscard]] Expected<void> become(const Credentials& who, CapabilitySet keep);

}  // namespace luminous_healing::executor
