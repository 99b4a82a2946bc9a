#pragma once
// Asks luminous-healingd for an action, from C++. A request is signed once and sent as the same bytes however often
// the connection breaks: the daemon runs it at most once and gives a repeated one its recorded answer
// (luminous-healing-protocol(7)). Blocks, has no threads; one Client may be used for any number of requests.
//
//   auto client = Client::create({.socket = path, .caller = "self-healing"}, key);
//   protocol::RequestDraft draft;
//   draft.action = "restart_service";
//   draft.parameters_json = R"({"service":"nginx"})";
//   auto request = client->sign(draft);
//   auto answer = client->ask(*request);

#include "base/clock.h"
#include "base/expected.h"
#include "protocol/mac.h"
#include "protocol/request.h"
#include "protocol/response.h"

#include <functional>
#include <string>
#include <string_view>

namespace luminous_healing::client {

class Connection;

struct Settings {
    std::string socket = "/run/luminous-healing.sock";
    std::string caller;      ///< the name in the daemon's configuration whose key this is
    Micros timeout = 15min;  ///< for one request: connecting, running and reconnecting
    Micros patience = 30s;   ///< of that, how long a lost daemon may take to be back, as a restart does
};

/// What goes over the wire, and what an answer to it must prove to know.
struct SignedRequest {
    std::string id;
    std::string mac_hex;
    std::string frame;  ///< ends with a newline
};

struct Answer {
    protocol::Response response;
    std::string raw;             ///< the `response` value as received: JSON on one line
    bool authenticated = false;  ///< false only for refusals of somebody who proved no key, and `busy`
};

/// What happens while waiting. Either may be empty.
struct Listener {
    std::function<void(const protocol::Event&)> event;          ///< its MAC has been checked
    std::function<void(std::string_view why)> connection_lost;  ///< before further attempts, once for each reason
};

class Client {
public:
    /// `key` is trimmed, as the daemon does; the caller wipes it.
    [[nodiscard]] static Expected<Client> create(Settings settings, std::string_view key);

    /// Fills an empty id (128 random bits) and an empty timestamp (now). An error when the frame would be too long.
    [[nodiscard]] Expected<SignedRequest> sign(protocol::RequestDraft draft) const;

    /// Sends it and waits for the answer. Errors have the codes of connection.h, and EBADMSG for an answer whose MAC
    /// is wrong. ETIMEDOUT and ECONNRESET leave open whether the action ran; its id finds it in the audit log.
    [[nodiscard]] Expected<Answer> ask(const SignedRequest& request, const Listener& listener = {}) const;

private:
    Client(Settings settings, protocol::MacKey key) : settings_(std::move(settings)), key_(std::move(key)) {}
    [[nodiscard]] Expected<Answer> exchange(Connection& connection, const SignedRequest& request,
                                            const Listener& listener, BootTime deadline) const;
    [[nodiscard]] Error outcome_unknown(const SignedRequest& request, const Error& last) const;

    Settings settings_;
    protocol::MacKey key_;
};

}  // namespace luminous_healing::client

namespace luminous_healing {
using client::Client;
}
