#include "protocol/json_writer.h"

#include "base/text.h"
#include "protocol/json_reader.h"

#include <rapidjson/encodings.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <algorithm>

namespace luminous_healing::protocol {

using Buffer = rapidjson::StringBuffer;
using Writer = rapidjson::Writer<Buffer, rapidjson::UTF8<>, rapidjson::ASCII<>>;

struct JsonWriter::Impl {
    explicit Impl(std::size_t expected) : buffer(nullptr, expected) {}
    Buffer buffer;
    Writer writer{buffer};

    /// A member's name or a string value; the writer knows by itself which of the two comes next.
    void text(std::string_view text);
    /// JSON as it is, with `around` before and after it. RapidJSON would look at each of its bytes once more.
    void place(std::string_view json, rapidjson::Type type, std::string_view around = {});
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

/// Nearly every string: one that stands in JSON as it is.
bool needs_no_escape(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7F && c != '"' && c != '\\'; });
}

}  // namespace

void JsonWriter::Impl::place(std::string_view json, rapidjson::Type type, std::string_view around) {
    writer.RawValue("", 0, type);  // the comma or colon before it
    char* at = buffer.Push(json.size() + 2 * around.size());
    for (const auto piece : {around, json, around}) at = std::copy(piece.begin(), piece.end(), at);
}

void JsonWriter::Impl::text(std::string_view text) {
    if (needs_no_escape(text)) {
        place(text, rapidjson::kStringType, "\"");
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
JsonWriter& JsonWriter::key(std::string_view name) {
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
    impl_->place(json, rapidjson::kObjectType);
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
                key(m.name);
                value(m.value);
            }
            return end_object();
    }
    return null();
}

JsonWriter& JsonWriter::member_or_null(std::string_view name, const std::optional<std::string>& text) {
    key(name);
    return text ? string(*text) : null();
}
JsonWriter& JsonWriter::member_or_null(std::string_view name, const std::optional<std::int64_t>& value) {
    key(name);
    return value ? integer(*value) : null();
}

std::string_view JsonWriter::text() const { return {impl_->buffer.GetString(), impl_->buffer.GetSize()}; }

}  // namespace luminous_healing::protocol
