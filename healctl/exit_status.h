#pragma once
// What healctl's exit status says (healctl(1), "EXIT STATUS"), and what a person can do about each code.

#include "base/expected.h"
#include "protocol/code.h"

#include <string_view>

namespace luminous_healing::healctl {

enum class ExitStatus : int {
    done = 0,        ///< healed, or done
    error = 1,       ///< could not ask, or the daemon could not try
    usage = 2,       ///< the command line is wrong
    denied = 3,      ///< the policy says no, or the request does not prove who asks
    try_later = 4,   ///< rate limited or busy: the same request may be granted later
    failed = 5,      ///< the action ran and failed
    not_healed = 6,  ///< the action ran, and the machine is not better
    pending = 7,     ///< whether and how it ran is not known here
    timed_out = 8,   ///< the time was up, or the action was cancelled
};

[[nodiscard]] ExitStatus exit_status_of(protocol::Code code);

/// For a request that got no answer, by the codes of clients/cpp/connection.h.
[[nodiscard]] ExitStatus exit_status_of(const Error& error);

/// What to do next, as one clause; empty for `ok`.
[[nodiscard]] std::string_view advice_for(protocol::Code code);

}  // namespace luminous_healing::healctl
