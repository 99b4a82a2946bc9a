#pragma once
// systemd's manager, over SystemBus: what org.freedesktop.systemd1(5) says of units and jobs, as values.

#include "actions/system_bus.h"
#include "base/clock.h"
#include "base/expected.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace luminous_healing::actions {

/// A unit as it was at one moment. The service's own members are empty for other types.
struct UnitState {
    std::string path;                ///< of the D-Bus object
    std::string id;                  ///< the canonical name
    std::vector<std::string> names;  ///< all of them, aliases included
    std::string load_state;          ///< loaded, not-found, masked, bad-setting, error, …
    std::string active_state;        ///< active, reloading, inactive, failed, activating, deactivating
    std::string sub_state;           ///< running, exited, dead, auto-restart, …
    Micros active_since{};           ///< ActiveEnterTimestampMonotonic
    bool can_reload = false;
    std::string type;    ///< Type=: simple, oneshot, …
    std::string result;  ///< success, exit-code, signal, timeout, oom-kill, …
    std::int64_t main_pid = 0;
    std::int64_t restarts = 0;     ///< NRestarts: automatic ones
    std::int64_t exit_status = 0;  ///< ExecMainStatus
    std::vector<std::string> environment;

    [[nodiscard]] bool is_loaded() const { return load_state == "loaded"; }
    [[nodiscard]] bool is_active() const { return active_state == "active" || active_state == "reloading"; }
    [[nodiscard]] bool is_down() const { return active_state == "inactive" || active_state == "failed"; }
    [[nodiscard]] bool is_failed() const { return active_state == "failed"; }
    /// "active (running)".
    [[nodiscard]] std::string shown() const { return active_state + " (" + sub_state + ")"; }
};

/// How a job ended (JobRemoved): done, failed, timeout, dependency, canceled, skipped, … or `unfinished`.
struct JobEnd {
    std::string result;
    [[nodiscard]] bool is_done() const { return result == "done"; }
};
inline constexpr std::string_view kUnfinished = "unfinished";

/// A job's result in words for people: "done", "its dependency failed", …
[[nodiscard]] std::string in_words(const JobEnd& end);

/// The calls that change something, for the rows to declare (BusCall). A job may also be cancelled.
[[nodiscard]] BusCall job_call(const char* method, const std::string& unit);
/// The same, and once it has been asked for, `back` too.
[[nodiscard]] BusCall with_way_back(BusCall call, const BusCall& back);
[[nodiscard]] BusCall reset_failed_call(const std::string& unit);
[[nodiscard]] BusCall start_transient_call(const std::string& name, const BusProperties& properties,
                                           const AuxiliaryUnits& auxiliary);

class ServiceManager {
public:
    [[nodiscard]] static Expected<ServiceManager> connect();

    /// Loads it if needed; an unknown name gives a state with load_state "not-found", no error.
    [[nodiscard]] Expected<UnitState> unit(const std::string& name);
    /// Does somebody hold that name now? A unit that is not loaded gives nothing, and is not loaded by asking.
    [[nodiscard]] Expected<std::optional<UnitState>> loaded_unit(const std::string& name);

    /// RestartUnit, StartUnit, StopUnit or ReloadUnit, mode "replace", and its end. A job that has not ended within
    /// `limit` is cancelled and reported as kUnfinished.
    [[nodiscard]] Expected<JobEnd> run_job(const char* method, const std::string& name, Micros limit);
    [[nodiscard]] Expected<void> reset_failed(const std::string& name);

    /// StartTransientUnit, mode "fail": an error when the name is taken. What the unit is like is not said here: the
    /// row declares it, and the proxy fills it in. Waits for the job; for a service of Type=oneshot that is the end of
    /// its programs. A job that has not ended within `limit` goes on (kUnfinished).
    [[nodiscard]] Expected<JobEnd> start_transient(const std::string& name, Micros limit);

    /// Watches a unit until `enough` says so of a state (true), or until `limit` has passed (false). The state last
    /// seen is left in `state`. Looks at once, and again after each change that systemd reports.
    [[nodiscard]] Expected<bool> watch(UnitState& state, Micros limit,
                                       const std::function<bool(const UnitState&)>& enough);

    /// How many units have failed.
    [[nodiscard]] Expected<std::int64_t> failed_units();

    [[nodiscard]] SystemBus& bus() { return bus_; }

private:
    explicit ServiceManager(SystemBus bus) : bus_(std::move(bus)) {}
    [[nodiscard]] Expected<UnitState> state_of(const std::string& path);
    [[nodiscard]] Expected<void> subscribe();
    [[nodiscard]] Expected<JobEnd> wait_for_job(const std::string& job, BootTime until);
    [[nodiscard]] JobEnd cancel_job(const std::string& job);

    SystemBus bus_;
    bool subscribed_ = false;
};

}  // namespace luminous_healing::actions
