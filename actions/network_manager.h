#pragma once
// What restart_network needs of NetworkManager's D-Bus API: a checkpoint, which NetworkManager itself rolls back when
// nobody keeps it in time, whatever became of us; and activating again what is active.

#include "actions/system_bus.h"
#include "base/clock.h"
#include "base/expected.h"

#include <string>
#include <vector>

namespace luminous_healing::actions {

/// A connection that is active on a device; paths of D-Bus objects.
struct ActiveConnection {
    std::string connection;
    std::string device;
};

/// The calls that change something, for restart_network to declare (BusCall): a checkpoint of all devices, kept for
/// `keep`, which may be destroyed or rolled back; and activating those connections anew.
[[nodiscard]] std::vector<BusCall> reconnecting_calls(const std::vector<ActiveConnection>& connections, Micros keep);

class NetworkManager {
public:
    /// The bus must outlive it.
    explicit NetworkManager(SystemBus& bus) : bus_(bus) {}

    /// Without loopback and VPNs. An error when NetworkManager does not answer.
    [[nodiscard]] Expected<std::vector<ActiveConnection>> active_connections();
    /// Activates it anew; the path of the new active connection.
    [[nodiscard]] Expected<std::string> activate(const ActiveConnection& connection);
    /// Has that active connection come up? An error when it failed.
    [[nodiscard]] Expected<bool> is_activated(const std::string& active);

    /// Of all devices; rolled back by itself after `keep` (at least a second). The path of the checkpoint.
    [[nodiscard]] Expected<std::string> create_checkpoint(Micros keep);
    [[nodiscard]] Expected<void> keep_changes(const std::string& checkpoint);
    [[nodiscard]] Expected<void> roll_back(const std::string& checkpoint);

private:
    SystemBus& bus_;
};

}  // namespace luminous_healing::actions
