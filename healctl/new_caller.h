#pragma once
// What `healctl caller add` writes into the configuration: the tables of one caller, and of actions not enabled so far.

#include "base/expected.h"
#include "policy/config.h"

#include <string>
#include <vector>

namespace luminous_healing::healctl {

struct NewCaller {
    std::string name;
    std::vector<std::string> users;    ///< names, or uids as decimal numbers
    std::vector<std::string> actions;  ///< empty: status alone
    std::vector<std::string> units;    ///< for actions on units that are not enabled so far
};

/// TOML to append to the file of `config`. The error says what to give instead.
[[nodiscard]] Expected<std::string> tables_of(const NewCaller& caller, const policy::Config& config);

}  // namespace luminous_healing::healctl
