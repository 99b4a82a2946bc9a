#include "actions/unit_access.h"

#include "policy/pattern.h"
#include "policy/unit_name.h"

#include <algorithm>

namespace luminous_healing::actions {

std::optional<std::string> forbidden_name(const std::vector<std::string>& names,
                                          const std::vector<std::string>& entries,
                                          const std::vector<std::string>& protected_units) {
    const auto own = std::find_if(names.begin(), names.end(), policy::is_own_unit);
    if (own != names.end()) return *own;
    const auto is_protected = [&](const std::string& name) {
        return std::any_of(protected_units.begin(), protected_units.end(),
                           [&](const std::string& glob) { return policy::glob_matches(glob, name); });
    };
    const auto is_spelled_out = [&](const std::string& name) {
        return is_protected(name) && std::find(entries.begin(), entries.end(), name) != entries.end();
    };
    const auto found = std::find_if(names.begin(), names.end(), is_protected);
    if (found == names.end() || std::any_of(names.begin(), names.end(), is_spelled_out)) return {};
    return *found;
}

}  // namespace luminous_healing::actions
