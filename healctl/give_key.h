#pragma once
// A caller's key, given to the user who will ask with it.

#include "base/expected.h"

#include <string>
#include <string_view>

namespace luminous_healing::healctl {

/// Writes ~USER/.config/luminous-healing/key as that user, with no more rights than they have: nothing they could have
/// put in the way can make root write elsewhere. An existing key is not overwritten. Returns its path.
[[nodiscard]] Expected<std::string> give_key(const std::string& user, std::string_view key);

/// May this user open what the group may? True for uid 0.
[[nodiscard]] bool is_in_group(const std::string& user, const std::string& group);

}  // namespace luminous_healing::healctl
