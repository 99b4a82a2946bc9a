#include "healctl/actions_table.h"

#include "base/text.h"
#include "base/units.h"
#include "protocol/json_reader.h"
#include "protocol/limits.h"

#include <algorithm>
#include <cstdint>

namespace luminous_healing::healctl {
namespace {

using protocol::Json;
using Kind = protocol::Json::Kind;

std::string text_of(const Json& object, std::string_view name) {
    const Json* const value = object.find(name);
    return value != nullptr && value->is(Kind::string) ? printable_line(value->text, 300) : std::string();
}

std::int64_t number_of(const Json& object, std::string_view name) {
    const Json* const value = object.find(name);
    return value != nullptr && value->is(Kind::number) ? parse_integer<std::int64_t>(value->text).value_or(0) : 0;
}

bool flag_of(const Json& object, std::string_view name) {
    const Json* const value = object.find(name);
    return value != nullptr && value->is(Kind::boolean) && value->boolean;
}

std::string upper(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(),
                   [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
    return text;
}

/// "restart_service service=UNIT", optional parameters in brackets.
std::string usage_of(const Json& action, const Look& look) {
    std::string usage = look.paint(Tone::bold, text_of(action, "name"));
    const Json* const parameters = action.find("parameters");
    if (parameters == nullptr) return usage;
    for (const Json& parameter : parameters->items) {
        const std::string written = text_of(parameter, "name") + "=" + upper(text_of(parameter, "type"));
        usage += flag_of(parameter, "required") ? " " + written : " [" + written + "]";
    }
    return usage;
}

std::string state_of(const Json& action, const Look& look) {
    if (const std::string why = text_of(action, "unavailable"); !why.empty())
        return look.mark(false) + " cannot work here: " + why;
    if (!flag_of(action, "allowed")) return look.mark(false) + " not allowed to this caller";
    const std::int64_t window = number_of(action, "window_ms");
    const std::int64_t remaining = number_of(action, "remaining");
    const std::string budget = std::to_string(remaining) + " of " + std::to_string(number_of(action, "limit")) +
                               " left" +
                               (window > 0 ? " in " + format_duration(std::chrono::milliseconds(window)) : "");
    return look.mark(remaining > 0) + " " + (remaining > 0 ? budget : look.paint(Tone::warning, budget));
}

std::string parameter_lines(const Json& action, const Look& look) {
    std::string lines;
    const Json* const parameters = action.find("parameters");
    if (parameters == nullptr) return lines;
    for (const Json& parameter : parameters->items) {
        const std::string description = text_of(parameter, "description");
        if (!description.empty())
            lines += look.paint(Tone::dim, "      " + text_of(parameter, "name") + ": " + description) + "\n";
    }
    return lines;
}

}  // namespace

Expected<std::string> render_actions(std::string_view result, const Look& look) {
    const auto object = protocol::read_json_object(result, protocol::kMaxFrame);
    const Json* const actions = object ? object->find("actions") : nullptr;
    if (actions == nullptr || !actions->is(Kind::array))
        return fail("the daemon's answer has no list of actions: compare healctl --version with healctl status");
    std::string text;
    for (const Json& action : actions->items) {
        text += usage_of(action, look) + "\n    " + text_of(action, "summary") + "\n";
        text += parameter_lines(action, look) + "    " + state_of(action, look) + "\n";
    }
    if (flag_of(*object, "truncated")) text += "and more: the list did not fit into one answer\n";
    return text.empty() ? "no action is enabled: list some under [actions.NAME] in the configuration\n" : text;
}

}  // namespace luminous_healing::healctl
