#include "healctl/ask.h"

#include "healctl/terminal.h"

#include <unistd.h>

namespace luminous_healing::healctl {
namespace {

constexpr Micros kShortTimeout = 10s;

}  // namespace

Expected<Client> make_client(const Globals& globals, Micros timeout) {
    auto credentials = find_credentials(globals.credentials);
    if (!credentials) return tl::unexpected(credentials.error());
    if (!credentials->warning.empty()) complain("warning: " + credentials->warning);
    return Client::create({.socket = globals.socket_path(), .caller = credentials->caller, .timeout = timeout},
                          credentials->key);
}

Expected<client::Answer> ask(const Client& client, protocol::RequestDraft draft, const Globals& globals) {
    const auto request = client.sign(std::move(draft));
    if (!request) return tl::unexpected(request.error());
    LiveLine line(Look::of(STDERR_FILENO, globals.no_color));
    return client.ask(*request, {.event = [&](const protocol::Event& event) { line.show(event.text); },
                                 .connection_lost =
                                     [&](std::string_view why) {
                                         line.show(std::string(why) + "; asking again with the same request");
                                     }});
}

Expected<client::Answer> ask_shortly(std::string_view action, std::string_view parameters_json,
                                     const Globals& globals) {
    const auto timeout = globals.timeout_duration();
    if (!timeout) return tl::unexpected(timeout.error());
    const auto client = make_client(globals, timeout->value_or(kShortTimeout));
    if (!client) return tl::unexpected(client.error());
    protocol::RequestDraft draft;
    draft.action = action;
    draft.parameters_json = parameters_json;
    return ask(*client, std::move(draft), globals);
}

}  // namespace luminous_healing::healctl
