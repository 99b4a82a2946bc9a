#include "clients/cpp/client.h"

#include "base/text.h"
#include "clients/cpp/connection.h"
#include "protocol/limits.h"

#include <poll.h>

#include <algorithm>

namespace luminous_healing::client {
namespace {

constexpr Micros kFirstPause = 50ms;
constexpr Micros kLongestPause = 1s;

bool is_lost(const Error& error) { return error.system_error == ECONNRESET; }

/// What a daemon that is being restarted looks like from outside.
bool is_away(const Error& error) { return error.system_error == ENOENT || error.system_error == ECONNREFUSED; }

/// A request that could not be read has no id for the daemon; the MAC says all the same which one is meant.
bool names(const protocol::Response& response, const SignedRequest& request) {
    return response.request_id == request.id ||
           (response.code == protocol::Code::bad_request && response.request_id == "unknown");
}

void pause_for(Micros duration) { ::poll(nullptr, 0, static_cast<int>(duration.count() / 1000)); }

Error refused_unproven(const Answer& answer) {
    return {"asked again, the daemon refused with " + std::string(name_of(answer.response.code)), ECONNRESET};
}

}  // namespace

Expected<Client> Client::create(Settings settings, std::string_view key) {
    const std::string_view text = trim(key);
    if (text.empty()) return fail("the key is empty: write one with healctl keygen");
    auto prepared = protocol::MacKey::create(text);
    if (!prepared) return tl::unexpected(prepared.error());
    return Client(std::move(settings), std::move(*prepared));
}

Expected<SignedRequest> Client::sign(protocol::RequestDraft draft) const {
    if (draft.id.empty()) draft.id = to_hex(protocol::random_bytes(16));
    if (draft.timestamp.empty()) draft.timestamp = format_rfc3339(now().wall);
    const std::string bytes = protocol::write_request(draft);
    SignedRequest request{draft.id, protocol::request_mac(key_, bytes).hex(), {}};
    request.frame = protocol::write_envelope(settings_.caller, request.mac_hex, bytes);
    if (request.frame.size() > protocol::kMaxFrame)
        return fail("the request has " + std::to_string(request.frame.size()) + " bytes, at most " +
                        std::to_string(protocol::kMaxFrame) + " are allowed: shorten its parameters",
                    EMSGSIZE);
    return request;
}

Expected<Answer> Client::exchange(Connection& connection, const SignedRequest& request, const Listener& listener,
                                  BootTime deadline) const {
    // A daemon at its limits answers `busy` and closes without reading: the answer is there though sending failed.
    const auto sent = connection.send(request.frame, deadline);
    if (!sent && !is_lost(sent.error())) return tl::unexpected(sent.error());
    for (;;) {
        const auto frame = connection.receive(deadline);
        if (!frame) return tl::unexpected(frame.error());
        auto received = protocol::read_received(*frame, key_, request.mac_hex);
        if (!received) return fail(received.error().message, EBADMSG);
        if (received->response) {
            if (received->authenticated && !names(*received->response, request))
                return fail("the answer names another request", EBADMSG);
            return Answer{std::move(*received->response), std::move(received->raw_value), received->authenticated};
        }
        if (listener.event) listener.event(*received->event);
    }
}

Error Client::outcome_unknown(const SignedRequest& request, const Error& last) const {
    return {last.message + ". Whether request " + request.id +
                " ran stands in the audit log (healctl audit show --id " + request.id + ")",
            last.system_error};
}

Expected<Answer> Client::ask(const SignedRequest& request, const Listener& listener) const {
    const BootTime deadline = now().boot + settings_.timeout;
    BootTime give_up = deadline;
    bool was_connected = false;
    std::string told;
    for (Micros pause = kFirstPause;; pause = std::min(pause * 2, kLongestPause)) {
        Error last;
        const BootTime begun = now().boot;
        if (auto connection = Connection::open(settings_.socket, give_up)) {
            auto answer = exchange(*connection, request, listener, deadline);
            // A refusal without proof says nothing about the same request on a connection before this one.
            if (answer && (answer->authenticated || !was_connected)) return answer;
            last = answer ? refused_unproven(*answer) : answer.error();
            if (!is_lost(last)) return tl::unexpected(outcome_unknown(request, last));
            // A connection that lasted is a daemon that was back; one that is always closed at once is none.
            if (!was_connected || now().boot - begun > kLongestPause)
                give_up = std::min(deadline, now().boot + settings_.patience);
            was_connected = true;
        } else {
            last = connection.error();
            if (!was_connected) return tl::unexpected(last);
            if (!is_away(last)) return tl::unexpected(outcome_unknown(request, last));
            last.system_error = ECONNRESET;
        }
        if (now().boot + pause >= give_up) return tl::unexpected(outcome_unknown(request, last));
        if (listener.connection_lost && told != last.message) listener.connection_lost(last.message);
        told = last.message;
        pause_for(pause);
    }
}

}  // namespace luminous_healing::client
