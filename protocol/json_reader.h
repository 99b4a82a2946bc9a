#pragma once
// A strict reader of one JSON object, over simdjson's on-demand parser. Stricter than RFC 8259 where two readers could
// differ: duplicate member names are an error at every depth, so are ill-formed UTF-8 and lone surrogates; numbers keep
// the token that was sent, so nothing is lost to a double.

#include "base/expected.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace luminous_healing::protocol {

struct JsonMember;

struct Json {
    enum class Kind { null, boolean, number, string, array, object };
    Kind kind = Kind::null;
    bool boolean = false;
    std::string text;                 ///< the decoded string, or the number's token as sent
    std::string_view raw;             ///< an object's exact bytes in the input, from '{' to '}'; empty for other kinds
    std::vector<JsonMember> members;  ///< of an object, in the order sent
    std::vector<Json> items;          ///< of an array

    [[nodiscard]] bool is(Kind k) const noexcept { return kind == k; }
    /// The member of that name, or nullptr.
    [[nodiscard]] const Json* find(std::string_view name) const noexcept;
};

struct JsonMember {
    std::string name;
    Json value;
};

/// Reads `input` as exactly one object with nothing but white space around it. Views in the result point into
/// `input`, which must outlive it. Never throws; at most kMaxDepth deep.
[[nodiscard]] Expected<Json> read_json_object(std::string_view input, std::size_t max_bytes);

}  // namespace luminous_healing::protocol
