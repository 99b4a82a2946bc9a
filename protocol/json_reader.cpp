#include "protocol/json_reader.h"

#include "base/text.h"
#include "protocol/limits.h"

#include <simdjson.h>

#include <algorithm>

namespace luminous_healing::protocol {
namespace {

namespace ondemand = simdjson::ondemand;

/// Walks a parsed document depth first. The first error is kept in `error_`, every step after it is refused.
class Walker {
public:
    explicit Walker(std::string_view input, const char* padded) : input_(input), padded_(padded) {}

    tl::expected<Json, simdjson::error_code> object(ondemand::object source, std::size_t depth);

private:
    tl::expected<Json, simdjson::error_code> value(ondemand::value source, std::size_t depth);
    tl::expected<Json, simdjson::error_code> array(ondemand::array source, std::size_t depth);
    static tl::expected<Json, simdjson::error_code> number(ondemand::value source);

    std::string_view input_;
    const char* padded_;
};

using Result = tl::expected<Json, simdjson::error_code>;

tl::unexpected<simdjson::error_code> error(simdjson::error_code code) {
    return tl::unexpected<simdjson::error_code>(code);
}

bool has_duplicate(const std::vector<JsonMember>& members) {
    std::vector<std::string_view> names;
    names.reserve(members.size());
    for (const auto& m : members) names.emplace_back(m.name);
    std::sort(names.begin(), names.end());
    return std::adjacent_find(names.begin(), names.end()) != names.end();
}

Result Walker::object(ondemand::object source, std::size_t depth) {
    if (depth > kMaxDepth) return error(simdjson::DEPTH_ERROR);
    Json json;
    json.kind = Json::Kind::object;
    std::string_view raw;
    if (const auto e = source.raw_json().get(raw)) return error(e);
    json.raw = input_.substr(static_cast<std::size_t>(raw.data() - padded_), trim(raw).size());
    if (const auto e = source.reset().error()) return error(e);
    for (auto field : source) {
        JsonMember member;
        std::string_view name;
        if (const auto e = field.unescaped_key().get(name)) return error(e);
        member.name = name;
        ondemand::value inner;
        if (const auto e = field.value().get(inner)) return error(e);
        auto parsed = value(inner, depth);
        if (!parsed) return parsed;
        member.value = std::move(*parsed);
        json.members.push_back(std::move(member));
    }
    if (has_duplicate(json.members)) return error(simdjson::INCORRECT_TYPE);
    return json;
}

Result Walker::array(ondemand::array source, std::size_t depth) {
    if (depth > kMaxDepth) return error(simdjson::DEPTH_ERROR);
    Json json;
    json.kind = Json::Kind::array;
    for (auto item : source) {
        ondemand::value inner;
        if (const auto e = item.get(inner)) return error(e);
        auto parsed = value(inner, depth);
        if (!parsed) return parsed;
        json.items.push_back(std::move(*parsed));
    }
    return json;
}

Result Walker::number(ondemand::value source) {
    Json json;
    json.kind = Json::Kind::number;
    json.text = trim(source.raw_json_token());
    double checked = 0;  // only its grammar and that it is finite matter; the token is what is kept
    if (const auto e = source.get_double().get(checked)) return error(e);
    return json;
}

Result Walker::value(ondemand::value source, std::size_t depth) {
    ondemand::json_type type{};
    if (const auto e = source.type().get(type)) return error(e);
    Json json;
    switch (type) {
        case ondemand::json_type::object: {
            ondemand::object inner;
            if (const auto e = source.get_object().get(inner)) return error(e);
            return object(inner, depth + 1);
        }
        case ondemand::json_type::array: {
            ondemand::array inner;
            if (const auto e = source.get_array().get(inner)) return error(e);
            return array(inner, depth + 1);
        }
        case ondemand::json_type::number: return number(source);
        case ondemand::json_type::string: {
            json.kind = Json::Kind::string;
            std::string_view text;
            if (const auto e = source.get_string().get(text)) return error(e);
            json.text = text;
            return json;
        }
        case ondemand::json_type::boolean:
            json.kind = Json::Kind::boolean;
            if (const auto e = source.get_bool().get(json.boolean)) return error(e);
            return json;
        case ondemand::json_type::null: {
            bool is_null = false;
            if (const auto e = source.is_null().get(is_null)) return error(e);
            if (!is_null) return error(simdjson::N_ATOM_ERROR);
            return json;
        }
    }
    return error(simdjson::INCORRECT_TYPE);
}

Expected<Json> explain(simdjson::error_code code) {
    if (code == simdjson::DEPTH_ERROR) return fail("JSON nested deeper than " + std::to_string(kMaxDepth));
    if (code == simdjson::INCORRECT_TYPE) return fail("a member name appears twice, or the text is not a JSON object");
    return fail(std::string("not valid JSON: ") + simdjson::error_message(code));
}

}  // namespace

const Json* Json::find(std::string_view name) const noexcept {
    for (const auto& m : members) {
        if (m.name == name) return &m.value;
    }
    return nullptr;
}

Expected<Json> read_json_object(std::string_view input, std::size_t max_bytes) {
    if (input.size() > max_bytes) return fail("longer than " + std::to_string(max_bytes) + " bytes");
    static ondemand::parser parser;  // reused: its buffers are the only large allocation here
    const simdjson::padded_string padded(input);
    ondemand::document document;
    if (const auto e = parser.iterate(padded).get(document)) return explain(e);
    ondemand::object root;
    if (const auto e = document.get_object().get(root)) return explain(e);
    auto json = Walker(input, padded.data()).object(root, 1);
    if (!json) return explain(json.error());
    if (document.current_location().error() != simdjson::OUT_OF_BOUNDS)
        return fail("something follows the JSON object");
    return std::move(*json);
}

}  // namespace luminous_healing::protocol
