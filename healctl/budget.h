#pragma once
// What is used of each budget, read back from the audit log as the daemon does at its start.

#include "policy/config.h"
#include "policy/limiter.h"

#include <string>

namespace luminous_healing::healctl {

/// Counts the grants that are still inside a window of `config`. Returns where that is known from, for people; a log
/// that cannot be read leaves the limiter as it is, and the text says so.
[[nodiscard]] std::string read_used_budget(const std::string& log, const policy::Config& config,
                                           policy::Limiter& limiter);

}  // namespace luminous_healing::healctl
