#include "healctl/parameters.h"

#include "base/text.h"
#include "protocol/json_reader.h"
#include "protocol/json_writer.h"
#include "protocol/limits.h"

#include <algorithm>
#include <cstdint>

namespace luminous_healing::healctl {
namespace {

using protocol::JsonWriter;

std::string quoted(std::string_view text) { return "\"" + printable_line(text, 80) + "\""; }

bool is_name(std::string_view text) {
    const auto allowed = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    };
    return !text.empty() && std::all_of(text.begin(), text.end(), allowed);
}

/// 42 and -7, but not 007 or -0, which would not come back as they were written.
std::optional<std::int64_t> whole_number(std::string_view text) {
    const auto number = parse_integer<std::int64_t>(text);
    return number && std::to_string(*number) == text ? number : std::nullopt;
}

void write_plain(JsonWriter& writer, std::string_view text) {
    if (const auto number = whole_number(text)) writer.integer(*number);
    else if (text == "true" || text == "false") writer.boolean(text == "true");
    else writer.string(text);
}

Expected<void> write_json(JsonWriter& writer, std::string_view name, std::string_view text) {
    const std::string object = "{\"value\":" + std::string(text) + "}";  // the reader takes objects only
    const auto read = protocol::read_json_object(object, protocol::kMaxFrame);
    if (!read || read->members.size() != 1)
        return fail(quoted(text) + " is not one JSON value: a string needs its own quotes, as in " + std::string(name) +
                    ":='\"text\"'");
    writer.value(read->members[0].value);
    return {};
}

}  // namespace

Expected<std::string> read_parameters(const std::vector<std::string>& words) {
    JsonWriter writer;
    writer.begin_object();
    std::vector<std::string_view> names;
    for (const std::string_view word : words) {
        const auto equals = word.find('=');
        if (equals == std::string_view::npos) return fail(quoted(word) + " is not a parameter: write name=value");
        const bool is_json = equals > 0 && word[equals - 1] == ':';
        const std::string_view name = word.substr(0, is_json ? equals - 1 : equals);
        const std::string_view value = word.substr(equals + 1);
        if (!is_name(name)) return fail(quoted(name) + " is not a parameter's name: use letters, digits, _ and -");
        if (std::find(names.begin(), names.end(), name) != names.end())
            return fail("parameter " + quoted(name) + " is given twice: give it once");
        names.push_back(name);
        writer.key_text(name);
        if (!is_json) write_plain(writer, value);
        else if (auto ok = write_json(writer, name, value); !ok) return tl::unexpected(ok.error());
    }
    writer.end_object();
    return writer.take();
}

}  // namespace luminous_healing::healctl
