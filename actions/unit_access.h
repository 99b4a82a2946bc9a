#pragma once
// May an action touch this unit under all the names it has? The policy judged the name that the caller wrote; systemd
// knows which unit stands behind it.

#include <optional>
#include <string>
#include <vector>

namespace luminous_healing::actions {

/// The name that forbids it, or nothing. Forbidden are units of our own under whatever name, and units that have a
/// protected name, unless an entry of the policy spells one of the unit's protected names out. So an entry
/// "web.service" does not reach ssh.service through an alias of that name, and an entry "ssh.service" does allow
/// Debian's ssh.service, whose alias sshd.service is protected too.
[[nodiscard]] std::optional<std::string> forbidden_name(const std::vector<std::string>& names,
                                                        const std::vector<std::string>& entries,
                                                        const std::vector<std::string>& protected_units);

}  // namespace luminous_healing::actions
