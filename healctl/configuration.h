#pragma once
// The daemon's configuration as healctl reads it: from the file, without the daemon.

#include "executor/config_file.h"
#include "policy/config.h"

#include <string>
#include <vector>

namespace luminous_healing::healctl {

inline constexpr const char* kConfigFile = "/etc/luminous-healing/config.toml";

/// Where the daemon looks for keys, with $CREDENTIALS_DIRECTORY when it is set.
[[nodiscard]] executor::ConfigSources config_sources();

/// Each problem as "file:line: what" on standard error.
void report_problems(const std::vector<executor::ConfigProblem>& problems);

}  // namespace luminous_healing::healctl
