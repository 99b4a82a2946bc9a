#pragma once
// A request whose MAC has been verified. Only the executor parses one, and only after that.

#include "base/clock.h"
#include "base/expected.h"
#include "base/strong.h"
#include "protocol/json_reader.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace luminous_healing::protocol {

enum class Mode { run, plan };

struct Request {
    RequestId id;
    ActionName action;
    std::vector<JsonMember> parameters;
    WallTime timestamp;
    Mode mode = Mode::run;
    std::optional<std::string> audience;
    std::optional<std::chrono::milliseconds> deadline;
    bool stream = false;
    std::optional<std::string> reason;
    bool legacy_v1 = false;
};

/// 1-128 of [A-Za-z0-9._:-].
[[nodiscard]] bool is_valid_request_id(std::string_view id);

/// Reads the signed bytes of a version 2 request. The error is one sentence for the caller.
[[nodiscard]] Expected<Request> parse_request(std::string_view bytes);

/// Puts together a version 1 request from its verified members; `parameters` is an object's bytes.
[[nodiscard]] Expected<Request> parse_request_v1(std::string_view id, std::string_view action,
                                                 std::string_view timestamp, std::string_view parameters);

/// The parameters as one compact JSON object, written anew (json_writer.h), in the order sent.
[[nodiscard]] std::string write_parameters(const std::vector<JsonMember>& parameters);

/// What a client says: the bytes to sign. `parameters_json` is an object.
struct RequestDraft {
    std::string id;
    std::string action;
    std::string parameters_json = "{}";
    std::string timestamp;
    bool plan = false;
    bool stream = false;
    std::optional<std::string> reason;
    std::optional<std::string> audience;
    std::optional<std::int64_t> deadline_ms;
};
[[nodiscard]] std::string write_request(const RequestDraft& draft);

/// The frame around signed request bytes, ended by a newline.
[[nodiscard]] std::string write_envelope(std::string_view caller, std::string_view mac_hex, std::string_view request);

}  // namespace luminous_healing::protocol
