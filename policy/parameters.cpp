#include "policy/parameters.h"

#include "base/text.h"
#include "policy/unit_name.h"
#include "protocol/mac.h"
#include "protocol/request.h"

#include <algorithm>

namespace luminous_healing::policy {
namespace {

using protocol::Code;
using protocol::Json;

constexpr std::size_t kShown = 80;  // bytes of a refused value that a message repeats

tl::unexpected<ParameterProblem> problem(Code code, std::string detail) {
    return tl::unexpected<ParameterProblem>(ParameterProblem{code, std::move(detail)});
}
tl::unexpected<ParameterProblem> invalid(std::string detail) {
    return problem(Code::parameters_invalid, std::move(detail));
}

std::string joined(const std::vector<std::string>& words) {
    std::string text;
    for (const auto& word : words) text += (text.empty() ? "" : ", ") + word;
    return text;
}

bool contains(const std::vector<std::string>& words, const std::string& word) {
    return std::find(words.begin(), words.end(), word) != words.end();
}

using Checked = tl::expected<ArgumentValue, ParameterProblem>;

Checked check_integer(const ParameterSpec& spec, const Json& value) {
    const auto number = value.is(Json::Kind::number) ? parse_integer<std::int64_t>(value.text) : std::nullopt;
    if (!number) return invalid("parameter \"" + spec.name + "\" must be a whole number in plain digits");
    if (*number < spec.minimum || *number > spec.maximum)
        return invalid("parameter \"" + spec.name + "\" must be from " + std::to_string(spec.minimum) + " to " +
                       std::to_string(spec.maximum));
    if (*number < spec.allowed_minimum.value_or(spec.minimum) || *number > spec.allowed_maximum.value_or(spec.maximum))
        return problem(Code::parameters_not_allowed, "the policy allows \"" + spec.name + "\" only from " +
                                                         std::to_string(spec.allowed_minimum.value_or(spec.minimum)) +
                                                         " to " +
                                                         std::to_string(spec.allowed_maximum.value_or(spec.maximum)));
    return *number;
}

Checked check_string(const ParameterSpec& spec, const std::string& text) {
    const std::string shown = spec.secret ? "a secret" : "\"" + printable_line(text, kShown) + "\"";
    if (text.empty()) return invalid("parameter \"" + spec.name + "\" is empty");
    if (text.size() > spec.max_length)
        return invalid("parameter \"" + spec.name + "\" is longer than " + std::to_string(spec.max_length) + " bytes");
    if (text.find('\0') != std::string::npos) return invalid("parameter \"" + spec.name + "\" has a NUL character");
    if (!spec.choices.empty() && !contains(spec.choices, text))
        return invalid("parameter \"" + spec.name + "\" is " + shown + ", it must be one of " + joined(spec.choices));
    if (text[0] == '-' && !(spec.pattern && spec.pattern->allows_leading_dash()))
        return invalid("parameter \"" + spec.name + "\" begins with '-'");
    if (spec.pattern && !spec.pattern->matches(text))
        return problem(Code::parameters_not_allowed, "parameter \"" + spec.name + "\" is " + shown +
                                                         ", which does not match the policy's pattern " +
                                                         spec.pattern->text());
    if (!spec.allowed.empty() && !contains(spec.allowed, text))
        return problem(Code::parameters_not_allowed,
                       "the policy allows \"" + spec.name + "\" only as " + joined(spec.allowed));
    return text;
}

Checked check_one(const ParameterSpec& spec, const Json& value) {
    switch (spec.type) {
        case ParameterType::integer: return check_integer(spec, value);
        case ParameterType::boolean:
            if (!value.is(Json::Kind::boolean)) return invalid("parameter \"" + spec.name + "\" must be true or false");
            return value.boolean;
        case ParameterType::string:
        case ParameterType::unit: break;
    }
    if (!value.is(Json::Kind::string)) return invalid("parameter \"" + spec.name + "\" must be a string");
    if (spec.type == ParameterType::string) return check_string(spec, value.text);
    auto unit = normalise_unit_name(value.text);
    if (!unit) return invalid("parameter \"" + spec.name + "\": " + unit.error().message);
    return std::move(*unit);
}

ArgumentValue default_of(ParameterType type, const std::string& text) {
    if (type == ParameterType::integer) return parse_integer<std::int64_t>(text).value_or(0);
    if (type == ParameterType::boolean) return text == "true";
    return text;
}

}  // namespace

const ArgumentValue* Arguments::find(std::string_view name) const {
    for (const auto& [key, value] : values_) {
        if (key == name) return &value;
    }
    return nullptr;
}

std::string Arguments::text(std::string_view name) const {
    const auto* const value = find(name);
    const auto* const text = value != nullptr ? std::get_if<std::string>(value) : nullptr;
    return text != nullptr ? *text : std::string();
}

std::int64_t Arguments::integer(std::string_view name) const {
    const auto* const value = find(name);
    const auto* const number = value != nullptr ? std::get_if<std::int64_t>(value) : nullptr;
    return number != nullptr ? *number : 0;
}

std::string Arguments::shown(std::string_view name) const {
    const auto* const value = find(name);
    if (value == nullptr) return {};
    if (const auto* const number = std::get_if<std::int64_t>(value)) return std::to_string(*number);
    if (const auto* const flag = std::get_if<bool>(value)) return *flag ? "true" : "false";
    return std::get<std::string>(*value);
}

tl::expected<Arguments, ParameterProblem> check_parameters(const std::vector<ParameterSpec>& specification,
                                                           const std::vector<protocol::JsonMember>& given) {
    for (const auto& member : given) {
        const auto known = std::any_of(specification.begin(), specification.end(),
                                       [&](const ParameterSpec& spec) { return spec.name == member.name; });
        if (!known) return invalid("unknown parameter \"" + printable_line(member.name, kShown) + "\"");
    }
    Arguments arguments;
    for (const auto& spec : specification) {
        const auto found = std::find_if(given.begin(), given.end(),
                                        [&](const protocol::JsonMember& member) { return member.name == spec.name; });
        if (found != given.end()) {
            auto value = check_one(spec, found->value);
            if (!value) return tl::unexpected(value.error());
            arguments.set(spec.name, std::move(*value));
        } else if (spec.required) {
            return invalid("parameter \"" + spec.name + "\" is missing");
        } else if (spec.default_value) {
            arguments.set(spec.name, default_of(spec.type, *spec.default_value));
        }
    }
    return arguments;
}

std::string audited_parameters(const std::vector<ParameterSpec>& specification,
                               const std::vector<protocol::JsonMember>& given) {
    auto shown = given;
    for (auto& member : shown) {
        const auto secret = std::any_of(specification.begin(), specification.end(), [&](const ParameterSpec& spec) {
            return spec.secret && spec.name == member.name;
        });
        if (!secret) continue;
        const auto digest = protocol::sha256(member.value.text);
        member.value = Json{};
        member.value.kind = Json::Kind::string;
        member.value.text = "sha256:" + to_hex({digest.data(), digest.size()});
    }
    return protocol::write_parameters(shown);
}

}  // namespace luminous_healing::policy
