#pragma once
// Answers and progress events, written by the daemon and read by clients.

#include "base/expected.h"
#include "protocol/code.h"
#include "protocol/json_reader.h"
#include "protocol/mac.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace luminous_healing::protocol {

struct Response {
    std::string request_id;
    bool success = false;
    std::string output;                ///< for people, at most kMaxOutput bytes, printable
    std::optional<std::string> error;  ///< one sentence that a person can act on
    std::int64_t duration_ms = 0;
    Code code = Code::internal;
    std::optional<Verdict> verdict;  ///< none when nothing ran
    std::optional<std::int64_t> audit_seq;
    std::optional<std::int64_t> retry_after_ms;
    bool output_truncated = false;
    std::string result;  ///< an object as JSON for programs, or empty
    bool replayed = false;
};

/// The `response` value, members in the order of protocol.md.
[[nodiscard]] std::string write_response(const Response& response);

/// Reads back what write_response() wrote.
[[nodiscard]] Expected<Response> parse_response(std::string_view response_bytes);

/// The whole frame, with its newline. `key` and `request_mac_hex` together, or neither: then the MAC is null.
[[nodiscard]] std::string frame_response(std::string_view response_bytes, const MacKey* key,
                                         std::string_view request_mac_hex);

/// Marks recorded response bytes as repeated.
[[nodiscard]] std::string mark_replayed(std::string_view response_bytes);

/// The prototype's five members and nothing else, without newline; in its own words for the refusals that it had.
[[nodiscard]] std::string write_response_v1(const Response& response, std::string_view action);

enum class EventKind { started, progress, output };
struct Event {
    std::string request_id;
    std::int64_t sequence = 0;
    EventKind kind = EventKind::progress;
    std::string text;
};
[[nodiscard]] std::string frame_event(const Event& event, const MacKey& key, std::string_view request_mac_hex);

/// What a client received: an event or the response. Its MAC has been checked, or was null.
struct Received {
    std::optional<Event> event;
    std::optional<Response> response;
    std::string raw_value;  ///< the `response` or `event` value's bytes
    bool authenticated = false;
};

/// Reads one frame from the daemon. An error when it is malformed or carries a MAC that is not the daemon's answer to
/// the request with `request_mac_hex`. A null MAC is accepted only for the codes of is_unauthenticated() and `busy`.
[[nodiscard]] Expected<Received> read_received(std::string_view frame, const MacKey& key,
                                               std::string_view request_mac_hex);

}  // namespace luminous_healing::protocol
