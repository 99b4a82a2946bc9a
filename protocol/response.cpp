#include "protocol/response.h"

#include "base/text.h"
#include "protocol/json_writer.h"
#include "protocol/limits.h"

#include <array>

namespace luminous_healing::protocol {
namespace {

constexpr std::array<std::string_view, 3> kEventKinds{"started", "progress", "output"};

/// `value` is JSON already and the rest needs no escaping, so this is put together as text: each answer comes by here.
std::string frame(std::string_view kind, std::string_view value, std::string_view mac_hex) {
    std::string line;
    line.reserve(value.size() + mac_hex.size() + 40);
    line.append("{\"v\":2,\"mac\":");
    if (mac_hex.empty()) line.append("null");
    else line.append("\"").append(mac_hex).append("\"");
    return line.append(",\"").append(kind).append("\":").append(value).append("}\n");
}

std::optional<std::int64_t> integer_member(const Json& object, std::string_view name) {
    const Json* const found = object.find(name);
    return found != nullptr && found->is(Json::Kind::number) ? parse_integer<std::int64_t>(found->text) : std::nullopt;
}

std::optional<std::string> text_member(const Json& object, std::string_view name) {
    const Json* const found = object.find(name);
    return found != nullptr && found->is(Json::Kind::string) ? std::optional(found->text) : std::nullopt;
}

bool flag_member(const Json& object, std::string_view name) {
    const Json* const found = object.find(name);
    return found != nullptr && found->is(Json::Kind::boolean) && found->boolean;
}

Expected<Response> read_response(const Json& value) {
    Response r;
    const auto id = text_member(value, "request_id");
    const auto code = code_from_name(text_member(value, "code").value_or(""));
    if (!id || !code) return fail("the response lacks request_id or a known code");
    r.request_id = *id;
    r.code = *code;
    r.success = flag_member(value, "success");
    r.output = text_member(value, "output").value_or("");
    r.error = text_member(value, "error");
    r.duration_ms = integer_member(value, "duration_ms").value_or(0);
    r.verdict = verdict_from_name(text_member(value, "verdict").value_or(""));
    r.audit_seq = integer_member(value, "audit_seq");
    r.retry_after_ms = integer_member(value, "retry_after_ms");
    r.output_truncated = flag_member(value, "output_truncated");
    r.replayed = flag_member(value, "replayed");
    if (const Json* const result = value.find("result")) r.result = result->raw;
    return r;
}

Expected<Event> read_event(const Json& value) {
    Event e;
    const auto kind = text_member(value, "kind");
    for (std::size_t i = 0; i < kEventKinds.size(); ++i) {
        if (kind != kEventKinds[i]) continue;
        e.kind = static_cast<EventKind>(i);
        e.request_id = text_member(value, "request_id").value_or("");
        e.sequence = integer_member(value, "sequence").value_or(0);
        e.text = text_member(value, "text").value_or("");
        return e;
    }
    return fail("an event of an unknown kind");
}

/// The prototype's words for the refusals it knew; ours otherwise.
std::optional<std::string> error_v1(const Response& response, std::string_view action) {
    switch (response.code) {
        case Code::bad_request: return "Invalid request format";
        case Code::bad_signature:
        case Code::unknown_caller: return "Invalid signature";
        case Code::action_unknown:
        case Code::action_not_allowed: return "Action " + std::string(action) + " not allowed";
        case Code::rate_limited: return "Rate limit exceeded";
        default: return response.error;
    }
}

}  // namespace

std::string write_response(const Response& r) {
    JsonWriter writer;
    writer.begin_object();
    writer.member("request_id", r.request_id).member_bool("success", r.success).member("output", r.output);
    writer.member_or_null("error", r.error).member("duration_ms", r.duration_ms).member("code", name_of(r.code));
    writer.member_or_null("verdict", r.verdict ? std::optional(std::string(name_of(*r.verdict))) : std::nullopt);
    writer.member_or_null("audit_seq", r.audit_seq).member_or_null("retry_after_ms", r.retry_after_ms);
    if (r.output_truncated) writer.member_bool("output_truncated", true);
    if (!r.result.empty()) writer.key("result").raw(r.result);
    if (r.replayed) writer.member_bool("replayed", true);
    writer.end_object();
    return writer.take();
}

Expected<Response> parse_response(std::string_view response_bytes) {
    const auto value = read_json_object(response_bytes, kMaxFrame);
    if (!value) return tl::unexpected(value.error());
    auto response = read_response(*value);
    return response;
}

std::string frame_response(std::string_view response_bytes, const MacKey* key, std::string_view request_mac_hex) {
    return frame("response", response_bytes,
                 key == nullptr ? std::string() : response_mac(*key, request_mac_hex, response_bytes).hex());
}

std::string mark_replayed(std::string_view response_bytes) {
    return std::string(response_bytes.substr(0, response_bytes.size() - 1)) + ",\"replayed\":true}";
}

std::string write_response_v1(const Response& response, std::string_view action) {
    JsonWriter writer;
    writer.begin_object();
    writer.member("request_id", response.code == Code::bad_request ? std::string("unknown") : response.request_id);
    writer.member_bool("success", response.success).member("output", response.output);
    writer.member_or_null("error", error_v1(response, action)).member("duration_ms", response.duration_ms);
    writer.end_object();
    return writer.take();
}

std::string frame_event(const Event& event, const MacKey& key, std::string_view request_mac_hex) {
    JsonWriter writer;
    writer.begin_object().member("request_id", event.request_id).member("sequence", event.sequence);
    writer.member("kind", kEventKinds.at(static_cast<std::size_t>(event.kind))).member("text", event.text).end_object();
    const std::string value = writer.take();
    return frame("event", value, event_mac(key, request_mac_hex, value).hex());
}

Expected<Received> read_received(std::string_view bytes, const MacKey& key, std::string_view request_mac_hex) {
    const auto object = read_json_object(bytes, kMaxFrame);
    if (!object) return tl::unexpected(object.error());
    const Json* const response = object->find("response");
    const Json* const event = object->find("event");
    const Json* const value = response != nullptr ? response : event;
    const Json* const mac = object->find("mac");
    const Json* const version = object->find("v");
    if (version == nullptr || !version->is(Json::Kind::number) || version->text != "2" || value == nullptr ||
        !value->is(Json::Kind::object) || mac == nullptr || object->members.size() != 3)
        return fail("not an answer of luminous-healingd");
    Received received;
    received.raw_value = value->raw;
    if (mac->is(Json::Kind::string)) {
        const auto given = Mac::from_hex(mac->text);
        const Mac expected = value == response ? response_mac(key, request_mac_hex, value->raw)
                                               : event_mac(key, request_mac_hex, value->raw);
        if (!given || !given->equals(expected))
            return fail("the answer's MAC is wrong: it is not from this daemon, or not for this request");
        received.authenticated = true;
    }
    if (value == event) {
        auto read = read_event(*value);
        if (!read) return tl::unexpected(read.error());
        if (!received.authenticated) return fail("an event without a MAC");
        received.event = std::move(*read);
        return received;
    }
    auto read = read_response(*value);
    if (!read) return tl::unexpected(read.error());
    if (!received.authenticated && !is_unauthenticated(read->code) && read->code != Code::busy)
        return fail("an answer without a MAC claims the code " + std::string(name_of(read->code)));
    received.response = std::move(*read);
    return received;
}

}  // namespace luminous_healing::protocol
