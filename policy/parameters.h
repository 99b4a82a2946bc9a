#pragma once
// What an action takes, and what a caller gave once it has been checked against that.

#include "base/expected.h"
#include "policy/pattern.h"
#include "protocol/code.h"
#include "protocol/json_reader.h"

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace luminous_healing::policy {

enum class ParameterType {
    string,
    integer,  ///< a JSON number written as plain digits: 1e3, 1.0 and "1" are not integers
    boolean,
    unit,  ///< a unit name, given to the action in its full form
};

/// One parameter: its type from the action, narrowed by the configuration.
struct ParameterSpec {
    std::string name;
    ParameterType type = ParameterType::string;
    bool required = true;
    std::string description = {};                   ///< for people, in `plan` and `actions`
    std::optional<std::string> default_value = {};  ///< as text; only when not required
    std::int64_t minimum = std::numeric_limits<std::int64_t>::min();
    std::int64_t maximum = std::numeric_limits<std::int64_t>::max();
    std::size_t max_length = 256;           ///< of a string, bytes
    std::vector<std::string> choices = {};  ///< of a string: the only values there are; empty = any
    std::optional<Pattern> pattern = {};    ///< of a string
    bool secret = false;                    ///< the audit log has a digest instead

    // The configuration's narrowing: what lies outside is valid but `parameters_not_allowed`.
    std::optional<std::int64_t> allowed_minimum = {};
    std::optional<std::int64_t> allowed_maximum = {};
    std::vector<std::string> allowed = {};
};

using ArgumentValue = std::variant<std::string, std::int64_t, bool>;

/// Checked values by name, defaults filled in, in the order of the specification.
class Arguments {
public:
    void set(std::string name, ArgumentValue value) { values_.emplace_back(std::move(name), std::move(value)); }
    [[nodiscard]] bool has(std::string_view name) const { return find(name) != nullptr; }
    /// Empty / zero when absent or of another type; the specification has made sure that required ones are there.
    [[nodiscard]] std::string text(std::string_view name) const;
    [[nodiscard]] std::int64_t integer(std::string_view name) const;
    /// Any value as text: what fills a `{name}` of a command, and what a lock or a plan shows.
    [[nodiscard]] std::string shown(std::string_view name) const;
    [[nodiscard]] const std::vector<std::pair<std::string, ArgumentValue>>& all() const { return values_; }

private:
    [[nodiscard]] const ArgumentValue* find(std::string_view name) const;
    std::vector<std::pair<std::string, ArgumentValue>> values_;
};

struct ParameterProblem {
    protocol::Code code = protocol::Code::parameters_invalid;  ///< or parameters_not_allowed
    std::string detail;
};

/// Checks what was given against the specification: unknown, missing, wrong type, out of range, not allowed.
[[nodiscard]] tl::expected<Arguments, ParameterProblem> check_parameters(
    const std::vector<ParameterSpec>& specification, const std::vector<protocol::JsonMember>& given);

/// What was given, as the audit log may have it: one compact JSON object, secret values replaced by their SHA-256.
[[nodiscard]] std::string audited_parameters(const std::vector<ParameterSpec>& specification,
                                             const std::vector<protocol::JsonMember>& given);

}  // namespace luminous_healing::policy
