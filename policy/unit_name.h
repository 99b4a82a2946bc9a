#pragma once
// Names of systemd units, by systemd's own rules (systemd.unit(5), "Unit file" names).

#include "base/expected.h"

#include <string>
#include <string_view>
#include <vector>

namespace luminous_healing::policy {

/// Is it a name that a unit can have: valid characters, a known type suffix, under 256 bytes, an instance only where
/// the type has any?
[[nodiscard]] bool is_valid_unit_name(std::string_view name);

/// The full name for what a caller wrote: `.service` is added when there is no known suffix. Refused: what systemd
/// would refuse, templates without an instance, and anything beginning with '-'.
[[nodiscard]] Expected<std::string> normalise_unit_name(std::string_view written);

/// Units that only an entry by full name reaches, whatever the wildcards say.
[[nodiscard]] const std::vector<std::string>& default_protected_units();

/// The daemon's own units: no entry reaches them.
[[nodiscard]] bool is_own_unit(std::string_view name);

enum class UnitAccess {
    allowed,
    not_listed,     ///< no entry matches, or it is no valid name
    protected_unit  ///< only a wildcard matches, and the unit is protected; or it is our own
};
/// What the entries of an action's `units` say of a normalised name.
[[nodiscard]] UnitAccess check_unit(std::string_view name, const std::vector<std::string>& entries,
                                    const std::vector<std::string>& protected_units);

}  // namespace luminous_healing::policy
