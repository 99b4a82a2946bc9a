#pragma once
// The sections of the configuration, each read by a function of its own into the model. All notes go to `findings`.

#include "executor/config_table.h"

#include <sys/types.h>

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace luminous_healing::executor {

/// What the sections share while one file is read.
struct Reading {
    const ConfigSources& sources;
    Findings& findings;
    policy::Config& config;
    std::string file;                                    ///< the configuration's absolute path
    std::optional<std::string> key_directory = {};       ///< daemon.key_directory
    std::map<std::string, std::string> key_owners = {};  ///< key name to caller name
    std::set<std::string> used_actions = {};             ///< listed by some caller
};

// config_daemon.cpp
void read_daemon(const ConfigNode& node, Reading& reading);
void read_audit(const ConfigNode& node, Reading& reading);

// config_callers.cpp. `actions` are the names of all [actions.NAME] tables.
void read_callers(const ConfigNode& node, const std::vector<std::string>& actions, Reading& reading);

// config_actions.cpp
void read_actions(const ConfigNode& node, Reading& reading);

// config_command.cpp: command, verify, undo, and what they may hold.
void read_command(Table& table, policy::ActionPolicy& action, Reading& reading);

// config_parameters.cpp
/// The parameters that a command action declares.
[[nodiscard]] std::vector<policy::ParameterSpec> read_declared_parameters(Table& action, Reading& reading);
/// Narrows those of a built-in action in place.
void narrow_parameters(Table& action, std::vector<policy::ParameterSpec>& parameters, Reading& reading);

// config_accounts.cpp: getpwnam(3), getgrnam(3). Nothing when there is no such account; an error when the name
// service could not say.
[[nodiscard]] Expected<std::optional<uid_t>> find_user(const std::string& name);
[[nodiscard]] Expected<bool> group_exists(const std::string& name);
/// Notes a name that is no user of this machine.
std::optional<uid_t> require_user(const std::string& name, int line, const std::string& where, Findings& findings);

}  // namespace luminous_healing::executor
