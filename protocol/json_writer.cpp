#include "protocol/json_writer.h"

#include "base/text.h"
#include "protocol/json_reader.h"

#include <rapidjson/encodings.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <algorithm>
#include <cstring>

namespace luminous_healing::protocol {

using Buffer = rapidjson::StringBuffer;

/// With the part that knows which comma or colon comes next: what is JSON already is placed after it as it is.
struct Writer : rapidjson::Writer<Buffer, rapidjson::UTF8<>, rapidjson::ASCII<>> {
    using rapidjson::Writer<Buffer, rapidjson::UTF8<>, rapidjson::ASCII<>>::Writer;
    using rapidjson::Writer<Buffer, rapidjson::UTF8<>, rapidjson::ASCII<>>::Prefix;
};

struct JsonWriter::Impl {
    explicit Impl(std::size_t expected) : buffer(nullptr, expected) {}
    Buffer buffer;
    Writer writer{buffer};

    /// A member's name or a string value; the writer knows by itself which of the two comes next.
    void text(std::string_view text);
    /// A string that stands in JSON as it is. RapidJSON would look at each of its bytes once more.
    void place_string(std::string_view text);
};

namespace {

rapidjson::SizeType size_of(std::string_view text) { return static_cast<rapidjson::SizeType>(text.size()); }

/// The string as JSON with DEL as \u007F: RapidJSON would write that one as it is.
std::string without_del(std::string_view text) {
    Buffer buffer;
    Writer(buffer).String(text.data(), size_of(text));
    std::string json;
    for (const char c : std::string_view(buffer.GetString(), buffer.GetSize())) {
        if (c == '\x7F') json += "\\u007F";
        else json += c;
    }
    return json;
}

constexpr std::uint64_t each(unsigned char byte) { return byte * std::uint64_t{0x0101010101010101}; }

/// The highest bit of each of the eight bytes that is zero (and perhaps of one above such a byte): "has a zero byte".
constexpr std::uint64_t zero_bytes(std::uint64_t word) { return (word - each(1)) & ~word; }

/// Nonzero in the highest bit of a byte: one of the eight needs an escape. Below a space, DEL or above, '"', '\\'.
constexpr std::uint64_t escapes_in(std::uint64_t word) {
    return (word | (word - each(0x20)) | (word + each(1)) | zero_bytes(word ^ each('"')) |
            zero_bytes(word ^ each('\\'))) &
           each(0x80);
}

std::uint64_t word_at(const char* bytes) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes, sizeof word);
    return word;
}

/// Nearly every string: one that stands in JSON as it is. Eight characters at a time, the last eight perhaps again.
bool needs_no_escape(std::string_view text) {
    constexpr std::size_t kWord = sizeof(std::uint64_t);
    if (text.size() < kWord) {
        return std::all_of(text.begin(), text.end(),
                           [](char c) { return c >= 0x20 && c < 0x7F && c != '"' && c != '\\'; });
    }
    const char* const last = text.data() + text.size() - kWord;
    std::uint64_t escapes = escapes_in(word_at(last));
    for (const char* at = text.data(); at < last; at += kWord) escapes |= escapes_in(word_at(at));
    return escapes == 0;
}

}  // namespace

void JsonWriter::Impl::place_string(std::string_view text) {
    writer.Prefix(rapidjson::kStringType);
    char* at = buffer.Push(text.size() + 2);
    *at++ = '"';
    at = std::copy(text.begin(), text.end(), at);
    *at = '"';
}

void JsonWriter::Impl::text(std::string_view text) {
    if (needs_no_escape(text)) {
        place_string(text);
    } else if (!is_valid_utf8(text)) {
        this->text(repaired_utf8(text));
    } else if (text.find('\x7F') != std::string_view::npos) {
        const std::string json = without_del(text);
        writer.RawValue(json.data(), json.size(), rapidjson::kStringType);
    } else {
        writer.String(text.data() == nullptr ? "" : text.data(), size_of(text));
    }
}

JsonWriter::JsonWriter(std::size_t expected) : impl_(std::make_unique<Impl>(expected)) {}
JsonWriter::~JsonWriter() = default;

JsonWriter& JsonWriter::begin_object() {
    impl_->writer.StartObject();
    return *this;
}
JsonWriter& JsonWriter::end_object() {
    impl_->writer.EndObject();
    return *this;
}
JsonWriter& JsonWriter::begin_array() {
    impl_->writer.StartArray();
    return *this;
}
JsonWriter& JsonWriter::end_array() {
    impl_->writer.EndArray();
    return *this;
}
JsonWriter& JsonWriter::key(JsonName name) {
    impl_->place_string(name.text());
    return *this;
}
JsonWriter& JsonWriter::key_text(std::string_view name) {
    impl_->text(name);
    return *this;
}
JsonWriter& JsonWriter::string(std::string_view text) {
    impl_->text(text);
    return *this;
}
JsonWriter& JsonWriter::integer(std::int64_t value) {
    impl_->writer.Int64(value);
    return *this;
}
JsonWriter& JsonWriter::boolean(bool value) {
    impl_->writer.Bool(value);
    return *this;
}
JsonWriter& JsonWriter::null() {
    impl_->writer.Null();
    return *this;
}
JsonWriter& JsonWriter::raw(std::string_view json) {
    impl_->writer.Prefix(rapidjson::kObjectType);
    std::copy(json.begin(), json.end(), impl_->buffer.Push(json.size()));
    return *this;
}

JsonWriter& JsonWriter::value(const Json& json) {
    switch (json.kind) {
        case Json::Kind::null: return null();
        case Json::Kind::boolean: return boolean(json.boolean);
        case Json::Kind::number: return raw(json.text);
        case Json::Kind::string: return string(json.text);
        case Json::Kind::array:
            begin_array();
            for (const auto& item : json.items) value(item);
            return end_array();
        case Json::Kind::object:
            begin_object();
            for (const auto& m : json.members) {
                key_text(m.name);
                value(m.value);
            }
            return end_object();
    }
    return null();
}

JsonWriter& JsonWriter::member_or_null(JsonName name, const std::optional<std::string>& text) {
    key(name);
    return text ? string(*text) : null();
}
JsonWriter& JsonWriter::member_or_null(JsonName name, const std::optional<std::int64_t>& value) {
    key(name);
    return value ? integer(*value) : null();
}

std::string_view JsonWriter::text() const { return {impl_->buffer.GetString(), impl_->buffer.GetSize()}; }

}  // namespace luminous_healing::protocol
