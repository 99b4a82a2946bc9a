#pragma once
// The single looks of `healctl doctor`. Each looks at one thing, changes nothing, and names the command that mends it.

#include "healctl/command.h"

#include <string>
#include <vector>

namespace luminous_healing::healctl {

enum class Health { good, bad, unknown };

struct Finding {
    std::string name;
    Health health = Health::unknown;
    std::string what;  ///< one line: what was found
    std::string mend;  ///< a command or what to write; empty when good
};

/// Makes every look, in an order in which the first bad one is usually the cause of those after it. `config` is the
/// configuration file to read.
[[nodiscard]] std::vector<Finding> check_up(const Globals& globals, const std::string& config);

}  // namespace luminous_healing::healctl
