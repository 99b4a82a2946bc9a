// status and actions: what the daemon says about itself and about what this caller may do.

#include "base/text.h"
#include "base/units.h"
#include "healctl/actions_table.h"
#include "healctl/ask.h"
#include "healctl/command.h"
#include "healctl/render.h"
#include "protocol/limits.h"

#include <CLI/CLI.hpp>

#include <unistd.h>

namespace luminous_healing::healctl {
namespace {

ExitStatus status(const Globals& globals) {
    const auto answer = ask_shortly("status", "{}", globals);
    if (!answer) return report_error(answer.error());
    const auto& response = answer->response;
    if (globals.json || response.code != protocol::Code::ok) return deliver(*answer, "status", false, globals);
    const auto rows = flatten_text(response.result);
    print(rows.empty() ? printable(response.output, protocol::kMaxOutput) + "\n"
                       : aligned(rows, Look::of(STDOUT_FILENO, globals.no_color)));
    return ExitStatus::done;
}

ExitStatus actions(const Globals& globals) {
    const auto answer = ask_shortly("status", R"({"detail":"actions"})", globals);
    if (!answer) return report_error(answer.error());
    if (globals.json || answer->response.code != protocol::Code::ok) return deliver(*answer, "actions", false, globals);
    const auto table = render_actions(answer->response.result, Look::of(STDOUT_FILENO, globals.no_color));
    if (!table) return report_error(table.error());
    print(*table);
    return ExitStatus::done;
}

}  // namespace

void add_status(CLI::App& command, CommandLine& line) {
    command.callback([&line] { line.chosen = status; });
}

void add_actions(CLI::App& command, CommandLine& line) {
    command.callback([&line] { line.chosen = actions; });
}

}  // namespace luminous_healing::healctl
