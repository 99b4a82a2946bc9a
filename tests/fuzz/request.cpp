// The signed bytes of a request, as the executor reads them once their MAC is proven: the verdict against a second
// reading of the description, the values against RapidJSON's, and what is accepted written and read once more.

#include "protocol/request.h"

#include "protocol/limits.h"
#include "tests/fuzz/second_reader.h"
#include "tests/fuzz/support.h"

#include <algorithm>
#include <array>

using namespace luminous_healing;
using namespace luminous_healing::fuzz;
using namespace luminous_healing::protocol;

namespace {

using Kind = Json::Kind;

constexpr std::array<std::string_view, 9> kMembers{"id",       "action",      "parameters", "timestamp", "mode",
                                                   "audience", "deadline_ms", "stream",     "reason"};

bool is_name(std::string_view text, std::size_t most) {
    return !text.empty() && text.size() <= most &&
           text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:-") ==
               std::string_view::npos;
}

/// Absent, or a string of at most so many bytes.
bool may_be_text(const Node* node, std::size_t most) {
    return node == nullptr || (node->is_text() && node->text.size() <= most);
}

/// A whole number from 1 to a day, written as plain digits.
bool is_deadline(const Node* node) {
    if (node == nullptr) return true;
    if (node->kind != Kind::number || node->text.size() > 8 ||
        node->text.find_first_not_of("0123456789") != std::string::npos)
        return false;
    const auto value = std::stoll(node->text);
    return value >= 1 && value <= 86'400'000;
}

bool is_mode(const Node* node) {
    return node == nullptr || (node->is_text() && (node->text == "run" || node->text == "plan"));
}

/// What luminous-healing-protocol(7) says of a request, but for the form of the timestamp.
bool is_described(const Node& object) {
    const auto required = [&](std::string_view name, std::size_t most) {
        const Node* const node = object.find(name);
        return node != nullptr && node->is_text() && is_name(node->text, most);
    };
    const Node* const timestamp = object.find("timestamp");
    const Node* const parameters = object.find("parameters");
    const Node* const stream = object.find("stream");
    return std::all_of(
               object.members.begin(), object.members.end(),
               [](const Member& m) { return std::find(kMembers.begin(), kMembers.end(), m.name) != kMembers.end(); }) &&
           required("id", kMaxIdLength) && required("action", 64) && timestamp != nullptr && timestamp->is_text() &&
           (parameters == nullptr || parameters->kind == Kind::object) &&
           (stream == nullptr || stream->kind == Kind::boolean) && is_mode(object.find("mode")) &&
           is_deadline(object.find("deadline_ms")) && may_be_text(object.find("audience"), 256) &&
           may_be_text(object.find("reason"), kMaxReason);
}

bool same_text(const std::optional<std::string>& ours, const Node* theirs) {
    return theirs == nullptr ? !ours : ours == theirs->text;
}

void check_values(const Request& request, const Node& object, std::string_view bytes) {
    const Node* const mode = object.find("mode");
    const Node* const stream = object.find("stream");
    const Node* const deadline = object.find("deadline_ms");
    const Node* const parameters = object.find("parameters");
    must(request.id.str() == object.find("id")->text && request.action.str() == object.find("action")->text,
         "id and action are those that were signed");
    must((request.mode == Mode::plan) == (mode != nullptr && mode->text == "plan"), "only \"plan\" is a plan");
    must(request.stream == (stream != nullptr && stream->boolean), "a stream is asked for, never assumed");
    must(deadline == nullptr ? !request.deadline : request.deadline->count() == std::stoll(deadline->text),
         "the deadline is the one that was signed");
    must(same_text(request.reason, object.find("reason")) && same_text(request.audience, object.find("audience")),
         "reason and audience are those that were signed");
    must(request.parameters.size() == (parameters == nullptr ? 0 : parameters->members.size()) && !request.legacy_v1,
         "no parameter appears or disappears");
    for (std::size_t i = 0; i < request.parameters.size(); ++i)
        must(request.parameters[i].name == parameters->members[i].name &&
                 same(request.parameters[i].value, parameters->members[i].value, bytes),
             "each parameter has the value that was signed");
}

bool equal_values(const Json& a, const Json& b) {
    const auto equal_members = [](const JsonMember& x, const JsonMember& y) {
        return x.name == y.name && equal_values(x.value, y.value);
    };
    return a.kind == b.kind && a.boolean == b.boolean && a.text == b.text &&
           std::equal(a.items.begin(), a.items.end(), b.items.begin(), b.items.end(), equal_values) &&
           std::equal(a.members.begin(), a.members.end(), b.members.begin(), b.members.end(), equal_members);
}

/// What a client would send for the same request is read as the same request. Escaping makes at most six bytes of one,
/// so a request that was small enough stays below a frame.
void check_round_trip(const Request& request, std::string_view bytes) {
    if (bytes.size() > kMaxFrame / 8) return;
    RequestDraft draft;
    draft.id = request.id.str();
    draft.action = request.action.str();
    draft.parameters_json = write_parameters(request.parameters);
    draft.timestamp = format_rfc3339(request.timestamp);
    draft.plan = request.mode == Mode::plan;
    draft.stream = request.stream;
    draft.reason = request.reason;
    draft.audience = request.audience;
    if (request.deadline) draft.deadline_ms = request.deadline->count();
    const std::string written = write_request(draft);
    must(std::all_of(written.begin(), written.end(), [](char c) { return c >= 0x20 && c < 0x7F; }),
         "what is written is one line of printable ASCII");
    const auto again = parse_request(written);
    must(again.has_value(), "a request that was read can be written and read");
    must(again->id == request.id && again->action == request.action && again->timestamp == request.timestamp &&
             again->mode == request.mode && again->stream == request.stream && again->reason == request.reason &&
             again->audience == request.audience && again->deadline == request.deadline,
         "and is the same");
    Json before;
    Json after;
    before.members = request.parameters;
    after.members = again->parameters;
    must(equal_values(before, after), "and so are its parameters");
}

/// Version 1: the same bytes as its unsigned parameters, and as each of its signed members.
void check_v1(std::string_view bytes) {
    constexpr std::string_view kTime = "2026-11-21T10:00:00";
    const auto request = parse_request_v1("id-1", "restart_service", kTime, bytes);
    must(request.has_value() == (read_all(bytes) && bytes.size() <= kMaxFrame), "parameters are any object");
    must(!request || (request->legacy_v1 && request->mode == Mode::run && !request->stream && !request->deadline),
         "version 1 has nothing but parameters to ask for");
    must(parse_request_v1(bytes, "a", kTime, "{}").has_value() == is_name(bytes, kMaxIdLength),
         "an id is a plain name");
    must(parse_request_v1("i", bytes, kTime, "{}").has_value() == is_name(bytes, 64), "so is an action");
    const auto timed = parse_request_v1("i", "a", bytes, "{}");
    must(!timed || !parse_rfc3339(bytes), "a local time has no zone, and a time with a zone is not local");
}

/// A time that is understood means the same moment however it is written.
void check_time(std::string_view text) {
    const auto time = parse_rfc3339(text);
    if (!time) return;
    const std::string written = format_rfc3339(*time);
    must(written.size() == 27 && parse_rfc3339(written) == time, "a time that was read is written and read the same");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto bytes = text_of(data, size);
    if (has_large_exponent(bytes)) return 0;
    check_v1(bytes);
    check_time(bytes);
    const auto object = read_all(bytes);
    const auto request = parse_request(bytes);
    const bool described =
        object && bytes.size() <= kMaxFrame && is_described(*object) && parse_rfc3339(object->find("timestamp")->text);
    must(request.has_value() == described, "a request is accepted exactly when its description says so");
    if (!request) return 0;
    check_values(*request, *object, bytes);
    check_time(object->find("timestamp")->text);
    check_round_trip(*request, bytes);
    return 0;
}
