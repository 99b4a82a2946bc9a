#include "protocol/json_reader.h"

#include "base/text.h"
#include "protocol/limits.h"

#include <simdjson.h>

#include <algorithm>

namespace luminous_healing::protocol {
namespace {

namespace ondemand = simdjson::ondemand;

constexpr std::size_t kMostExpected = 28;    // members, as many as a record has …
constexpr std::size_t kBytesOfAMember = 24;  // … and about the fewest of each: room made once, not again and again

/// Walks a parsed document depth first and fills values in their place. The first error ends it.
class Walker {
public:
    using Problem = simdjson::error_code;  // SUCCESS: none

    explicit Walker(std::string_view input, const char* padded) : input_(input), padded_(padded) {}

    Problem object(ondemand::object source, std::size_t depth, Json& json);

private:
    Problem value(ondemand::value source, std::size_t depth, Json& json);
    Problem array(ondemand::array source, std::size_t depth, Json& json);
    Problem raw_bytes(ondemand::object& source, std::size_t depth, Json& json) const;
    static Problem number(ondemand::value source, Json& json);

    std::string_view input_;
    const char* padded_;
};

bool has_duplicate(const std::vector<JsonMember>& members) {
    constexpr std::size_t kFew = 32;  // that each is compared with each sooner than they are sorted
    if (members.size() <= kFew) {
        for (auto a = members.begin(); a != members.end(); ++a) {
            if (std::any_of(members.begin(), a, [&](const JsonMember& b) { return a->name == b.name; })) return true;
        }
        return false;
    }
    std::vector<std::string_view> names;
    names.reserve(members.size());
    for (const auto& m : members) names.emplace_back(m.name);
    std::sort(names.begin(), names.end());
    return std::adjacent_find(names.begin(), names.end()) != names.end();
}

Walker::Problem Walker::object(ondemand::object source, std::size_t depth, Json& json) {
    if (depth > kMaxDepth) return simdjson::DEPTH_ERROR;
    json.kind = Json::Kind::object;
    if (const auto e = raw_bytes(source, depth, json)) return e;
    json.members.reserve(depth == 1 ? std::min(input_.size() / kBytesOfAMember + 1, kMostExpected) : 4);
    for (auto field : source) {
        JsonMember& member = json.members.emplace_back();
        std::string_view name;
        if (const auto e = field.unescaped_key().get(name)) return e;
        member.name = name;
        ondemand::value inner;
        if (const auto e = field.value().get(inner)) return e;
        if (const auto e = value(inner, depth, member.value)) return e;
    }
    return has_duplicate(json.members) ? simdjson::INCORRECT_TYPE : simdjson::SUCCESS;
}

/// The outermost object is all of the input; to find the end of any other simdjson goes through it once more.
Walker::Problem Walker::raw_bytes(ondemand::object& source, std::size_t depth, Json& json) const {
    if (depth == 1) {
        json.raw = trim(input_);
        return simdjson::SUCCESS;
    }
    std::string_view raw;
    if (const auto e = source.raw_json().get(raw)) return e;
    json.raw = input_.substr(static_cast<std::size_t>(raw.data() - padded_), trim(raw).size());
    return source.reset().error();
}

Walker::Problem Walker::array(ondemand::array source, std::size_t depth, Json& json) {
    if (depth > kMaxDepth) return simdjson::DEPTH_ERROR;
    json.kind = Json::Kind::array;
    for (auto item : source) {
        ondemand::value inner;
        if (const auto e = item.get(inner)) return e;
        if (const auto e = value(inner, depth, json.items.emplace_back())) return e;
    }
    return simdjson::SUCCESS;
}

Walker::Problem Walker::number(ondemand::value source, Json& json) {
    json.kind = Json::Kind::number;
    json.text = trim(source.raw_json_token());
    double checked = 0;  // only its grammar and that it is finite matter; the token is what is kept
    return source.get_double().get(checked);
}

Walker::Problem Walker::value(ondemand::value source, std::size_t depth, Json& json) {
    ondemand::json_type type{};
    if (const auto e = source.type().get(type)) return e;
    switch (type) {
        case ondemand::json_type::object: {
            ondemand::object inner;
            if (const auto e = source.get_object().get(inner)) return e;
            return object(inner, depth + 1, json);
        }
        case ondemand::json_type::array: {
            ondemand::array inner;
            if (const auto e = source.get_array().get(inner)) return e;
            return array(inner, depth + 1, json);
        }
        case ondemand::json_type::number: return number(source, json);
        case ondemand::json_type::string: {
            json.kind = Json::Kind::string;
            std::string_view text;
            if (const auto e = source.get_string().get(text)) return e;
            json.text = text;
            return simdjson::SUCCESS;
        }
        case ondemand::json_type::boolean: json.kind = Json::Kind::boolean; return source.get_bool().get(json.boolean);
        case ondemand::json_type::null: {
            bool is_null = false;
            if (const auto e = source.is_null().get(is_null)) return e;
            return is_null ? simdjson::SUCCESS : simdjson::N_ATOM_ERROR;
        }
    }
    return simdjson::INCORRECT_TYPE;
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
    static ondemand::parser parser;  // reused, as is the copy: large allocations cost more than small documents
    static std::string padded;
    padded.assign(input).append(simdjson::SIMDJSON_PADDING, ' ');
    ondemand::document document;
    const simdjson::padded_string_view view(padded.data(), input.size(), padded.size());
    if (const auto e = parser.iterate(view).get(document)) return explain(e);
    ondemand::object root;
    if (const auto e = document.get_object().get(root)) return explain(e);
    Json json;
    if (const auto e = Walker(input, padded.data()).object(root, 1, json)) return explain(e);
    if (document.current_location().error() != simdjson::OUT_OF_BOUNDS)
        return fail("something follows the JSON object");
    return json;
}

}  // namespace luminous_healing::protocol
