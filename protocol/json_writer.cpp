#include "protocol/json_writer.h"

#include "base/text.h"
#include "protocol/json_reader.h"

#include <rapidjson/encodings.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

namespace luminous_healing::protocol {
namespace {

using Buffer = rapidjson::StringBuffer;
using Writer = rapidjson::Writer<Buffer, rapidjson::UTF8<>, rapidjson::ASCII<>>;

constexpr std::size_t kLongestInteger = 20;  // with its sign

/// Does it stand in JSON as it is?
constexpr bool is_verbatim(char c) { return c >= 0x20 && c < 0x7F && c != '"' && c != '\\'; }

constexpr std::array<bool, 256> kVerbatim = [] {
    std::array<bool, 256> table{};
    for (std::size_t i = 0; i < table.size(); ++i) table.at(i) = is_verbatim(static_cast<char>(i));
    return table;
}();

/// The same of eight bytes: the highest bit of each tells. Where a byte is another one, its highest bit after one was
/// taken from their difference; a borrow from the byte above only says no once more.
bool is_verbatim_word(const char* bytes) {
    constexpr auto each = [](unsigned char byte) { return 0x0101010101010101U * byte; };
    std::uint64_t word = 0;
    std::memcpy(&word, bytes, sizeof word);
    const auto has = [&](unsigned char byte) { return ((word ^ each(byte)) - each(1)) & ~(word ^ each(byte)); };
    return ((word | (word - each(0x20)) | (word + each(1)) | has('"') | has('\\')) & each(0x80)) == 0;
}

std::size_t verbatim_prefix(std::string_view text) {
    std::size_t at = 0;
    while (at + sizeof(std::uint64_t) <= text.size() && is_verbatim_word(text.data() + at)) at += sizeof(std::uint64_t);
    while (at < text.size() && kVerbatim[static_cast<unsigned char>(text[at])]) ++at;
    return at;
}

/// Printable ASCII with quotation marks or backslashes, as many an error has them.
std::string with_backslashes(std::string_view text) {
    std::string json;
    json.reserve(text.size() + 16);
    for (const char c : text) {
        if (c == '"' || c == '\\') json += '\\';
        json += c;
    }
    return json;
}

/// As it stands between quotation marks; DEL as \u007F, which RapidJSON would write as it is.
std::string escaped(std::string_view text) {
    if (is_printable_line(text)) return with_backslashes(text);
    if (!is_valid_utf8(text)) return escaped(repaired_utf8(text));
    Buffer buffer;
    Writer(buffer).String(text.data(), static_cast<rapidjson::SizeType>(text.size()));
    std::string json;
    for (const char c : std::string_view(buffer.GetString() + 1, buffer.GetSize() - 2)) {
        if (c == '\x7F') json += "\\u007F";
        else json += c;
    }
    return json;
}

char* put(char* at, std::string_view text) { return std::copy(text.begin(), text.end(), at); }

}  // namespace

/// Where the next bytes go.
char* JsonWriter::room_for(std::size_t bytes) {
    if (text_.size() - size_ < bytes) text_.resize(std::max(2 * text_.size(), size_ + bytes));
    return text_.data() + size_;
}

/// The same, behind the comma that a value needs.
char* JsonWriter::begin_value(std::size_t bytes) {
    char* at = room_for(bytes + 1);
    if (follows_value_) *at++ = ',';
    follows_value_ = true;
    return at;
}

JsonWriter& JsonWriter::begin(char bracket) {
    end_at(put(begin_value(1), {&bracket, 1}));
    follows_value_ = false;
    return *this;
}

JsonWriter& JsonWriter::end(char bracket) {
    end_at(put(room_for(1), {&bracket, 1}));
    follows_value_ = true;
    return *this;
}

void JsonWriter::write_string(std::string_view text, std::string_view after) {
    std::string json;
    if (verbatim_prefix(text) != text.size()) text = json = escaped(text);
    char* at = begin_value(text.size() + 2 + after.size());
    *at++ = '"';
    at = put(at, text);
    *at++ = '"';
    end_at(put(at, after));
}

JsonWriter& JsonWriter::key(std::string_view name) {
    write_string(name, ":");
    follows_value_ = false;
    return *this;
}

JsonWriter& JsonWriter::string(std::string_view text) {
    write_string(text, "");
    return *this;
}

JsonWriter& JsonWriter::integer(std::int64_t value) {
    char* const at = begin_value(kLongestInteger);
    end_at(std::to_chars(at, at + kLongestInteger, value).ptr);
    return *this;
}

JsonWriter& JsonWriter::raw(std::string_view json) {
    end_at(put(begin_value(json.size()), json));
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

}  // namespace luminous_healing::protocol
