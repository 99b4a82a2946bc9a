#pragma once
// From a row to what its worker becomes and executes. Apart from Workforce so that a test can hold a worker against
// its row.

#include "actions/action.h"
#include "base/expected.h"
#include "executor/confinement.h"

#include <string>
#include <vector>

namespace luminous_healing::executor {

/// Who the worker runs as; for a plan that is the daemon's own user.
[[nodiscard]] Expected<Credentials> who_runs(const actions::Privilege& privilege, bool plan);

/// What of the file system it gets, and whether it may signal others. `hidden`: what no worker reads.
[[nodiscard]] FileSystemRules file_rules(const actions::Privilege& privilege, bool plan,
                                         std::vector<std::string> hidden);

/// The capabilities: those of the row, and of its optional ones those that we hold. None for a plan.
[[nodiscard]] CapabilitySet row_capabilities(const actions::Privilege& privilege, bool plan);

/// A command's arguments with every "{name}" replaced by that parameter's value.
[[nodiscard]] std::vector<std::string> fill_in(const std::vector<std::string>& command,
                                               const policy::Arguments& arguments);

}  // namespace luminous_healing::executor
