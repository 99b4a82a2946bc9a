#pragma once
// The journal of the daemon itself (stderr; under systemd that is journald, with its priority prefixes, sd-daemon(3)).
// Not the audit log. Never given a key, a MAC or a caller's raw bytes: what came from outside goes through
// printable_line() first.

#include <string_view>

namespace luminous_healing::executor {

/// `verbose` shows debug messages too. Colours only on a terminal.
void start_logging(bool verbose);

void log_debug(std::string_view message);
void log_info(std::string_view message);
void log_warning(std::string_view message);
void log_error(std::string_view message);

}  // namespace luminous_healing::executor
