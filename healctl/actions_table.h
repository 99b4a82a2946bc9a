#pragma once
// The list of actions that `status` with detail=actions answers.

#include "base/expected.h"
#include "healctl/terminal.h"

#include <string>
#include <string_view>

namespace luminous_healing::healctl {

/// One entry for each action: how it is written, what it does, and whether it may be used now. `result` is the
/// answer's {"actions":[…]}; an error when it is something else.
[[nodiscard]] Expected<std::string> render_actions(std::string_view result, const Look& look);

}  // namespace luminous_healing::healctl
