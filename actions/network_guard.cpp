#include "actions/network_guard.h"

#include "actions/transient_unit.h"

#include <linux/capability.h>

#include <algorithm>

namespace luminous_healing::actions {
namespace {

constexpr const char* kPart = "network";
constexpr Micros kQuick = 10s;
constexpr const char* kNoIpProgram = "there is no ip program (iproute2) to bring addresses and routes back with";

std::string service_name(std::string_view request_id) { return transient_unit_name(request_id, kPart); }

std::string timer_name(std::string_view request_id) {
    std::string name = service_name(request_id);
    return name.replace(name.rfind('.'), std::string::npos, ".timer");
}

// The script comes in over standard input, so that nothing has to be written where somebody else could read or change
// it. "-force": a line that cannot be restored does not keep the others from it.
BusProperties restoring_service(const std::string& ip, const NetworkState& state) {
    TransientWork work;
    work.description = "Luminous Healing: brings addresses and default routes back";
    work.argvs = {{ip, "-force", "-batch", "-"}};
    work.sandbox.network = true;
    work.sandbox.capabilities = 1ULL << CAP_NET_ADMIN;
    work.standard_input = restore_script(state);
    work.timeout = 30s;
    auto properties = transient_properties(work, {});
    for (auto& [name, value] : properties) {
        if (name == "RemainAfterExit") value = false;  // or the timer could not start it after a run by hand
    }
    properties.emplace_back("CollectMode", std::string("inactive-or-failed"));
    return properties;
}

}  // namespace

std::optional<std::string> guard_missing() {
    if (find_program("ip")) return {};
    return kNoIpProgram;
}

Expected<std::vector<BusCall>> guard_calls(std::string_view request_id, const NetworkState& state, Micros delay) {
    const auto ip = find_program("ip");
    if (!ip) return fail(kNoIpProgram);
    const BusProperties timer{{"Description", std::string("Luminous Healing: restores the network unless confirmed")},
                              {"TimersMonotonic", TimerSpec{"OnActiveSec", delay}},
                              {"AccuracyUSec", std::uint64_t{100'000}},
                              {"RemainAfterElapse", false},
                              {"CollectMode", std::string("inactive-or-failed")}};
    const AuxiliaryUnits service{{service_name(request_id), restoring_service(*ip, state)}};
    return std::vector<BusCall>{start_transient_call(timer_name(request_id), timer, service),
                                job_call("StopUnit", timer_name(request_id)),
                                job_call("StartUnit", service_name(request_id))};
}

Expected<void> arm_guard(ServiceManager& manager, std::string_view request_id) {
    const auto end = manager.start_transient(timer_name(request_id), kQuick);
    if (!end) return tl::unexpected(end.error());
    if (!end->is_done()) return fail(in_words(*end));
    return {};
}

Expected<void> disarm_guard(ServiceManager& manager, std::string_view request_id) {
    const auto timer = manager.loaded_unit(timer_name(request_id));
    if (!timer) return tl::unexpected(timer.error());
    if (!*timer) return {};
    const auto end = manager.run_job("StopUnit", timer_name(request_id), kQuick);
    if (!end) return tl::unexpected(end.error());
    return end->is_done() ? Expected<void>{} : fail(in_words(*end));
}

Expected<void> fire_guard(ServiceManager& manager, std::string_view request_id, Micros limit) {
    const auto end = manager.run_job("StartUnit", service_name(request_id), limit);
    const auto disarmed = disarm_guard(manager, request_id);
    if (!end) return tl::unexpected(end.error());
    if (!end->is_done()) return fail("bringing addresses and routes back: " + in_words(*end));
    return disarmed;
}

}  // namespace luminous_healing::actions
