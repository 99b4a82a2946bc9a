#pragma once
// The process beside a worker that holds its connection to the system bus. The worker has one end of a socket pair and
// can make no socket of its own; what it asks for comes here (the idea is that of a monitor, as OpenSSH has one):
//
//   reading          any unit's or NetworkManager's state: what every local user may ask. Passed on as it is.
//   changing         only a call that the row declares (Action::bus_calls) for the request that was decided. The
//   worker's
//                    message merely chooses one, by its method and by the texts that it begins with; what goes to the
//                    bus is the declared call. So the worker cannot bring a word of its own to systemd.
//   signals          the ends of jobs, and changes of objects that the worker has read.
//   anything else    org.freedesktop.DBus.Error.AccessDenied, and told to `refused`.
//
// The declared calls are made at the first attempt to change something, from a check() that is run here: what the
// worker says it found does not count. Jobs and checkpoints that such a call made may be cancelled, kept or rolled
// back.

#include "actions/action.h"
#include "base/expected.h"

#include <functional>
#include <string_view>

namespace luminous_healing::actions {

enum class BusDuty {
    plan,     ///< nothing may be changed
    run,      ///< the row's calls, for what check() finds
    adopted,  ///< the row's calls, for what the request's transient unit remembers, but not its start
};

/// Serves the worker at the other end of `descriptor`, which it owns, until that end is closed. `refused` gets one line
/// for each call that was not allowed.
[[nodiscard]] Expected<void> serve_bus(int descriptor, const Action& row, Context& context, BusDuty duty,
                                       const std::function<void(std::string_view)>& refused);

}  // namespace luminous_healing::actions
