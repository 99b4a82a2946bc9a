#pragma once
// The way back from a change of the network, armed before it: a transient timer of systemd that brings addresses and
// default routes back with ip(8). It fires by itself when nobody disarms it, also when this daemon has died or was cut
// off. For network services without a way back of their own (NetworkManager has checkpoints).

#include "actions/network_state.h"
#include "actions/service_manager.h"
#include "base/clock.h"
#include "base/expected.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace luminous_healing::actions {

/// Why it cannot be armed, or nothing.
[[nodiscard]] std::optional<std::string> guard_missing();

/// The calls that arm, disarm and fire it, for the row to declare (BusCall): restores `state` after `delay`, unless
/// disarmed. The unit's names come from the request's id.
[[nodiscard]] Expected<std::vector<BusCall>> guard_calls(std::string_view request_id, const NetworkState& state,
                                                         Micros delay);

[[nodiscard]] Expected<void> arm_guard(ServiceManager& manager, std::string_view request_id);
[[nodiscard]] Expected<void> disarm_guard(ServiceManager& manager, std::string_view request_id);
/// Restores now, and disarms.
[[nodiscard]] Expected<void> fire_guard(ServiceManager& manager, std::string_view request_id, Micros limit);

}  // namespace luminous_healing::actions
