#pragma once
// A TOML document as a tree of plain values, each with its line. The only place that knows toml++.

#include "base/expected.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace luminous_healing::executor {

struct ConfigMember;

struct ConfigNode {
    enum class Kind { string, integer, boolean, array, table, other };  ///< other: floats, dates and times
    Kind kind = Kind::other;
    int line = 0;      ///< of the value; in a table's members, of the key
    std::string text;  ///< of a string
    std::int64_t integer = 0;
    bool boolean = false;
    std::vector<ConfigNode> items;      ///< of an array
    std::vector<ConfigMember> members;  ///< of a table, in the order of their lines

    [[nodiscard]] bool is(Kind k) const noexcept { return kind == k; }
    /// The member of that name, or nullptr.
    [[nodiscard]] const ConfigNode* find(std::string_view name) const noexcept;
};

struct ConfigMember {
    std::string name;
    ConfigNode value;
};

/// "a string", "a list", …: for messages.
[[nodiscard]] std::string_view kind_name(ConfigNode::Kind kind);

struct SyntaxProblem {
    int line = 0;
    std::string what;
};

/// Reads the text of a TOML 1.0 document; a key given twice is an error, and so is a line over
/// 2048 bytes. Never throws.
[[nodiscard]] tl::expected<ConfigNode, SyntaxProblem> parse_config_document(std::string_view text);

}  // namespace luminous_healing::executor
