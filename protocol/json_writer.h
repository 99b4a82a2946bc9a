#pragma once
// Writes JSON. Output is pure ASCII (everything else as \uXXXX) on one line, so a written value can neither break a
// line of the log nor drive a terminal. Strings need not be valid UTF-8: what is ill-formed becomes U+FFFD. What stands
// between the values is put here, since every request, answer and record is written by this; strings that need more
// than a backslash before a quotation mark are RapidJSON's.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace luminous_healing::protocol {

struct Json;

/// Values come in the order in which they stand in the text: a name before each member's value, an end for each begin.
class JsonWriter {
public:
    /// `expected`: bytes that the text will have, or some more; one allocation then.
    explicit JsonWriter(std::size_t expected = 240) : text_(expected, '\0') {}

    JsonWriter& begin_object() { return begin('{'); }
    JsonWriter& end_object() { return end('}'); }
    JsonWriter& begin_array() { return begin('['); }
    JsonWriter& end_array() { return end(']'); }
    JsonWriter& key(std::string_view name);
    JsonWriter& string(std::string_view text);
    JsonWriter& integer(std::int64_t value);
    JsonWriter& boolean(bool value) { return raw(value ? "true" : "false"); }
    JsonWriter& null() { return raw("null"); }
    /// Text that is already JSON, written by this class.
    JsonWriter& raw(std::string_view json);
    /// A value that was read, compact and escaped anew.
    JsonWriter& value(const Json& json);

    JsonWriter& member(std::string_view name, std::string_view text) { return key(name).string(text); }
    JsonWriter& member(std::string_view name, const char* text) { return key(name).string(text); }
    JsonWriter& member(std::string_view name, std::int64_t value) { return key(name).integer(value); }
    JsonWriter& member_bool(std::string_view name, bool value) { return key(name).boolean(value); }
    /// Null when absent.
    JsonWriter& member_or_null(std::string_view name, const std::optional<std::string>& text);
    JsonWriter& member_or_null(std::string_view name, const std::optional<std::int64_t>& value);

    /// What has been written; valid until the next call.
    [[nodiscard]] std::string_view text() const { return {text_.data(), size_}; }
    /// The same, and the writer is at its end.
    [[nodiscard]] std::string take() {
        text_.resize(size_);
        return std::move(text_);
    }

private:
    [[nodiscard]] char* room_for(std::size_t bytes);
    [[nodiscard]] char* begin_value(std::size_t bytes);
    void end_at(const char* end) { size_ = static_cast<std::size_t>(end - text_.data()); }
    JsonWriter& begin(char bracket);
    JsonWriter& end(char bracket);
    void write_string(std::string_view text, std::string_view after);

    std::string text_;            // longer than what has been written: room
    std::size_t size_ = 0;        // of what has been written
    bool follows_value_ = false;  // of the same object or array: a comma comes between
};

}  // namespace luminous_healing::protocol
