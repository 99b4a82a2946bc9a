#include "healctl/command.h"

#include "base/text.h"
#include "base/units.h"
#include "healctl/terminal.h"

#include <cstdlib>

namespace luminous_healing::healctl {

std::string Globals::socket_path() const {
    if (socket) return *socket;
    const char* const named = std::getenv("LUMINOUS_HEALING_SOCKET");
    return named != nullptr && *named != '\0' ? named : "/run/luminous-healing.sock";
}

Expected<std::optional<Micros>> Globals::timeout_duration() const {
    if (!timeout) return std::optional<Micros>();
    const auto duration = parse_duration(*timeout);
    if (!duration)
        return fail("--timeout " + printable_line(*timeout, 40) + " is not a duration: write 500ms, 30s or 5min");
    if (*duration > 24h) return fail("--timeout is at most 24h");
    return duration;
}

ExitStatus report_error(const Error& error) {
    complain(printable_line(error.message, 2000));
    return exit_status_of(error);
}

ExitStatus report_usage(const Error& error) {
    complain(printable_line(error.message, 2000));
    return ExitStatus::usage;
}

}  // namespace luminous_healing::healctl
