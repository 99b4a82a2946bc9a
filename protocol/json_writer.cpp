#include "protocol/json_writer.h"

#include "base/text.h"
#include "protocol/json_reader.h"

#include <rapidjson/encodings.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

namespace luminous_healing::protocol {

struct JsonWriter::Impl {
    rapidjson::StringBuffer buffer;
    rapidjson::Writer<rapidjson::StringBuffer, rapidjson::UTF8<>, rapidjson::ASCII<>> writer{buffer};
};

namespace {

rapidjson::SizeType size_of(std::string_view text) { return static_cast<rapidjson::SizeType>(text.size()); }

/// RapidJSON writes DEL as it is; a terminal need not see it.
bool needs_cleaning(std::string_view text) {
    return text.find('\x7F') != std::string_view::npos || !is_valid_utf8(text);
}

std::string cleaned(std::string_view text) {
    // printable() repairs UTF-8; the bound cannot cut, a replacement is at most three times the byte it replaces.
    return printable(text, text.size() * 3);
}

}  // namespace

JsonWriter::JsonWriter() : impl_(std::make_unique<Impl>()) {}
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
    if (needs_cleaning(name)) {
        const std::string clean = cleaned(name);
        impl_->writer.Key(clean.data(), size_of(clean));
    } else {
        impl_->writer.Key(name.data(), size_of(name));
    }
    return *this;
}
JsonWriter& JsonWriter::string(std::string_view text) {
    if (needs_cleaning(text)) {
        const std::string clean = cleaned(text);
        impl_->writer.String(clean.data(), size_of(clean));
    } else {
        impl_->writer.String(text.data() == nullptr ? "" : text.data(), size_of(text));
    }
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
    impl_->writer.RawValue(json.data(), json.size(), rapidjson::kObjectType);
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
