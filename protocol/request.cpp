#include "protocol/request.h"

#include "base/text.h"
#include "protocol/json_writer.h"
#include "protocol/limits.h"

#include <algorithm>
#include <array>

namespace luminous_healing::protocol {
namespace {

constexpr std::array<std::string_view, 9> kMembers{"id",       "action",      "parameters", "timestamp", "mode",
                                                   "audience", "deadline_ms", "stream",     "reason"};
constexpr std::size_t kMaxActionLength = 64;

/// 1 to `most` of [A-Za-z0-9._:-].
bool is_plain_name(std::string_view id, std::size_t most) {
    const auto allowed = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
               c == ':' || c == '-';
    };
    return !id.empty() && id.size() <= most && std::all_of(id.begin(), id.end(), allowed);
}

tl::unexpected<Error> wrong(std::string_view name, std::string_view what) {
    return fail("\"" + std::string(name) + "\" " + std::string(what));
}

Expected<std::string> required_text(const Json& object, std::string_view name) {
    const Json* const found = object.find(name);
    if (found == nullptr) return wrong(name, "is missing");
    if (!found->is(Json::Kind::string)) return wrong(name, "must be a string");
    return found->text;
}

Expected<void> read_optional_text(const Json& object, std::string_view name, std::size_t most,
                                  std::optional<std::string>& into) {
    const Json* const found = object.find(name);
    if (found == nullptr) return {};
    if (!found->is(Json::Kind::string)) return wrong(name, "must be a string");
    if (found->text.size() > most) return wrong(name, "is longer than " + std::to_string(most) + " bytes");
    into = found->text;
    return {};
}

Expected<void> read_deadline(const Json& object, Request& request) {
    const Json* const found = object.find("deadline_ms");
    if (found == nullptr) return {};
    const auto value = found->is(Json::Kind::number) ? parse_integer<std::int64_t>(found->text) : std::nullopt;
    if (!value || *value <= 0 || *value > 86'400'000)
        return wrong("deadline_ms", "must be a whole number of milliseconds from 1 to 86400000");
    request.deadline = std::chrono::milliseconds(*value);
    return {};
}

Expected<void> read_mode_and_stream(const Json& object, Request& request) {
    if (const Json* const mode = object.find("mode")) {
        if (!mode->is(Json::Kind::string) || (mode->text != "run" && mode->text != "plan"))
            return wrong("mode", "must be \"run\" or \"plan\"");
        request.mode = mode->text == "plan" ? Mode::plan : Mode::run;
    }
    if (const Json* const stream = object.find("stream")) {
        if (!stream->is(Json::Kind::boolean)) return wrong("stream", "must be true or false");
        request.stream = stream->boolean;
    }
    return {};
}

Expected<void> read_identity(const Json& object, Request& request) {
    const auto id = required_text(object, "id");
    if (!id) return tl::unexpected(id.error());
    if (!is_valid_request_id(*id)) return wrong("id", "must be 1 to 128 of A-Z a-z 0-9 . _ : -");
    const auto action = required_text(object, "action");
    if (!action) return tl::unexpected(action.error());
    if (!is_plain_name(*action, kMaxActionLength)) return wrong("action", "must be 1 to 64 of A-Z a-z 0-9 . _ : -");
    const auto timestamp = required_text(object, "timestamp");
    if (!timestamp) return tl::unexpected(timestamp.error());
    const auto time = parse_rfc3339(*timestamp);
    if (!time) return wrong("timestamp", "must be RFC 3339 with a zone, like 2026-11-21T10:00:00.123Z");
    request.id = RequestId(*id);
    request.action = ActionName(*action);
    request.timestamp = *time;
    return {};
}

}  // namespace

bool is_valid_request_id(std::string_view id) { return is_plain_name(id, kMaxIdLength); }

Expected<Request> parse_request(std::string_view bytes) {
    const auto object = read_json_object(bytes, kMaxFrame);
    if (!object) return tl::unexpected(object.error());
    for (const auto& m : object->members) {
        if (std::find(kMembers.begin(), kMembers.end(), m.name) == kMembers.end())
            return fail("unknown member \"" + printable_line(m.name, 64) + "\" in the request");
    }
    Request request;
    if (auto ok = read_identity(*object, request); !ok) return tl::unexpected(ok.error());
    if (const Json* const parameters = object->find("parameters")) {
        if (!parameters->is(Json::Kind::object)) return wrong("parameters", "must be an object");
        request.parameters = parameters->members;
    }
    if (auto ok = read_mode_and_stream(*object, request); !ok) return tl::unexpected(ok.error());
    if (auto ok = read_deadline(*object, request); !ok) return tl::unexpected(ok.error());
    if (auto ok = read_optional_text(*object, "audience", 256, request.audience); !ok)
        return tl::unexpected(ok.error());
    if (auto ok = read_optional_text(*object, "reason", kMaxReason, request.reason); !ok)
        return tl::unexpected(ok.error());
    return request;
}

Expected<Request> parse_request_v1(std::string_view id, std::string_view action, std::string_view timestamp,
                                   std::string_view parameters) {
    Request request;
    request.legacy_v1 = true;
    if (!is_valid_request_id(id)) return wrong("id", "must be 1 to 128 of A-Z a-z 0-9 . _ : -");
    if (!is_plain_name(action, kMaxActionLength)) return wrong("action", "must be 1 to 64 of A-Z a-z 0-9 . _ : -");
    const auto time = parse_naive_local(timestamp);
    if (!time) return wrong("timestamp", "must be local time without a zone, like 2026-11-21T10:00:00");
    const auto object = read_json_object(parameters, kMaxFrame);
    if (!object) return tl::unexpected(object.error());
    request.id = RequestId(id);
    request.action = ActionName(action);
    request.timestamp = *time;
    request.parameters = object->members;
    return request;
}

std::string write_parameters(const std::vector<JsonMember>& parameters) {
    JsonWriter writer;
    writer.begin_object();
    for (const auto& m : parameters) writer.key_text(m.name).value(m.value);
    writer.end_object();
    return writer.take();
}

std::string write_request(const RequestDraft& draft) {
    JsonWriter writer;
    writer.begin_object().member("id", draft.id).member("action", draft.action);
    writer.key("parameters").raw(draft.parameters_json);
    writer.member("timestamp", draft.timestamp);
    if (draft.plan) writer.member("mode", "plan");
    if (draft.audience) writer.member("audience", *draft.audience);
    if (draft.deadline_ms) writer.member("deadline_ms", *draft.deadline_ms);
    if (draft.stream) writer.member_bool("stream", true);
    if (draft.reason) writer.member("reason", *draft.reason);
    writer.end_object();
    return writer.take();
}

std::string write_envelope(std::string_view caller, std::string_view mac_hex, std::string_view request) {
    JsonWriter writer;
    writer.begin_object().member("v", std::int64_t{2}).member("caller", caller).member("mac", mac_hex);
    writer.key("request").raw(request).end_object();
    return writer.take() + "\n";
}

}  // namespace luminous_healing::protocol
