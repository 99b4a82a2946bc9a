#pragma once
// JSON and answers as text for people. Everything that came from outside is made printable here.

#include "clients/cpp/client.h"
#include "healctl/command.h"
#include "healctl/terminal.h"
#include "protocol/json_reader.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace luminous_healing::healctl {

using Rows = std::vector<std::pair<std::string, std::string>>;

/// The members of an object as rows: nested names joined by dots, lists of plain values by commas.
[[nodiscard]] Rows flatten(const protocol::Json& object);

/// The rows of an object given as JSON; empty when it is none.
[[nodiscard]] Rows flatten_text(std::string_view json);

/// "  name   value" lines, the values aligned.
[[nodiscard]] std::string aligned(const Rows& rows, const Look& look);

/// "41 ms", "2.1 s", "3 min 20 s".
[[nodiscard]] std::string spoken_duration(std::int64_t milliseconds);

/// The answer to `action`, for standard output: how it ended, its output, its result. Empty for a refusal.
[[nodiscard]] std::string render_answer(const protocol::Response& response, std::string_view action, bool plan,
                                        const Look& look);

/// Why it was not `ok`, and what to do, for standard error. Empty for `ok`.
[[nodiscard]] std::string render_problem(const protocol::Response& response, const Look& look);

/// The answer on both streams as the global options want it, and the status for it.
ExitStatus deliver(const client::Answer& answer, std::string_view action, bool plan, const Globals& globals);

}  // namespace luminous_healing::healctl
