#pragma once
// A second opinion on JSON: RapidJSON's reader, with the same extra rules as protocol/json_reader.h (no duplicate
// names, no lone surrogates, at most kMaxDepth deep, finite numbers), written without looking at simdjson.

#include "protocol/json_reader.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace luminous_healing::fuzz {

struct Member;

struct Node {
    protocol::Json::Kind kind = protocol::Json::Kind::null;
    bool boolean = false;
    std::string text;       ///< the decoded string, or the number as sent
    std::size_t begin = 0;  ///< of an object, in the input …
    std::size_t end = 0;    ///< … and where it ends
    std::vector<Member> members;
    std::vector<Node> items;

    [[nodiscard]] const Node* find(std::string_view name) const;
    [[nodiscard]] bool is_text() const { return kind == protocol::Json::Kind::string; }
    [[nodiscard]] std::string_view bytes_in(std::string_view input) const { return input.substr(begin, end - begin); }
};

struct Member {
    std::string name;
    Node value;
};

/// The object that is all of `input` but white space; nothing when it is not one.
[[nodiscard]] std::optional<Node> read_all(std::string_view input);

/// The object that `input` begins with, whatever follows.
[[nodiscard]] std::optional<Node> read_first(std::string_view input);

/// Has it a number whose exponent has three digits or more? There the two readers have limits of their own: RapidJSON
/// refuses 0e309, which is zero, and simdjson an exponent of twenty digits. Nothing that we read needs either.
[[nodiscard]] bool has_large_exponent(std::string_view input);

/// Is it the same value, and are the bytes of its objects the same part of `input`?
[[nodiscard]] bool same(const protocol::Json& ours, const Node& theirs, std::string_view input);

}  // namespace luminous_healing::fuzz
