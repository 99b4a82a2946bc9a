#pragma once
// Writes JSON with RapidJSON's Writer. Output is pure ASCII (everything else as \uXXXX) on one line, so a written
// value can neither break a line of the log nor drive a terminal. Strings need not be valid UTF-8: what is ill-formed
// becomes U+FFFD.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace luminous_healing::protocol {

struct Json;

/// A member's name that stands in the code. The compiler looks whether JSON has it as it is, so that nobody does later.
class JsonName {
public:
    template <std::size_t N>
    consteval JsonName(const char (&literal)[N]) : text_(literal, N - 1) {  // NOLINT(*-explicit-*): so key("x") is one
        for (const char c : text_) {
            if (c < 0x20 || c >= 0x7F || c == '"' || c == '\\') throw "this name needs escapes: use key_text()";
        }
    }
    [[nodiscard]] constexpr std::string_view text() const { return text_; }

private:
    std::string_view text_;
};

class JsonWriter {
public:
    /// `expected`: bytes that the text will have, or some more; one allocation then.
    explicit JsonWriter(std::size_t expected = 240);
    ~JsonWriter();
    JsonWriter(const JsonWriter&) = delete;
    JsonWriter& operator=(const JsonWriter&) = delete;

    JsonWriter& begin_object();
    JsonWriter& end_object();
    JsonWriter& begin_array();
    JsonWriter& end_array();
    JsonWriter& key(JsonName name);
    /// A name that is not known before.
    JsonWriter& key_text(std::string_view name);
    JsonWriter& string(std::string_view text);
    JsonWriter& integer(std::int64_t value);
    JsonWriter& boolean(bool value);
    JsonWriter& null();
    /// Text that is already JSON, written by this class.
    JsonWriter& raw(std::string_view json);
    /// A value that was read, compact and escaped anew.
    JsonWriter& value(const Json& json);

    JsonWriter& member(JsonName name, std::string_view text) { return key(name).string(text); }
    JsonWriter& member(JsonName name, const char* text) { return key(name).string(text); }
    JsonWriter& member(JsonName name, std::int64_t value) { return key(name).integer(value); }
    JsonWriter& member_bool(JsonName name, bool value) { return key(name).boolean(value); }
    /// Null when absent.
    JsonWriter& member_or_null(JsonName name, const std::optional<std::string>& text);
    JsonWriter& member_or_null(JsonName name, const std::optional<std::int64_t>& value);

    /// What has been written; valid until the next call.
    [[nodiscard]] std::string_view text() const;
    [[nodiscard]] std::string take() const { return std::string(text()); }

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace luminous_healing::protocol
