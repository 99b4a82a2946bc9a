// Restarts the network: the one service of those we know that is active. Before that a way back is armed which works
// without us: a checkpoint of NetworkManager, or a timer (actions/network_guard.h). NetworkManager itself is left
// running when it answers and has connections, because a restart of its service would keep the connections as they are
// and lose the checkpoint; its connections are activated anew instead.

#include "actions/network_guard.h"
#include "actions/network_manager.h"
#include "actions/network_state.h"
#include "actions/rows.h"
#include "actions/service_manager.h"

#include <algorithm>
#include <array>

namespace luminous_healing::actions {
namespace {

using protocol::Code;
using protocol::Verdict;

constexpr Micros kSettle = 2s;       // how long the network must be back to be believed
constexpr Micros kLongest = 45s;     // how long we wait for it
constexpr Micros kInterval = 250ms;  // between two looks: /proc/net has no events
constexpr Micros kReserve = 10s;     // of the time left, for putting back
constexpr const char* kReconnects = "activates its connections anew";
constexpr const char* kNetworkManager = "NetworkManager.service";
constexpr std::array kServices{kNetworkManager, "systemd-networkd.service", "dhcpcd.service", "networking.service"};

Result<ServiceManager> connected() {
    auto manager = ServiceManager::connect();
    if (!manager) return failed(Code::unavailable, "systemd does not answer: " + manager.error().message);
    return std::move(*manager);
}

Result<std::string> active_service(ServiceManager& manager) {
    for (const char* const name : kServices) {
        const auto state = manager.loaded_unit(name);
        if (!state) return failed(state.error().message);
        if (*state && (*state)->is_active()) return std::string(name);
    }
    return failed(Code::unavailable,
                  "none of NetworkManager, systemd-networkd, dhcpcd and networking.service is active");
}

NetworkState state_before(const Context& context) {
    return {parted(context.facts.text("addresses_before")), parted(context.facts.text("routes_before"))};
}

Micros confirm_within(const Context& context) {
    return std::chrono::seconds(context.arguments.integer("confirm_within"));
}

// The active connections that could be activated anew; none when NetworkManager is not the one or does not answer.
std::vector<ActiveConnection> reconnectable(ServiceManager& manager, const std::string& service) {
    if (service != kNetworkManager) return {};
    return NetworkManager(manager.bus()).active_connections().value_or(std::vector<ActiveConnection>{});
}

Result<void> check(Context& context) {
    auto manager = connected();
    if (!manager) return tl::unexpected(manager.error());
    const auto service = active_service(*manager);
    if (!service) return tl::unexpected(service.error());
    const auto state = read_network_state(manager->bus().descriptor());
    if (!state) return failed(state.error().message);
    context.facts.set("service", *service);
    context.facts.set("addresses_before", joined(state->addresses));
    context.facts.set("routes_before", joined(state->routes));
    const bool reconnect = !reconnectable(*manager, *service).empty();
    context.facts.set("how", std::string(reconnect ? kReconnects : "restarts the service"));
    if (!context.arguments.has("confirm_within")) return {};
    if (const auto reason = guard_missing(); reason && !reconnect) return failed(Code::unavailable, *reason);
    const Micros needed = confirm_within(context) + kSettle + kReserve;
    if (context.time_left() < needed)
        return failed(Code::parameters_invalid,
                      "\"confirm_within\" does not fit into the time this action has: give "
                      "the action a longer timeout in the configuration, or confirm sooner");
    return {};
}

Result<std::string> reconnect(Context& context, ServiceManager& manager, const std::vector<ActiveConnection>& active) {
    NetworkManager network(manager.bus());
    const auto checkpoint = network.create_checkpoint(context.time_left() + 5s);
    if (!checkpoint) return failed("NetworkManager made no checkpoint: " + checkpoint.error().message);
    context.facts.set("checkpoint", *checkpoint);
    std::vector<std::string> paths;
    for (const auto& connection : active) {
        const auto path = network.activate(connection);
        if (!path) return failed("NetworkManager refused: " + path.error().message);
        paths.push_back(*path);
    }
    for (const auto& path : paths) {
        auto up = network.is_activated(path);
        while (up && !*up && context.time_left() > kReserve) {
            if (const auto waited = manager.bus().next_signal(kInterval); !waited)
                return failed(waited.error().message);
            up = network.is_activated(path);
        }
        if (!up) return failed(up.error().message);
        if (!*up) return failed("a connection did not come up in time");
    }
    return "Network connections activated anew";
}

bool can_be_guarded(const Context& context) {
    const NetworkState before = state_before(context);
    const bool nothing_to_lose = before.addresses.empty() && before.routes.empty();
    return !nothing_to_lose && !guard_missing();
}

Result<void> arm(Context& context, ServiceManager& manager) {
    if (!can_be_guarded(context)) {
        context.facts.set("way_back", false);
        return {};
    }
    const auto armed = arm_guard(manager, context.request_id);
    if (!armed) return failed("no way back could be armed, so nothing was changed: " + armed.error().message);
    context.facts.set("way_back", true);
    return {};
}

Result<std::string> run(Context& context) {
    auto manager = connected();
    if (!manager) return tl::unexpected(manager.error());
    const std::string service = context.facts.text("service");
    const auto active = reconnectable(*manager, service);
    if (!active.empty()) return reconnect(context, *manager, active);
    if (auto armed = arm(context, *manager); !armed) return tl::unexpected(armed.error());
    context.progress("restarting " + service);
    const auto end = manager->run_job("RestartUnit", service, std::max(context.time_left() - kReserve, Micros(1s)));
    if (!end) return failed("systemd refused to restart " + service + ": " + end.error().message);
    if (!end->is_done()) return failed("restarting " + service + ": " + in_words(*end));
    return "Network service restarted";
}

// Waits until what was there before has been back for kSettle, or a default route has come where there was none.
Verification wait_until_back(Context& context, SystemBus& bus) {
    const NetworkState before = state_before(context);
    const BootTime until = now().boot + std::min(kLongest, context.time_left() - kReserve - confirm_within(context));
    bool is_back = false;
    BootTime back_since;
    while (true) {
        const auto state = read_network_state(bus.descriptor());
        if (!state) return {Verdict::unverifiable, state.error().message};
        const auto gone = lost(before, *state);
        context.facts.set("addresses", joined(state->addresses));
        context.facts.set("routes", joined(state->routes));
        if (gone.empty() && !is_back) back_since = now().boot;
        is_back = gone.empty();
        const bool settled = is_back && now().boot - back_since >= kSettle;
        if (settled && !state->routes.empty()) return {Verdict::healed, "addresses and default routes are there"};
        const bool improved = state->addresses.size() > before.addresses.size();
        if (settled && improved) return {Verdict::healed, "there are addresses that were not there before"};
        if (now().boot >= until || (settled && now().boot - back_since >= 5 * kSettle)) {
            if (!gone.empty()) return {Verdict::worse, "not back as before: " + joined(gone)};
            if (before.addresses.empty()) return {Verdict::unchanged, "there is still no address and no default route"};
            return {Verdict::unverifiable, "addresses are as before, and there is no default route, as before"};
        }
        if (const auto waited = bus.next_signal(kInterval); !waited)
            return {Verdict::unverifiable, waited.error().message};
    }
}

Expected<void> keep_changes(Context& context, ServiceManager& manager) {
    const std::string checkpoint = context.facts.text("checkpoint");
    if (!checkpoint.empty()) return NetworkManager(manager.bus()).keep_changes(checkpoint);
    return disarm_guard(manager, context.request_id);
}

Verification verify(Context& context) {
    auto manager = connected();
    if (!manager) return {Verdict::worse, manager.error().message};  // what was armed brings the network back
    const Verification found = wait_until_back(context, manager->bus());
    if (found.verdict != Verdict::healed && found.verdict != Verdict::unverifiable) return found;
    if (context.arguments.has("confirm_within")) {
        context.progress("waiting for the confirmation");
        const bool confirmed = context.await_confirmation && context.await_confirmation(confirm_within(context));
        context.facts.set("confirmed", confirmed);
        if (!confirmed) return {Verdict::unchanged, "nobody confirmed that the network works"};
    }
    if (const auto kept = keep_changes(context, *manager); !kept)
        return {Verdict::worse, "the armed way back could not be disarmed: " + kept.error().message};
    return found;
}

Result<void> undo(Context& context) {
    auto manager = connected();
    if (!manager) return tl::unexpected(manager.error());
    const std::string checkpoint = context.facts.text("checkpoint");
    Expected<void> done;
    if (!checkpoint.empty()) {
        done = NetworkManager(manager->bus()).roll_back(checkpoint);
    } else {
        const auto* const armed = context.facts.find("way_back");
        if (armed == nullptr || !std::get<bool>(*armed)) return {};  // nothing was changed, or there was nothing
        done = fire_guard(*manager, context.request_id, std::max(context.time_left() - 1s, Micros(1s)));
    }
    if (!done) return failed(done.error().message);
    return {};
}

// Asked for before anything has changed. Either NetworkManager's connections or the service, as check() found it.
Result<std::vector<BusCall>> calls(const Context& context) {
    const Micros keep = context.time_left() + 5s;
    if (context.facts.text("how") == kReconnects) {
        auto manager = connected();
        if (!manager) return tl::unexpected(manager.error());
        return reconnecting_calls(reconnectable(*manager, context.facts.text("service")), keep);
    }
    std::vector<BusCall> calls{job_call("RestartUnit", context.facts.text("service"))};
    if (!can_be_guarded(context)) return calls;
    const auto guard = guard_calls(context.request_id, state_before(context), keep);
    if (!guard) return failed(guard.error().message);
    calls.insert(calls.end(), guard->begin(), guard->end());
    return calls;
}

std::optional<std::string> missing(const Machine& /*machine*/) { return SystemBus::missing(); }

}  // namespace

Action restart_network() {
    Action row;
    row.name = "restart_network";
    row.summary = "restarts the network service that is active";
    row.parameters = {{.name = "confirm_within",
                       .type = policy::ParameterType::integer,
                       .required = false,
                       .description = "seconds to wait for a confirmation; without it the old state is restored",
                       .minimum = 5,
                       .maximum = 600}};
    row.privilege = {.user = RunAs::root, .syscalls = SyscallClass::bus};
    row.timeout = 2min;
    row.target_group = "network";
    row.verifies = "the addresses and default routes from before are back for 2 s";
    row.missing = missing;
    row.check = check;
    row.run = run;
    row.bus_calls = calls;
    row.verify = verify;
    row.undo = undo;
    return row;
}

}  // namespace luminous_healing::actions
