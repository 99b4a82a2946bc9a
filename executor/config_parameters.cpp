#include "executor/config_sections.h"

#include "base/text.h"
#include "protocol/limits.h"

#include <algorithm>
#include <cctype>

namespace luminous_healing::executor {
namespace {

using Kind = ConfigNode::Kind;
using policy::ParameterSpec;
using policy::ParameterType;

constexpr std::int64_t kMostLength = 4096;  // bytes of one argument

bool is_parameter_name(std::string_view name) {
    return is_valid_config_name(name) && name.find('.') == std::string_view::npos &&
           std::isdigit(static_cast<unsigned char>(name[0])) == 0;
}

protocol::Json as_json(const ParameterSpec& spec, const std::string& value) {
    protocol::Json json;
    json.kind = spec.type == ParameterType::integer   ? protocol::Json::Kind::number
                : spec.type == ParameterType::boolean ? protocol::Json::Kind::boolean
                                                      : protocol::Json::Kind::string;
    json.boolean = value == "true";
    json.text = value;
    return json;
}

/// Why a caller could not give this value, or nothing: asked of the very check that requests go through.
std::optional<std::string> mistake_of_value(const ParameterSpec& spec, const std::string& value) {
    const auto checked = policy::check_parameters({spec}, {{spec.name, as_json(spec, value)}});
    return checked ? std::nullopt : std::optional(checked.error().detail);
}

/// One parameters.NAME: what it says goes into `spec`.
class ParameterReader {
public:
    ParameterReader(Table& table, ParameterSpec& spec, Reading& reading)
        : table_(table), spec_(spec), reading_(reading) {}

    void type();
    void pattern();
    void allowed();
    void max_length();
    void own_bounds();
    void narrower_bounds();
    void default_value();
    void given_or_default(bool was_required);
    void not_for_this_type();
    void enough_is_said();

private:
    [[nodiscard]] std::string type_name() const {
        return spec_.type == ParameterType::integer   ? "an integer"
               : spec_.type == ParameterType::boolean ? "a boolean"
                                                      : "a string";
    }

    Table& table_;
    ParameterSpec& spec_;
    Reading& reading_;
};

void ParameterReader::type() {
    if (!table_.has("type")) table_.problem("type", "is missing. Write type = \"string\", \"integer\" or \"boolean\"");
    const auto written = table_.text("type");
    if (!written) return;
    if (*written == "string") spec_.type = ParameterType::string;
    else if (*written == "integer") spec_.type = ParameterType::integer;
    else if (*written == "boolean") spec_.type = ParameterType::boolean;
    else
        table_.problem("type", "is " + quoted(*written) + did_you_mean(*written, {"string", "integer", "boolean"}) +
                                   ". Write \"string\", \"integer\" or \"boolean\"");
}

void ParameterReader::pattern() {
    const auto written = table_.text("pattern");
    if (!written) return;
    auto compiled = policy::Pattern::compile(*written);
    if (!compiled)
        return table_.problem("pattern", printable_line(compiled.error().message, 200) +
                                             ". Write an expression as in regex(7); it must match the whole value");
    if (compiled->matches("; rm -rf /\n\x1b") || compiled->matches("../../etc/shadow"))
        table_.warning("pattern",
                       quoted(*written) + " lets almost any text through. List the characters that may occur");
    spec_.pattern = std::move(*compiled);
}

void ParameterReader::allowed() {
    const auto entries = table_.distinct_texts("allowed", Table::WhenEmpty::refuse);
    if (!entries) return;
    std::vector<std::string> values;
    for (const auto& entry : *entries) {
        if (const auto mistake = mistake_of_value(spec_, entry.text))
            reading_.findings.problem(entry.line, table_.name() + ".allowed: " + quoted(entry.text) +
                                                      " can never be given: " + *mistake +
                                                      ". Correct it, or remove it from the list");
        values.push_back(entry.text);
    }
    spec_.allowed = std::move(values);
}

void ParameterReader::max_length() {
    if (const auto length = table_.integer("max_length", 1, kMostLength))
        spec_.max_length = static_cast<std::size_t>(*length);
}

void ParameterReader::own_bounds() {
    constexpr auto kLeast = std::numeric_limits<std::int64_t>::min();
    constexpr auto kMost = std::numeric_limits<std::int64_t>::max();
    // Without `min` nothing below zero: "-5" as an argument would be an option.
    spec_.minimum = table_.integer("min", kLeast, kMost).value_or(0);
    spec_.maximum = table_.integer("max", kLeast, kMost).value_or(kMost);
    if (spec_.minimum < 0)
        table_.warning("min", "a negative value begins with -, and the program may take it for an option");
    if (spec_.minimum > spec_.maximum) table_.problem("max", "is below min. Write min first, then a max not below it");
}

void ParameterReader::narrower_bounds() {
    spec_.allowed_minimum = table_.integer("min", spec_.minimum, spec_.maximum);
    spec_.allowed_maximum = table_.integer("max", spec_.minimum, spec_.maximum);
    if (spec_.allowed_minimum.value_or(spec_.minimum) > spec_.allowed_maximum.value_or(spec_.maximum))
        table_.problem("max", "is below min. Write min first, then a max not below it");
}

void ParameterReader::default_value() {
    const auto* const node = table_.any("default");
    if (node == nullptr) return;
    const bool fits = (spec_.type == ParameterType::integer && node->is(Kind::integer)) ||
                      (spec_.type == ParameterType::boolean && node->is(Kind::boolean)) ||
                      (spec_.type == ParameterType::string && node->is(Kind::string));
    if (!fits)
        return table_.problem("default",
                              "is " + std::string(kind_name(node->kind)) + ", but the parameter is " + type_name());
    spec_.default_value = node->is(Kind::integer)   ? std::to_string(node->integer)
                          : node->is(Kind::boolean) ? std::string(node->boolean ? "true" : "false")
                                                    : node->text;
    spec_.required = false;
}

void ParameterReader::given_or_default(bool was_required) {
    const auto required = table_.boolean("required");
    if (required && *required && table_.has("default"))
        return table_.problem("required", "a required parameter takes no default. Remove one of the two");
    if (required && *required) {
        spec_.required = true;
        spec_.default_value.reset();
    } else if (required && was_required && !table_.has("default")) {
        table_.problem("required", "is false without a default. Write default = …, or required = true");
    }
    if (!spec_.default_value) return;
    // A default goes to the action without a check, so it is checked here.
    if (const auto mistake = mistake_of_value(spec_, *spec_.default_value))
        table_.problem("default", "the default " + quoted(*spec_.default_value) + " is not allowed: " + *mistake +
                                      ". Write a default within the limits, or required = true");
}

void ParameterReader::not_for_this_type() {
    const auto refuse = [&](std::initializer_list<const char*> keys, const std::string& what) {
        for (const auto* const key : keys)
            if (table_.has(key)) table_.refuse(key, "is for " + what + ", and this is " + type_name() + ". Remove it");
    };
    if (spec_.type != ParameterType::string) refuse({"pattern", "allowed", "max_length"}, "strings");
    if (spec_.type != ParameterType::integer) refuse({"min", "max"}, "integers");
}

void ParameterReader::enough_is_said() {
    if (spec_.type != ParameterType::string || table_.has("pattern") || table_.has("allowed")) return;
    reading_.findings.problem(table_.line(""), table_.name() +
                                                   ": a string needs limits. Write pattern = \"[a-z0-9-]+\" "
                                                   "or allowed = [\"…\"]");
}

ParameterSpec read_declared(const std::string& name, Table& table, Reading& reading) {
    ParameterSpec spec;
    spec.name = name;
    ParameterReader reader(table, spec, reading);
    reader.type();
    reader.not_for_this_type();
    if (spec.type == ParameterType::string) {
        reader.max_length();
        reader.pattern();
        reader.allowed();
        reader.enough_is_said();
    } else if (spec.type == ParameterType::integer) {
        reader.own_bounds();
    }
    reader.default_value();
    reader.given_or_default(true);
    spec.secret = table.boolean("secret").value_or(false);
    spec.description = table.text("description").value_or("");
    if (spec.secret && spec.default_value)
        table.warning("default", "a secret is written in a file that others may read");
    table.finish();
    return spec;
}

void narrow_one(Table& table, ParameterSpec& spec, Reading& reading) {
    if (spec.type == ParameterType::unit)
        return reading.findings.problem(table.line(""), table.name() +
                                                            ": a unit is narrowed by the action's units = "
                                                            "[\"…\"]. Remove this table");
    ParameterReader reader(table, spec, reading);
    reader.not_for_this_type();
    if (spec.type == ParameterType::integer) reader.narrower_bounds();
    if (spec.type == ParameterType::string) {
        if (spec.choices.empty() && !spec.pattern) reader.pattern();
        reader.allowed();
    }
    const bool was_required = spec.required;
    reader.default_value();
    reader.given_or_default(was_required);
    const bool narrowed = table.has("min") || table.has("max") || table.has("allowed") || table.has("pattern");
    if (narrowed && !spec.required && !spec.default_value)
        reading.findings.warning(table.line(""), table.name() +
                                                     ": the limits bind only a request that gives it. Add "
                                                     "required = true if it must be given");
    table.finish();
}

/// Each member of `parameters`, as a table that is not empty.
template <class Read>
void for_each_parameter(Table& action, Reading& reading, Read read) {
    const auto* const parameters = action.table("parameters");
    if (parameters == nullptr) return;
    if (parameters->members.empty())
        action.problem("parameters", "is an empty table. Write parameters.NAME = { … }, or leave it out");
    for (const auto& [name, node] : parameters->members) {
        Table table(node, action.name() + ".parameters." + name, reading.findings);
        if (!node.is(Kind::table)) continue;
        if (node.members.empty())
            reading.findings.problem(node.line,
                                     table.name() + ": is an empty table. Write what it limits, or remove it");
        else read(name, table);
    }
}

}  // namespace

std::vector<ParameterSpec> read_declared_parameters(Table& action, Reading& reading) {
    std::vector<ParameterSpec> specification;
    for_each_parameter(action, reading, [&](const std::string& name, Table& table) {
        if (!is_parameter_name(name))
            reading.findings.problem(table.line(""), action.name() + ": a parameter is named " + quoted(name) +
                                                         ". Write 1 to 64 of A-Z a-z 0-9 _ -, a letter first");
        specification.push_back(read_declared(name, table, reading));
    });
    return specification;
}

void narrow_parameters(Table& action, std::vector<ParameterSpec>& parameters, Reading& reading) {
    for_each_parameter(action, reading, [&](const std::string& name, Table& table) {
        const auto found = std::find_if(parameters.begin(), parameters.end(),
                                        [&](const ParameterSpec& spec) { return spec.name == name; });
        if (found != parameters.end()) return narrow_one(table, *found, reading);
        std::vector<std::string> names;
        for (const auto& spec : parameters) names.push_back(spec.name);
        reading.findings.problem(
            table.line(""), action.name() + " has no parameter " + quoted(name) + did_you_mean(name, names) +
                                (names.empty() ? ". It takes none; remove this" : ". Write one of " + joined(names)));
    });
}

}  // namespace luminous_healing::executor
