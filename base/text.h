#pragma once
// Text that crosses a trust boundary: bounded, valid UTF-8, and unable to drive a terminal or forge a line.

#include <charconv>
#include <optional>
#include <string>
#include <string_view>

namespace luminous_healing {

/// Lowercase hexadecimal of the bytes.
[[nodiscard]] std::string to_hex(std::string_view bytes);

/// The bytes behind lowercase hexadecimal; nothing for odd length or any other character.
[[nodiscard]] std::optional<std::string> from_hex(std::string_view hex);

/// Is it well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF)?
[[nodiscard]] bool is_valid_utf8(std::string_view text);

/// The text with each ill-formed byte replaced by U+FFFD and everything else as it was.
[[nodiscard]] std::string repaired_utf8(std::string_view text);

/// Text for people, made safe to show: ill-formed UTF-8 becomes U+FFFD; control characters (C0 but newline and tab,
/// DEL, C1) and the bidirectional controls (U+202A-202E, U+2066-2069) are dropped; cut to at most `max_bytes` at a
/// character's border. `truncated`, when given, says whether it was cut.
[[nodiscard]] std::string printable(std::string_view text, std::size_t max_bytes, bool* truncated = nullptr);

/// As printable(), on one line: newline and tab become a space.
[[nodiscard]] std::string printable_line(std::string_view text, std::size_t max_bytes);

/// The same JSON on one line, safe to show: in a string JSON allows DEL, U+0080 to U+009F and the bidirectional
/// controls as they are, and a terminal obeys some; between values it allows tabs and line breaks, which become spaces.
[[nodiscard]] std::string with_controls_escaped(std::string_view json);

/// Is it printable ASCII alone, so that printable_line() would only cut it?
[[nodiscard]] bool is_printable_line(std::string_view text);

[[nodiscard]] std::string_view trim(std::string_view text);

/// A decimal integer that is the whole text: no sign but '-', no leading '+', no white space, no exponent.
template <class Int>
[[nodiscard]] std::optional<Int> parse_integer(std::string_view text) {
    Int value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return {};
    return value;
}

}  // namespace luminous_healing
