#include "healctl/new_caller.h"

#include "actions/registry.h"
#include "base/text.h"

#include <algorithm>

namespace luminous_healing::healctl {
namespace {

/// As a TOML string. Names and globs have nothing to escape but these two; anything else is refused when it is read.
std::string quote(const std::string& text) {
    std::string quoted = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') quoted += '\\';
        quoted += c;
    }
    return quoted + "\"";
}

std::string list_of(const std::vector<std::string>& texts) {
    std::string list;
    for (const auto& text : texts) list += (list.empty() ? "" : ", ") + quote(printable_line(text, 1000));
    return "[" + list + "]";
}

/// Names as strings, uids as numbers: TOML has no leading zeros, so the number is written, not what was typed.
std::string users_of(const std::vector<std::string>& users) {
    std::string list;
    for (const auto& user : users) {
        const auto uid = parse_integer<std::uint32_t>(user);
        list += (list.empty() ? "" : ", ") + (uid ? std::to_string(*uid) : quote(printable_line(user, 1000)));
    }
    return "[" + list + "]";
}

/// As the name of a table: bare where TOML allows it, else quoted, so that it can never be more than a name.
std::string table_key(const std::string& name) {
    const bool bare = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    });
    return bare ? name : quote(name);
}

bool works_on_units(const actions::Action& row) {
    return std::any_of(row.parameters.begin(), row.parameters.end(),
                       [](const auto& spec) { return spec.type == policy::ParameterType::unit; });
}

std::string built_in_names() {
    std::string names;
    for (const auto& row : actions::all()) names += (names.empty() ? "" : ", ") + row.name;
    return names;
}

Expected<std::string> table_of(const std::string& action, const NewCaller& caller, const std::string& file) {
    const auto* const row = actions::find(action);
    if (row == nullptr)
        return fail(printable_line(action, 64) + " is neither enabled nor built in (" + built_in_names() +
                    "). For a command of yours write its [actions." + printable_line(action, 64) + "] into " + file +
                    " first");
    std::string table = "\n[actions." + action + "]\n";
    if (!works_on_units(*row)) return table;
    if (caller.units.empty())
        return fail(action + " needs to know which units: give --unit NAME, once for each, or a glob in quotes");
    return table + "units = " + list_of(caller.units) + "\n";
}

}  // namespace

Expected<std::string> tables_of(const NewCaller& caller, const policy::Config& config) {
    if (config.callers.contains(CallerName(caller.name)))
        return fail("there is a caller " + caller.name + " already. Change [callers." + caller.name + "] in " +
                    config.file + ", or choose another name");
    const bool looks_only = caller.actions.empty();
    std::string text = "\n[callers." + table_key(caller.name) + "]\nkey = " + quote(caller.name) +
                       "\nusers = " + users_of(caller.users) +
                       "\nactions = " + list_of(looks_only ? std::vector<std::string>{"status"} : caller.actions) +
                       "\n";
    for (const auto& action : caller.actions) {
        if (action == "status" || config.actions.contains(ActionName(action))) continue;
        auto table = table_of(action, caller, config.file);
        if (!table) return table;
        text += *table;
    }
    return text;
}

}  // namespace luminous_healing::healctl
