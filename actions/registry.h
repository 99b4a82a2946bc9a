#pragma once
// The table of built-in actions: the only list of what can run, besides the commands that the configuration names.

#include "actions/action.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace luminous_healing::actions {

/// The rows, in the order of the manual.
[[nodiscard]] const std::vector<Action>& all();

/// The row of that name, or nullptr.
[[nodiscard]] const Action* find(std::string_view name);

/// The row for a command action of the configuration (`policy.command` is set). Its steps are empty: the worker
/// executes the command itself.
[[nodiscard]] Action command_row(const policy::ActionPolicy& policy);

/// Why a row cannot work on this machine, or nothing: privilege that a worker cannot be given, a kernel without what
/// it insists on, and what the action itself misses.
[[nodiscard]] std::optional<std::string> unavailable(const Action& action, const Machine& machine);

}  // namespace luminous_healing::actions
