// The configuration reader: a file is refused with places and reasons, or read into a policy in which everything that
// decide() and a worker rely on holds.

#include "executor/config_file.h"

#include "base/text.h"
#include "executor/config_document.h"
#include "executor/config_table.h"
#include "policy/unit_name.h"
#include "tests/fuzz/folder.h"
#include "tests/fuzz/support.h"

#include <algorithm>
#include <set>

using namespace luminous_healing;
using namespace luminous_healing::executor;
using namespace luminous_healing::fuzz;

namespace {

constexpr std::size_t kMaxShown = 1U << 20U;

bool is_safe(const std::string& text) { return !text.empty() && text == printable_line(text, kMaxShown); }

const Folder& folder() {
    static const Folder made;
    return made;
}

ConfigSources sources() {
    static const bool keys_are_there = [] {
        ::mkdir(folder().file("keys").c_str(), 0700);
        for (const std::string name : {"good-key", "other-key", "third-key", "fourth-key", "fifth-key"})
            folder().write("keys/" + name, "0123456789abcdef-the-key-named-" + name + "\n");
        folder().write("keys/short-key", "short");
        return true;
    }();
    must(keys_are_there, "keys are there");
    ConfigSources result;
    result.key_directory = folder().file("keys");
    result.check_owner = false;
    return result;
}

/// Line numbers lie in the file, and the words can be shown.
void check_problems(const std::vector<ConfigProblem>& problems, std::string_view text, bool in_order) {
    must(!problems.empty(), "what is refused is refused for a reason");
    const auto lines = std::count(text.begin(), text.end(), '\n') + 1;
    std::int64_t before = 0;
    for (const auto& problem : problems) {
        const std::string start = folder().file("config.toml") + ":";
        must(problem.where.starts_with(start), "a problem is at a place in the file");
        const auto line = parse_integer<std::int64_t>(std::string_view(problem.where).substr(start.size()));
        must(line && *line >= 1 && *line <= lines, "on a line that the file has");
        must(!in_order || *line >= before, "and problems are told in the order of their lines");
        must(is_safe(problem.what), "in words that are safe to show");
        before = *line;
    }
}

bool has_action(const policy::Config& config, const ActionName& name) { return config.actions.contains(name); }

void check_callers(const policy::Config& config) {
    for (const auto& [name, caller] : config.callers) {
        must(name == caller.name && is_valid_config_name(name.str()), "a caller has a plain name");
        must(!caller.keys.empty() && caller.keys.size() <= 2, "and one key, or two while one is replaced");
        must(!caller.users.empty(), "and users: nothing is open by omission");
        must(std::find(caller.users.begin(), caller.users.end(), static_cast<uid_t>(-1)) == caller.users.end(),
             "the invalid uid is nobody");
        for (const auto& action : caller.actions) must(has_action(config, action), "every action is enabled");
    }
}

void check_parameters(const policy::ActionPolicy& action) {
    std::set<std::string> names;
    bool needs_more = false;
    for (const auto& spec : action.parameters) {
        must(names.insert(spec.name).second, "a parameter is declared once");
        must(spec.minimum <= spec.maximum, "a range is not empty");
        must(spec.allowed_minimum.value_or(spec.minimum) <= spec.allowed_maximum.value_or(spec.maximum),
             "nor is what the policy leaves of it");
        must(!spec.required || !spec.default_value, "a required parameter has no default");
        needs_more = needs_more || spec.required;
    }
    const auto checked = policy::check_parameters(action.parameters, {});
    must(checked.has_value() != needs_more, "defaults are values that a caller could have sent");
}

void check_command(const policy::CommandSettings& command) {
    for (const auto* const line : {&command.command, &command.verify, &command.undo}) {
        if (line->empty()) continue;
        must(is_plain_absolute_path(line->front()), "a program is named by its whole path");
        must(std::none_of(line->begin(), line->end(),
                          [](const std::string& word) { return word.empty() || word.find('\0') != std::string::npos; }),
             "arguments are not empty");
    }
    must(!command.command.empty(), "a command has a program");
    for (const auto& path : command.writes) must(is_plain_absolute_path(path), "what it writes is a whole path");
}

void check_actions(const policy::Config& config) {
    for (const auto& [name, action] : config.actions) {
        must(name == action.name && is_valid_config_name(name.str()), "an action has a plain name");
        must(name.str() != "status" && name.str() != "confirm", "and not one of the daemon's own");
        must(action.timeout > Micros(0) && action.timeout <= kLongestTimeout, "it ends");
        must(action.rate_limit.window > Micros(0), "a window has a length");
        must(!action.target_group.empty() || action.command, "it excludes itself");
        check_parameters(action);
        if (action.command) check_command(*action.command);
        const bool has_unit = std::any_of(action.parameters.begin(), action.parameters.end(),
                                          [](const auto& spec) { return spec.type == policy::ParameterType::unit; });
        must(!has_unit || !action.units.empty(), "units are listed, or there is no action on units");
        for (const auto& unit : action.units)
            must(policy::is_wildcard(unit) || policy::is_valid_unit_name(unit), "an entry is a glob or a full name");
    }
}

void check_config(const policy::Config& config) {
    must(config.daemon.max_clock_skew > Micros(0) && config.daemon.max_clock_skew <= Micros(1h),
         "the clock is compared");
    must(config.daemon.socket.starts_with('/') && config.audit.path.starts_with('/'), "paths are absolute");
    must(config.audit.keep >= 1 && config.audit.rotate_size >= 128 * 1024, "the log is kept");
    must(config.digest.size() == 64, "the file has a digest");
    for (const auto& warning : config.warnings) must(is_safe(warning), "warnings are safe to show");
    check_callers(config);
    check_actions(config);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto text = text_of(data, size);
    folder().write("config.toml", text);
    const auto config = read_config(folder().file("config.toml"), sources());
    const auto again = read_config(folder().file("config.toml"), sources());
    must(config.has_value() == again.has_value(), "a file is read the same twice");
    if (!config) {
        check_problems(config.error(), text, true);
        return 0;
    }
    must(parse_config_document(text).has_value(), "a policy is valid TOML");
    check_config(*config);
    const auto keys = read_keys(*config, sources());
    if (!keys) {
        check_problems(keys.error(), text, false);
        return 0;
    }
    must(keys->size() == config->callers.size(), "every caller has its keys");
    return 0;
}
