#include "executor/config_sections.h"

#include "actions/registry.h"
#include "policy/unit_name.h"

#include <algorithm>
#include <cctype>
#include <set>

namespace luminous_healing::executor {
namespace {

using policy::ActionPolicy;
using policy::ParameterType;

constexpr std::size_t kMaxComm = 15;  // bytes the kernel keeps of a process's name, proc_pid_comm(5)

const std::vector<std::string>& command_keys() {
    static const std::vector<std::string> keys{"command", "verify",  "undo",    "run_as",     "capabilities",
                                               "writes",  "network", "confine", "frees_space"};
    return keys;
}

/// Can the wildcard reach nothing but what `wider` covers? True only when that is certain.
bool is_covered(const std::string& wildcard, const std::string& wider) {
    return wider.find_first_of("?[") == std::string::npos && policy::glob_matches(wider, wildcard);
}

std::string mistake_of_wildcard(const std::string& glob, const std::vector<std::string>& protected_units) {
    constexpr std::string_view kAllowed = ":-_.\\@*?[]!^";
    const bool odd = std::any_of(glob.begin(), glob.end(), [&](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) == 0 && kAllowed.find(c) == std::string_view::npos;
    });
    if (odd) return " has a character that no unit's name has. Write letters, digits and : - _ . \\ @ * ? [ ]";
    const auto open = glob.find('[');
    if (open != std::string::npos && glob.find(']', open + 2) == std::string::npos)
        return " has a [ without its ]. Write for example \"app-[0-9].service\"";
    for (const auto& unit : protected_units) {
        if (is_covered(glob, unit))
            return " reaches only units protected by " + quoted(unit) + ". Write the full name of each unit";
    }
    return {};
}

/// A wildcard that reaches much: worth a warning.
std::string breadth_of_wildcard(const std::string& glob) {
    const auto dot = glob.rfind('.');
    if (glob.substr(0, dot).find_first_not_of("*?") == std::string::npos)
        return " matches every unit but the protected ones. List the units that may really need it";
    if (dot == std::string::npos || glob.find_first_of("*?[", dot) != std::string::npos)
        return " matches units of every type, sockets and timers too. Write \"" + glob.substr(0, dot) +
               ".service\" if services are meant";
    return {};
}

std::string checked_unit(const Entry& entry, const std::string& where, Reading& reading) {
    const auto& protected_units = reading.config.daemon.protected_units;
    const auto problem = [&](const std::string& what) { reading.findings.problem(entry.line, where + ": " + what); };
    if (policy::is_wildcard(entry.text)) {
        const auto mistake = mistake_of_wildcard(entry.text, protected_units);
        if (!mistake.empty()) problem(quoted(entry.text) + mistake);
        const auto breadth = breadth_of_wildcard(entry.text);
        if (mistake.empty() && !breadth.empty())
            reading.findings.warning(entry.line, where + ": " + quoted(entry.text) + breadth);
        return entry.text;
    }
    const auto unit = policy::normalise_unit_name(entry.text);
    if (!unit) {
        problem(unit.error().message + ". Write a unit's full name or a glob");
        return {};
    }
    if (policy::is_own_unit(*unit)) problem(*unit + " is the daemon's own unit, which no entry reaches. Remove it");
    const auto guarded = std::any_of(protected_units.begin(), protected_units.end(),
                                     [&](const std::string& glob) { return policy::glob_matches(glob, *unit); });
    if (guarded)
        reading.findings.warning(entry.line,
                                 where + ": " + *unit + " is a protected unit, allowed here by its full name");
    return *unit;
}

void read_units(Table& table, ActionPolicy& action, Reading& reading) {
    const std::string where = table.name() + ".units";
    if (!table.has("units"))
        table.problem("units",
                      "is missing. Write units = [\"nginx.service\", \"app-*.service\"], the units that this "
                      "action may touch");
    const auto entries = table.texts("units", Table::WhenEmpty::refuse);
    if (!entries) return;
    std::set<std::string> seen;
    for (const auto& entry : *entries) {
        const auto unit = checked_unit(entry, where, reading);
        if (unit.empty()) continue;
        if (!seen.insert(unit).second)
            reading.findings.problem(entry.line, where + ": has " + unit + " twice. Remove one of them");
        action.units.push_back(unit);
    }
}

void read_processes(Table& table, ActionPolicy& action, Reading& reading) {
    if (const auto globs = table.distinct_texts("processes", Table::WhenEmpty::refuse)) {
        for (const auto& glob : *globs) {
            if (!policy::is_wildcard(glob.text) && glob.text.size() > kMaxComm)
                reading.findings.problem(glob.line, table.name() + ".processes: " + quoted(glob.text) +
                                                        " can never match, the kernel keeps 15 bytes of a process's "
                                                        "name. Write \"" +
                                                        glob.text.substr(0, kMaxComm) + "\"");
            action.processes.push_back(glob.text);
        }
    }
    if (const auto users = table.distinct_texts("process_users", Table::WhenEmpty::refuse)) {
        for (const auto& user : *users) {
            (void)require_user(user.text, user.line, table.name() + ".process_users", reading.findings);
            action.process_users.push_back(user.text);
        }
    }
    if (!table.has("processes") && !table.has("process_users"))
        reading.findings.warning(table.line(""), "[" + table.name() +
                                                     "] allows every process of every user. Add processes = [\"…\"] or "
                                                     "process_users = [\"…\"]");
}

void read_built_in(const actions::Action& row, Table& table, ActionPolicy& action, Reading& reading) {
    action.timeout = row.timeout;
    action.parameters = row.parameters;
    action.target_group = row.target_group;
    action.target_parameter = row.target_parameter;
    for (const auto& key : command_keys())
        if (table.has(key))
            table.refuse(key, row.name + " is built in, and " + key +
                                  " belongs to a command action. Remove the key, or "
                                  "give your command another name");
    const bool takes_unit = std::any_of(row.parameters.begin(), row.parameters.end(),
                                        [](const auto& spec) { return spec.type == ParameterType::unit; });
    if (takes_unit) read_units(table, action, reading);
    if (row.name == "kill_process") read_processes(table, action, reading);
    narrow_parameters(table, action.parameters, reading);
}

std::vector<std::string> built_in_names() {
    std::vector<std::string> names;
    for (const auto& row : actions::all()) names.push_back(row.name);
    return names;
}

void read_action(const std::string& name, const ConfigNode& node, Reading& reading) {
    Table table(node, "actions." + name, reading.findings);
    if (!node.is(ConfigNode::Kind::table)) return;
    const auto problem = [&](const std::string& what) { reading.findings.problem(node.line, what); };
    ActionPolicy action;
    action.name = ActionName(name);
    action.where = reading.findings.where(node.line);
    const auto* const row = actions::find(name);
    if (name == "status") return problem("[actions.status] is always there and takes no settings. Remove this table");
    if (row == nullptr && !table.has("command"))
        return problem("[actions." + name + "] is no built-in action" + did_you_mean(name, built_in_names()) +
                       " and has no command. Write command = [\"/path/to/program\", …]; built in are " +
                       joined(built_in_names()));
    if (!is_valid_config_name(name))
        problem("an action is named " + quoted(name) + ". Write 1 to 64 of A-Z a-z 0-9 . _ -, a letter or digit first");
    if (row != nullptr) read_built_in(*row, table, action, reading);
    else read_command(table, action, reading);
    if (const auto timeout = table.duration("timeout", kLongestTimeout)) action.timeout = *timeout;
    action.rate_limit = table.rate_limit("rate_limit", reading.config.rate_limit).value_or(reading.config.rate_limit);
    table.finish();
    reading.config.actions.emplace(action.name, std::move(action));
}

}  // namespace

void read_actions(const ConfigNode& node, Reading& reading) {
    const Table table(node, "actions", reading.findings);
    if (node.is(ConfigNode::Kind::table) && node.members.empty())
        reading.findings.problem(node.line, "[actions] is empty. Write an [actions.NAME] for each action to enable");
    for (const auto& [name, action] : node.members) read_action(name, action, reading);
}

}  // namespace luminous_healing::executor
