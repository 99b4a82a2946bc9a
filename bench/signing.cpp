#include "bench/signing.h"

#include "bench/times.h"
#include "protocol/envelope.h"
#include "protocol/json_reader.h"
#include "protocol/request.h"

#include <variant>

namespace luminous_healing::bench {

Signing::Signing(std::string_view callers, std::string_view answer) {
    for (; !callers.empty(); callers.remove_prefix(callers.find('\n') + 1)) {
        const auto line = callers.substr(0, callers.find('\n'));
        const auto space = line.find(' ');
        auto key = protocol::MacKey::create(line.substr(space + 1));
        if (space == std::string_view::npos || !key) give_up("CALLERS has lines of a name and a key");
        keys_.emplace(line.substr(0, space), std::move(*key));
    }
    const auto frame = protocol::read_json_object(answer, answer.size());
    const auto* const signed_part = frame ? frame->find("response") : nullptr;
    if (signed_part == nullptr) give_up("ANSWER-FILE has a daemon's answer");
    auto response = protocol::parse_response(signed_part->raw);
    if (!response) give_up(response.error().message.c_str());
    response_ = std::move(*response);
}

std::string Signing::answer(std::string_view frame) {
    const auto parsed = protocol::parse_envelope(frame.substr(0, frame.size() - 1));
    const auto* const envelope = parsed ? std::get_if<protocol::EnvelopeV2>(&*parsed) : nullptr;
    const auto caller = envelope != nullptr ? keys_.find(envelope->caller) : keys_.end();
    if (caller == keys_.end()) give_up("a frame of nobody's");
    const auto mac = protocol::request_mac(caller->second, envelope->request);
    if (!mac.equals(envelope->mac)) give_up("a frame that is not signed");
    const auto request = protocol::parse_request(envelope->request);
    if (!request) give_up(request.error().message.c_str());
    response_.request_id = request->id.str();
    return protocol::frame_response(protocol::write_response(response_), &caller->second, mac.hex());
}

}  // namespace luminous_healing::bench
