#pragma once
// The outer object of a frame. This is the only parser that sees bytes whose sender is unknown, and it runs in the
// gate, which has no privilege and no key. What it returns is passed on, still unproven.

#include "base/expected.h"
#include "protocol/mac.h"

#include <string>
#include <string_view>
#include <variant>

namespace luminous_healing::protocol {

/// {"v":2,"caller":…,"mac":…,"request":{…}}
struct EnvelopeV2 {
    std::string caller;
    Mac mac;
    std::string request;  ///< the exact bytes that are signed
};

/// The prototype's request. The signature covers `id:action:timestamp` and not the parameters.
struct EnvelopeV1 {
    std::string id;
    std::string action;
    std::string timestamp;
    Mac signature;
    std::string parameters;  ///< the bytes of the object
};

/// The unsigned liveness requests (protocol.md), answered without asking the executor.
struct Ping {};
struct LegacyProbe {
    std::string id;
};

using Envelope = std::variant<EnvelopeV2, EnvelopeV1, Ping, LegacyProbe>;

/// Reads one frame as cut by FrameSplitter. The error is for the journal; the sender learns only `bad_request`.
[[nodiscard]] Expected<Envelope> parse_envelope(std::string_view frame);

}  // namespace luminous_healing::protocol
