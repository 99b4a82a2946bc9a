#pragma once
// What `plan` shows: the row of an action filled in for one request.

#include "actions/action.h"
#include "policy/decide.h"

#include <string>
#include <string_view>
#include <vector>

namespace luminous_healing::executor {

/// Target, user, capabilities, paths, limits, command or steps, as members of a JSON object.
[[nodiscard]] std::string describe_plan(const policy::Grant& grant);

/// The same with what the action's check found there now, as `current`.
[[nodiscard]] std::string complete_plan(const std::string& described, const actions::Facts& current);

/// Parameters of what the executor answers itself: "status" and "confirm".
[[nodiscard]] const std::vector<policy::ParameterSpec>& own_parameters(std::string_view action);

}  // namespace luminous_healing::executor
