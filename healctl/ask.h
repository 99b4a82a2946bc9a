#pragma once
// The way from a command line to an answer, shared by every command that talks to the daemon.

#include "clients/cpp/client.h"
#include "healctl/command.h"

namespace luminous_healing::healctl {

/// A client for the credentials that were found; warnings about them go to standard error.
[[nodiscard]] Expected<Client> make_client(const Globals& globals, Micros timeout);

/// Signs, sends and waits; progress is shown on standard error.
[[nodiscard]] Expected<client::Answer> ask(const Client& client, protocol::RequestDraft draft, const Globals& globals);

/// The same for a question that the daemon answers itself, at once.
[[nodiscard]] Expected<client::Answer> ask_shortly(std::string_view action, std::string_view parameters_json,
                                                   const Globals& globals);

}  // namespace luminous_healing::healctl
