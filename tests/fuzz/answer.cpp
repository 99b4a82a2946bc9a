// What a client makes of the bytes that came over its connection: nothing is the daemon's answer but what was signed
// for this very request, and what the daemon writes is read as it was meant.

#include "protocol/limits.h"
#include "protocol/response.h"
#include "tests/fuzz/second_reader.h"
#include "tests/fuzz/support.h"

#include <algorithm>

using namespace luminous_healing;
using namespace luminous_healing::fuzz;
using namespace luminous_healing::protocol;

namespace {

const MacKey& key() {
    static const MacKey made = *MacKey::create("fuzz-key-0123456789-0123456789-0123456789");
    return made;
}
const std::string kAsked(64, 'a');  // the MAC of the request that is being answered
const std::string kOther(64, 'b');

/// Bytes of anybody: an error, or a refusal that needs no key. Nobody has signed anything here.
void check_hostile(std::string_view bytes) {
    const auto received = read_received(bytes, key(), kAsked);
    if (!received) return;
    must(!received->authenticated && !received->event, "nothing unsigned is the daemon's");
    must(received->response.has_value(), "what is no event is an answer");
    const Code code = received->response->code;
    must(is_unauthenticated(code) || code == Code::busy, "an unsigned answer claims nothing but a refusal without key");
    must(read_all(bytes).has_value(), "an answer is valid JSON by any reader");
}

/// The bytes as the signed value of an answer: understood for the request that they answer, and for no other.
void check_signed(std::string_view value) {
    if (!read_all(value) || value.front() != '{' || value.back() != '}') return;
    if (value.size() > kMaxFrame / 2) return;
    const auto response = parse_response(value);
    const std::string frame = frame_response(value, &key(), kAsked);
    const auto received = read_received(frame, key(), kAsked);
    must(!read_received(frame, key(), kOther), "an answer to another request is not taken for ours");
    std::string_view start = frame;
    const auto inner = read_first(start.substr(start.find("\"response\":") + 11));
    if (!inner) return;  // deeper than an answer may be, once it is wrapped
    must(received.has_value() == response.has_value(), "a signed answer is read as the same bytes alone are");
    if (!received) return;
    must(received->authenticated && received->raw_value == value, "what was signed is what is read, to the byte");
    for (const std::size_t at : {frame.find(value), frame.find(value) + value.size() / 2, frame.size() - 3}) {
        std::string changed = frame;
        changed[at] = static_cast<char>(changed[at] ^ 1);
        const auto read = read_received(changed, key(), kAsked);
        must(!read || !read->authenticated, "an answer that was changed is not the daemon's");
    }
}

bool same_response(const Response& a, const Response& b) {
    return a.request_id == b.request_id && a.success == b.success && a.output == b.output && a.error == b.error &&
           a.duration_ms == b.duration_ms && a.code == b.code && a.verdict == b.verdict && a.audit_seq == b.audit_seq &&
           a.retry_after_ms == b.retry_after_ms && a.output_truncated == b.output_truncated && a.replayed == b.replayed;
}

/// An answer that was understood, written as the daemon writes: understood as the same.
void check_round_trip(std::string_view value) {
    auto response = parse_response(value);
    if (!response) return;
    must(response->result.empty() || read_all(response->result), "a result is an object");
    const std::string written = write_response(*response);
    must(std::all_of(written.begin(), written.end(), [](char c) { return c >= 0x20 && c < 0x7F; }) ||
             !response->result.empty(),
         "what is written is one line of printable ASCII");
    if (written.size() > kMaxFrame) return;
    const auto again = parse_response(written);
    must(again && same_response(*response, *again), "an answer that was read is written and read the same");
    if (response->replayed) return;
    const auto marked = parse_response(mark_replayed(written));
    must(marked && marked->replayed, "a repeated answer says so");
    const auto v1 = read_all(write_response_v1(*response, "restart_service"));
    must(v1 && v1->members.size() == 5, "the prototype's client gets its five members");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto bytes = text_of(data, size);
    if (has_large_exponent(bytes)) return 0;
    check_hostile(bytes);
    check_signed(bytes);
    check_round_trip(bytes);
    const Event event{std::string(bytes.substr(0, size / 2)), static_cast<std::int64_t>(size), EventKind::output,
                      std::string(bytes.substr(size / 2))};
    if (size > kMaxFrame / 8) return 0;
    const auto received = read_received(frame_event(event, key(), kAsked), key(), kAsked);
    must(received && received->authenticated && received->event, "the daemon's events are read");
    must(received->event->sequence == event.sequence && received->event->kind == event.kind, "as they were meant");
    return 0;
}
