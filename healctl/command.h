#pragma once
// The commands of healctl. Each adds its options to its place in the command line, and sets `chosen` when that is what
// the person wrote; main() calls it once the whole line has been read.

#include "base/clock.h"
#include "base/expected.h"
#include "healctl/credentials.h"
#include "healctl/exit_status.h"

#include <functional>
#include <optional>
#include <string>

namespace CLI {
class App;
}

namespace luminous_healing::healctl {

/// Options that stand before or after any command.
struct Globals {
    CredentialOptions credentials;
    std::optional<std::string> socket;
    std::optional<std::string> timeout;
    bool json = false;
    bool no_color = false;

    /// --socket, else $LUMINOUS_HEALING_SOCKET, else the usual place.
    [[nodiscard]] std::string socket_path() const;
    /// --timeout, or nothing when it was not given.
    [[nodiscard]] Expected<std::optional<Micros>> timeout_duration() const;
};

struct CommandLine {
    Globals globals;
    std::function<ExitStatus(const Globals&)> chosen;
};

void add_status(CLI::App& command, CommandLine& line);
void add_actions(CLI::App& command, CommandLine& line);
void add_run(CLI::App& command, CommandLine& line);
void add_plan(CLI::App& command, CommandLine& line);
void add_confirm(CLI::App& command, CommandLine& line);
void add_sign(CLI::App& command, CommandLine& line);
void add_explain(CLI::App& command, CommandLine& line);
void add_check(CLI::App& command, CommandLine& line);
void add_caller(CLI::App& command, CommandLine& line);
void add_keygen(CLI::App& command, CommandLine& line);
void add_audit(CLI::App& command, CommandLine& line);
void add_doctor(CLI::App& command, CommandLine& line);

/// Tells the person what went wrong and returns the status for it.
ExitStatus report_error(const Error& error);
/// For a command line that cannot be right.
ExitStatus report_usage(const Error& error);

}  // namespace luminous_healing::healctl
