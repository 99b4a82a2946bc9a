#include "actions/service_manager.h"

#include <algorithm>
#include <array>
#include <utility>

namespace luminous_healing::actions {
namespace {

constexpr const char* kSystemd = "org.freedesktop.systemd1";
constexpr const char* kManagerPath = "/org/freedesktop/systemd1";
constexpr const char* kManager = "org.freedesktop.systemd1.Manager";
constexpr const char* kUnit = "org.freedesktop.systemd1.Unit";
constexpr const char* kService = "org.freedesktop.systemd1.Service";
constexpr const char* kJob = "org.freedesktop.systemd1.Job";
constexpr const char* kProperties = "org.freedesktop.DBus.Properties";

BusArgument text(const std::string& value) { return BusValue(value); }
BusMethod on_manager(const char* member) { return {kSystemd, kManagerPath, kManager, member}; }

std::vector<BusCall> job_may_be_cancelled(const std::string& job) {
    return {{{kSystemd, job, kJob, "Cancel"}, {}, {}}};
}

bool is_service(std::string_view name) { return name.ends_with(".service"); }

void add_service(UnitState& state, const BusReply& service) {
    state.type = service.text("Type");
    state.result = service.text("Result");
    state.main_pid = static_cast<std::int64_t>(service.number("MainPID"));
    state.restarts = static_cast<std::int64_t>(service.number("NRestarts"));
    state.exit_status = static_cast<std::int64_t>(service.number("ExecMainStatus"));
    state.environment = service.list("Environment");
}

}  // namespace

std::string in_words(const JobEnd& end) {
    static constexpr std::array<std::pair<std::string_view, std::string_view>, 10> kWords{{
        {"canceled", "it was cancelled by another request"},
        {"timeout", "systemd's own time limit for the job passed"},
        {"failed", "it failed"},
        {"dependency", "a unit that it depends on failed"},
        {"skipped", "it does not apply to the unit's present state"},
        {"invalid", "it does not apply to the unit's present state"},
        {"assert", "an assertion of the unit (Assert…=) does not hold"},
        {"unsupported", "this machine does not support that type of unit"},
        {"once", "the unit may be started only once"},
        {kUnfinished, "it did not end in time and was cancelled"},
    }};
    const auto found = std::find_if(kWords.begin(), kWords.end(), [&](const auto& w) { return w.first == end.result; });
    return std::string(found == kWords.end() ? std::string_view(end.result) : found->second);
}

BusCall job_call(const char* method, const std::string& unit) {
    return {on_manager(method), {text(unit), text("replace")}, job_may_be_cancelled};
}

BusCall with_way_back(BusCall call, const BusCall& back) {
    call.then = [first = std::move(call.then), back](const std::string& object) {
        auto calls = first ? first(object) : std::vector<BusCall>{};
        calls.push_back(back);
        return calls;
    };
    return call;
}

BusCall reset_failed_call(const std::string& unit) { return {on_manager("ResetFailedUnit"), {text(unit)}, {}}; }

BusCall start_transient_call(const std::string& name, const BusProperties& properties,
                             const AuxiliaryUnits& auxiliary) {
    return {on_manager("StartTransientUnit"), {text(name), text("fail"), properties, auxiliary}, {}};
}

Expected<ServiceManager> ServiceManager::connect() {
    auto bus = SystemBus::connect();
    if (!bus) return tl::unexpected(bus.error());
    return ServiceManager(std::move(*bus));
}

Expected<UnitState> ServiceManager::state_of(const std::string& path) {
    const auto unit = bus_.properties(kSystemd, path, kUnit);
    if (!unit) return tl::unexpected(unit.error());
    UnitState state;
    state.path = path;
    state.id = unit->text("Id");
    state.names = unit->list("Names");
    state.load_state = unit->text("LoadState");
    state.active_state = unit->text("ActiveState");
    state.sub_state = unit->text("SubState");
    state.active_since = Micros(static_cast<std::int64_t>(unit->number("ActiveEnterTimestampMonotonic")));
    state.can_reload = unit->flag("CanReload");
    if (!is_service(state.id)) return state;
    const auto service = bus_.properties(kSystemd, path, kService);
    if (!service) return tl::unexpected(service.error());
    add_service(state, *service);
    return state;
}

Expected<UnitState> ServiceManager::unit(const std::string& name) {
    const auto path = bus_.call(on_manager("LoadUnit"), {text(name)});
    if (!path) return tl::unexpected(path.error());
    return state_of(path->text(std::size_t{0}));
}

Expected<std::optional<UnitState>> ServiceManager::loaded_unit(const std::string& name) {
    const auto path = bus_.call(on_manager("GetUnit"), {text(name)});
    if (!path && path.error().system_error == ENOENT) return std::optional<UnitState>{};
    if (!path) return tl::unexpected(path.error());
    auto state = state_of(path->text(std::size_t{0}));
    if (!state) return tl::unexpected(state.error());
    return std::optional<UnitState>(std::move(*state));
}

// systemd sends signals on the bus only while somebody has subscribed.
Expected<void> ServiceManager::subscribe() {
    if (subscribed_) return {};
    if (auto heard = bus_.listen(kSystemd, kManagerPath, kManager, "JobRemoved"); !heard) return heard;
    if (const auto done = bus_.call(on_manager("Subscribe"), {}); !done) return tl::unexpected(done.error());
    subscribed_ = true;
    return {};
}

// JobRemoved: u id, o job, s unit, s result. It may have arrived before the answer that named the job: it waits then.
Expected<JobEnd> ServiceManager::wait_for_job(const std::string& job, BootTime until) {
    while (true) {
        auto heard = bus_.next_signal(until - now().boot);
        if (!heard) return tl::unexpected(heard.error());
        const auto signal = std::move(*heard);
        if (!signal) return JobEnd{std::string(kUnfinished)};
        if (signal->member == "JobRemoved" && signal->values.text(std::size_t{1}) == job)
            return JobEnd{signal->values.text(std::size_t{3})};
    }
}

// A job that cannot be cancelled ended in the last moment: its end was sent before the refusal and is waiting for us.
JobEnd ServiceManager::cancel_job(const std::string& job) {
    if (bus_.call({kSystemd, job, kJob, "Cancel"}, {}, 2s)) return JobEnd{std::string(kUnfinished)};
    const auto late = wait_for_job(job, now().boot);
    return late ? *late : JobEnd{std::string(kUnfinished)};
}

Expected<JobEnd> ServiceManager::run_job(const char* method, const std::string& name, Micros limit) {
    const BootTime until = now().boot + limit;
    if (const auto ready = subscribe(); !ready) return tl::unexpected(ready.error());
    const BusCall call = job_call(method, name);
    const auto job = bus_.call(call.method, call.arguments, limit);
    if (!job) return tl::unexpected(job.error());
    auto end = wait_for_job(job->text(std::size_t{0}), until);
    return end && end->result == kUnfinished ? cancel_job(job->text(std::size_t{0})) : end;
}

Expected<void> ServiceManager::reset_failed(const std::string& name) {
    const BusCall call = reset_failed_call(name);
    const auto done = bus_.call(call.method, call.arguments);
    if (!done) return tl::unexpected(done.error());
    return {};
}

Expected<JobEnd> ServiceManager::start_transient(const std::string& name, Micros limit) {
    const BootTime until = now().boot + limit;
    if (const auto ready = subscribe(); !ready) return tl::unexpected(ready.error());
    const BusCall call = start_transient_call(name, {}, {});
    const auto job = bus_.call(call.method, call.arguments, limit);
    if (!job) return tl::unexpected(job.error());
    return wait_for_job(job->text(std::size_t{0}), until);
}

Expected<bool> ServiceManager::watch(UnitState& state, Micros limit,
                                     const std::function<bool(const UnitState&)>& enough) {
    const BootTime until = now().boot + limit;
    if (const auto ready = subscribe(); !ready) return tl::unexpected(ready.error());
    if (auto heard = bus_.listen(kSystemd, state.path, kProperties, "PropertiesChanged"); !heard)
        return tl::unexpected(heard.error());
    while (true) {
        auto seen = state_of(state.path);
        if (!seen) return tl::unexpected(seen.error());
        state = std::move(*seen);
        if (enough(state)) return true;
        std::optional<BusSignal> signal;
        do {
            auto next = bus_.next_signal(until - now().boot);
            if (!next) return tl::unexpected(next.error());
            if (!*next) return false;
            signal = std::move(*next);
        } while (signal->path != state.path);
    }
}

Expected<std::int64_t> ServiceManager::failed_units() {
    const auto manager = bus_.properties(kSystemd, kManagerPath, kManager);
    if (!manager) return tl::unexpected(manager.error());
    return static_cast<std::int64_t>(manager->number("NFailedUnits"));
}

}  // namespace luminous_healing::actions
