#include "actions/network_manager.h"

#include <algorithm>

namespace luminous_healing::actions {
namespace {

constexpr const char* kName = "org.freedesktop.NetworkManager";
constexpr const char* kPath = "/org/freedesktop/NetworkManager";
constexpr const char* kActive = "org.freedesktop.NetworkManager.Connection.Active";
constexpr std::uint64_t kActivated = 2;  // NMActiveConnectionState
constexpr std::uint64_t kDeactivating = 3;

BusMethod method(const char* member) { return {kName, kPath, kName, member}; }
BusArgument object(const std::string& path) { return BusValue(ObjectPath{path}); }

BusCall activate_call(const ActiveConnection& connection) {
    return {method("ActivateConnection"), {object(connection.connection), object(connection.device), object("/")}, {}};
}

std::vector<BusCall> of_checkpoint(const std::string& checkpoint) {
    return {{method("CheckpointDestroy"), {object(checkpoint)}, {}},
            {method("CheckpointRollback"), {object(checkpoint)}, {}}};
}

BusCall checkpoint_call(Micros keep) {
    const auto seconds = std::max<std::int64_t>(std::chrono::duration_cast<std::chrono::seconds>(keep).count(), 1);
    return {method("CheckpointCreate"),
            {BusValue(ObjectPaths{}), BusValue(static_cast<std::uint32_t>(seconds)), BusValue(std::uint32_t{0})},
            of_checkpoint};
}

Expected<void> nothing(const Expected<BusReply>& reply) {
    if (!reply) return tl::unexpected(reply.error());
    return {};
}

}  // namespace

std::vector<BusCall> reconnecting_calls(const std::vector<ActiveConnection>& connections, Micros keep) {
    std::vector<BusCall> calls{checkpoint_call(keep)};
    for (const auto& connection : connections) calls.push_back(activate_call(connection));
    return calls;
}

Expected<std::vector<ActiveConnection>> NetworkManager::active_connections() {
    const auto manager = bus_.properties(kName, kPath, kName);
    if (!manager) return tl::unexpected(manager.error());
    std::vector<ActiveConnection> found;
    for (const auto& path : manager->list("ActiveConnections")) {
        const auto active = bus_.properties(kName, path, kActive);
        if (!active) continue;  // it went away in between
        const auto devices = active->list("Devices");
        if (active->flag("Vpn") || active->text("Type") == "loopback" || devices.empty()) continue;
        found.push_back({active->text("Connection"), devices.front()});
    }
    return found;
}

Expected<std::string> NetworkManager::activate(const ActiveConnection& connection) {
    const BusCall call = activate_call(connection);
    const auto active = bus_.call(call.method, call.arguments);
    if (!active) return tl::unexpected(active.error());
    return active->text(std::size_t{0});
}

Expected<bool> NetworkManager::is_activated(const std::string& active) {
    const auto properties = bus_.properties(kName, active, kActive);
    if (!properties) return fail("a connection did not come up");
    const auto state = properties->number("State");
    if (state >= kDeactivating) return fail("the connection " + properties->text("Id") + " did not come up");
    return state == kActivated;
}

Expected<std::string> NetworkManager::create_checkpoint(Micros keep) {
    const BusCall call = checkpoint_call(keep);
    const auto checkpoint = bus_.call(call.method, call.arguments);
    if (!checkpoint) return tl::unexpected(checkpoint.error());
    return checkpoint->text(std::size_t{0});
}

Expected<void> NetworkManager::keep_changes(const std::string& checkpoint) {
    return nothing(bus_.call(method("CheckpointDestroy"), {object(checkpoint)}));
}

Expected<void> NetworkManager::roll_back(const std::string& checkpoint) {
    return nothing(bus_.call(method("CheckpointRollback"), {object(checkpoint)}));
}

}  // namespace luminous_healing::actions
