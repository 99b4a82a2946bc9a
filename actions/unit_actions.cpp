// restart_service, start_service, stop_service, reload_service, reset_failed: one job of systemd each, over D-Bus.
//
// What check() refuses, and how: a unit that does not exist or cannot do what is asked is parameters_invalid, a unit
// that is protected under any of its names is parameters_not_allowed, and one that its administrator masked or that
// systemd could not read is action_failed.

#include "actions/rows.h"
#include "actions/service_manager.h"
#include "actions/unit_access.h"
#include "base/units.h"

#include <algorithm>

namespace luminous_healing::actions {
namespace {

using protocol::Code;
using protocol::Verdict;

constexpr Micros kSettle = 2s;   // how long a state must last to be believed
constexpr Micros kReserve = 3s;  // of the time left, for verify and the answer
constexpr Micros kShortestWait = 1s;

std::string unit_of(const Context& context) { return context.facts.text("unit"); }

// What must hold for the whole of kSettle, and what one look says about it.
struct Look {
    bool good = false;
    bool final = false;  // it will not become good by waiting
    std::string detail;
};
using Judge = Look (*)(const UnitState& before, const UnitState& now);

void note(Facts& facts, const UnitState& state) {
    facts.set("active_state", state.active_state);
    facts.set("sub_state", state.sub_state);
    facts.set("active_since_us", state.active_since.count());
    if (state.type.empty()) return;
    facts.set("main_pid", state.main_pid);
    facts.set("restarts", state.restarts);
}

Result<UnitState> current(ServiceManager& manager, const std::string& name) {
    auto state = manager.unit(name);
    if (!state) return failed("cannot read the state of " + name + ": " + state.error().message);
    return std::move(*state);
}

Result<ServiceManager> connected() {
    auto manager = ServiceManager::connect();
    if (!manager) return failed(Code::unavailable, "systemd does not answer: " + manager.error().message);
    return std::move(*manager);
}

Result<void> refuse_forbidden(const Context& context, const std::string& asked, const UnitState& state) {
    const auto name = forbidden_name(state.names, context.policy.units, context.settings.protected_units);
    if (!name) return {};
    const std::string behind = *name == asked ? "" : ", another name of " + *name + ",";
    return failed(Code::parameters_not_allowed, asked + behind + " is protected: only the policy may name it in full");
}

// Stopping and forgetting a failure work on whatever runs; the others need a unit that systemd could load.
Result<void> refuse_unusable(const std::string& asked, const UnitState& state, bool needs_definition) {
    if (state.load_state == "not-found" && state.active_state == "inactive")
        return failed(Code::parameters_invalid, "there is no unit " + asked + " on this machine");
    if (!needs_definition || state.is_loaded()) return {};
    if (state.load_state == "masked")
        return failed(asked + " is masked: its administrator forbids to start it (systemctl unmask lifts that)");
    return failed("systemd cannot use " + asked + " (" + state.load_state + "): see systemctl status " + asked);
}

Result<UnitState> look_at(Context& context, bool needs_definition) {
    auto manager = connected();
    if (!manager) return tl::unexpected(manager.error());
    const std::string asked = context.arguments.text("service");
    auto state = current(*manager, asked);
    if (!state) return tl::unexpected(state.error());
    if (const auto usable = refuse_unusable(asked, *state, needs_definition); !usable)
        return tl::unexpected(usable.error());
    if (const auto allowed = refuse_forbidden(context, asked, *state); !allowed) return tl::unexpected(allowed.error());
    context.facts.set("unit", state->id);
    context.facts.set("active_state_before", state->active_state);
    context.facts.set("main_pid_before", state->main_pid);
    note(context.facts, *state);
    return state;
}

Result<void> check_defined(Context& context) {
    return look_at(context, true).map([](const UnitState&) {});
}

Result<void> check_any(Context& context) {
    return look_at(context, false).map([](const UnitState&) {});
}

Result<void> check_reload(Context& context) {
    const auto state = look_at(context, true);
    if (!state) return tl::unexpected(state.error());
    if (!state->can_reload)
        return failed(Code::parameters_invalid, state->id + " cannot reload (it has no ExecReload=): restart it");
    if (!state->is_active()) return failed(state->id + " is " + state->shown() + ": nothing runs that could reload");
    return {};
}

Micros job_limit(const Context& context) { return std::max(context.time_left() - kReserve, kShortestWait); }

Result<std::string> run_job(Context& context, const char* method, std::string_view did) {
    auto manager = connected();
    if (!manager) return tl::unexpected(manager.error());
    const std::string unit = unit_of(context);
    context.progress(std::string(method) + " " + unit);
    const Micros limit = job_limit(context);
    const auto end = manager->run_job(method, unit, limit);
    if (!end) return failed("systemd refused " + std::string(method) + " " + unit + ": " + end.error().message);
    context.facts.set("job_result", end->result);
    if (const auto state = manager->unit(unit)) {
        note(context.facts, *state);
        if (!end->is_done() && !state->result.empty()) context.facts.set("service_result", state->result);
    }
    if (end->result == kUnfinished)
        return failed(Code::timeout, std::string(method) + " " + unit + " did not end within " +
                                         format_duration(std::chrono::round<std::chrono::seconds>(limit)) +
                                         " and was cancelled");
    if (!end->is_done()) return failed(std::string(method) + " " + unit + ": " + in_words(*end));
    return std::string(did) + " " + unit;
}

Result<std::string> run_restart(Context& context) { return run_job(context, "RestartUnit", "Restarted"); }
Result<std::string> run_start(Context& context) { return run_job(context, "StartUnit", "Started"); }
Result<std::string> run_stop(Context& context) { return run_job(context, "StopUnit", "Stopped"); }
Result<std::string> run_reload(Context& context) { return run_job(context, "ReloadUnit", "Reloaded"); }

Result<std::string> run_reset_failed(Context& context) {
    auto manager = connected();
    if (!manager) return tl::unexpected(manager.error());
    const auto done = manager->reset_failed(unit_of(context));
    if (!done) return failed(done.error().message);
    return "Forgot the failure of " + unit_of(context);
}

bool is_finished_oneshot(const UnitState& state) {
    return state.type == "oneshot" && state.active_state == "inactive" && state.result == "success";
}

Look keeps_running(const UnitState& before, const UnitState& now) {
    if (is_finished_oneshot(now)) return {true, true, "ran to its end without an error"};
    if (now.is_failed()) return {false, true, "failed (" + now.result + ")"};
    if (now.sub_state == "auto-restart" || now.restarts > before.restarts)
        return {false, true, "does not stay up: systemd restarts it again and again"};
    if (now.is_down()) return {false, true, "is " + now.shown() + " again"};
    if (!now.is_active()) return {false, false, "is " + now.shown()};
    if (before.main_pid != 0 && now.main_pid != before.main_pid && before.is_active())
        return {false, true, "changed its main process while it was watched"};
    return {true, false, "is " + now.shown()};
}

Look stays_down(const UnitState& /*before*/, const UnitState& now) {
    if (now.is_down()) return {true, false, "is " + now.shown()};
    return {false, now.is_active(), "is " + now.shown() + (now.is_active() ? ": something started it again" : "")};
}

Look is_not_failed(const UnitState& /*before*/, const UnitState& now) {
    return {!now.is_failed(), true, "is " + now.shown()};
}

// Watches until the judge is certain, or until the state has lasted for kSettle.
Verification settle(Context& context, Judge judge) {
    auto manager = connected();
    if (!manager) return {Verdict::unverifiable, manager.error().message};
    const std::string unit = unit_of(context);
    auto state = manager->unit(unit);
    if (!state) return {Verdict::unverifiable, state.error().message};
    const UnitState before = *state;
    Look look = judge(before, *state);
    const auto watched = manager->watch(*state, kSettle, [&](const UnitState& seen) {
        look = judge(before, seen);
        return look.final;
    });
    if (!watched) return {Verdict::unverifiable, watched.error().message};
    note(context.facts, *state);
    const std::string detail = unit + " " + look.detail;
    if (look.good) return {Verdict::healed, detail};
    const bool was_active = context.facts.text("active_state_before") == "active";
    return {was_active && state->is_down() ? Verdict::worse : Verdict::unchanged, detail};
}

Verification verify_running(Context& context) { return settle(context, keeps_running); }

Verification verify_stopped(Context& context) {
    Verification found = settle(context, stays_down);
    if (found.verdict == Verdict::worse) found.verdict = Verdict::unchanged;  // being down is what was asked for
    return found;
}

Verification verify_reload(Context& context) {
    Verification found = settle(context, keeps_running);
    const auto pid = context.facts.integer("main_pid");
    if (found.verdict == Verdict::healed && pid != context.facts.integer("main_pid_before"))
        return {Verdict::unchanged, unit_of(context) + " has another main process now: it was restarted, not reloaded"};
    return found;
}

Verification verify_reset(Context& context) { return settle(context, is_not_failed); }

// The opposite job, if the unit was in the opposite state before.
Result<void> put_back(Context& context, const char* method, std::string_view only_if) {
    if (context.facts.text("active_state_before") != only_if) return {};
    auto manager = connected();
    if (!manager) return tl::unexpected(manager.error());
    const Micros limit = std::max(context.time_left() - kShortestWait, kShortestWait);
    const auto end = manager->run_job(method, unit_of(context), limit);
    if (!end) return failed(end.error().message);
    if (!end->is_done()) return failed(std::string(method) + ": " + in_words(*end));
    return {};
}

Result<void> undo_start(Context& context) { return put_back(context, "StopUnit", "inactive"); }
Result<void> undo_stop(Context& context) { return put_back(context, "StartUnit", "active"); }

// What the worker may ask for, on this one unit: the job of its row, and after it the opposite one, if that is what
// would put back the state before.
using Calls = Result<std::vector<BusCall>>;

Calls job_and_way_back(const Context& context, const char* method, const char* back, std::string_view only_if) {
    BusCall job = job_call(method, unit_of(context));
    if (context.facts.text("active_state_before") == only_if)
        job = with_way_back(std::move(job), job_call(back, unit_of(context)));
    return Calls({std::move(job)});
}

Calls calls_of_restart(const Context& context) { return Calls({job_call("RestartUnit", unit_of(context))}); }
Calls calls_of_reload(const Context& context) { return Calls({job_call("ReloadUnit", unit_of(context))}); }
Calls calls_of_reset(const Context& context) { return Calls({reset_failed_call(unit_of(context))}); }
Calls calls_of_start(const Context& context) { return job_and_way_back(context, "StartUnit", "StopUnit", "inactive"); }
Calls calls_of_stop(const Context& context) { return job_and_way_back(context, "StopUnit", "StartUnit", "active"); }

std::optional<std::string> missing(const Machine& /*machine*/) { return SystemBus::missing(); }

Action unit_row(std::string name, std::string summary, std::string verifies) {
    Action row;
    row.name = std::move(name);
    row.summary = std::move(summary);
    row.parameters = {{.name = "service",
                       .type = policy::ParameterType::unit,
                       .description = "a unit's name; .service is added when it has no suffix"}};
    row.privilege = {.user = RunAs::root, .syscalls = SyscallClass::bus};
    row.timeout = 30s;
    row.target_group = "unit";
    row.target_parameter = "service";
    row.verifies = std::move(verifies);
    row.missing = missing;
    return row;
}

constexpr const char* kRunningFor = "active for 2 s with the same main process and no automatic restart";

}  // namespace

Action restart_service() {
    Action row = unit_row("restart_service", "restarts a unit, or starts it", kRunningFor);
    row.check = check_defined;
    row.run = run_restart;
    row.bus_calls = calls_of_restart;
    row.verify = verify_running;
    return row;
}

Action start_service() {
    Action row = unit_row("start_service", "starts a unit", kRunningFor);
    row.check = check_defined;
    row.run = run_start;
    row.bus_calls = calls_of_start;
    row.verify = verify_running;
    row.undo = undo_start;
    return row;
}

Action stop_service() {
    Action row = unit_row("stop_service", "stops a unit", "inactive or failed for 2 s");
    row.check = check_any;
    row.run = run_stop;
    row.bus_calls = calls_of_stop;
    row.verify = verify_stopped;
    row.undo = undo_stop;
    return row;
}

Action reload_service() {
    Action row = unit_row("reload_service", "lets a unit read its configuration again",
                          "active for 2 s with the main process it had before");
    row.check = check_reload;
    row.run = run_reload;
    row.bus_calls = calls_of_reload;
    row.verify = verify_reload;
    return row;
}

Action reset_failed() {
    Action row = unit_row("reset_failed", "forgets that a unit failed", "the unit is not failed");
    row.check = check_any;
    row.run = run_reset_failed;
    row.bus_calls = calls_of_reset;
    row.verify = verify_reset;
    return row;
}

}  // namespace luminous_healing::actions
