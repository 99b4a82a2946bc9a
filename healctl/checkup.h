#pragma once
// What `healctl doctor` looks at, and in which order. It changes nothing.

#include "healctl/command.h"

#include <string>
#include <vector>

namespace luminous_healing::healctl {

enum class Health { good, bad, unknown };

struct Finding {
    std::string name;
    Health health = Health::unknown;
    std::string what;  ///< one line: what was found, and what to do where no command does it
    std::string mend;  ///< a command for sh(1), for root unless `what` says otherwise; empty when there is none
};

/// Makes every look, in an order in which the first bad one is usually the cause of those after it, and the commands
/// can be run one after the other. `config` is the configuration file to read.
[[nodiscard]] std::vector<Finding> check_up(const Globals& globals, const std::string& config);

/// The command at the end of a message, "… Run: COMMAND"; empty when it has none. It is how the messages about files
/// and keys name theirs.
[[nodiscard]] std::string command_in(const std::string& message);

}  // namespace luminous_healing::healctl
