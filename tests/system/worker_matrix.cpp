// The matrix: each row's worker, as if somebody else had taken it over, tries what every row is for. It says to systemd
// what it likes, by its proxy where it has one, and what counts is whether the other row's operation came about.

#include "worker_probe.h"

#include "actions/registry.h"
#include "actions/service_manager.h"
#include "actions/transient_unit.h"
#include "base/file.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>

namespace luminous_healing {
namespace {

using actions::Action;
using actions::BusCall;
using executor::kWorkerBus;

constexpr const char* kNetwork = "systemd-networkd.service";
/// The lab's CPUs have no scaling_governor. This is of the same kind: a file of a CPU in sysfs that root may write.
constexpr const char* kGovernorLike = "/sys/devices/system/cpu/cpu0/uevent";
/// What the program of a forged unit would make.
constexpr const char* kForged = "/run/lab-forged";

// --- in the worker ---------------------------------------------------------------------------------------------------

bool can_open(const char* path) { return UniqueFd(::open(path, O_WRONLY | O_CLOEXEC)).valid(); }

bool can_write(const char* path, const std::string& value) {
    const UniqueFd fd(::open(path, O_WRONLY | O_CLOEXEC));
    return fd.valid() && ::write(fd.get(), value.data(), value.size()) == static_cast<ssize_t>(value.size());
}

/// Signal 0 asks for the permission alone, kill(2).
bool can_signal(pid_t pid) {
    if (::kill(pid, 0) == 0 || ::syscall(SYS_tgkill, pid, pid, 0) == 0 || ::syscall(SYS_tkill, pid, 0) == 0)
        return true;
    const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    return process.valid() && ::syscall(SYS_pidfd_send_signal, process.get(), 0, nullptr, 0) == 0;
}

/// A proxy beside it or not: whoever has none tries the bus itself.
bool asks(const BusCall& call) {
    auto bus = actions::SystemBus::connect();
    return bus && bus->call(call.method, call.arguments, 10s).has_value();
}

std::optional<BusCall> unit_call(std::string_view action, const std::string& unit) {
    if (action == "restart_service" || action == "restart_network") return actions::job_call("RestartUnit", unit);
    if (action == "start_service") return actions::job_call("StartUnit", unit);
    if (action == "stop_service") return actions::job_call("StopUnit", unit);
    if (action == "reload_service") return actions::job_call("ReloadUnit", unit);
    if (action == "reset_failed") return actions::reset_failed_call(unit);
    return {};
}

/// How its unit describes itself; empty for rows without one.
std::string described(std::string_view action) {
    if (action == "vacuum_journal") return "Luminous Healing: removes old journal files";
    if (action == "clean_nix_store") return "Luminous Healing: collects garbage in the Nix store";
    if (action == "rollback_generation") return "Luminous Healing: switches to system generation";
    return {};
}

/// The proxy may take it for the worker's own row and begin that one's work: then the unit is not the other's.
bool can_start_unit(const std::string& unit, const std::string& description) {
    actions::TransientWork work;
    work.description = description;
    work.argvs = {{"/usr/bin/touch", kForged}};
    work.sandbox.unconfined = true;
    if (!asks(actions::start_transient_call(unit, actions::transient_properties(work, {}), {}))) return false;
    auto bus = actions::SystemBus::connect();
    if (!bus) return false;
    const auto path = bus->call(
        {"org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "GetUnit"},
        {actions::BusValue(unit)});
    if (!path) return true;  // it has been and is gone
    const auto seen =
        bus->properties("org.freedesktop.systemd1", path->text(std::size_t{0}), "org.freedesktop.systemd1.Unit");
    return !seen || seen->text("Description").starts_with(description);
}

/// What `other` is for, on the target of its request; an action on units also on the target of this worker's request.
bool can(const std::string& own, const std::string& other, const std::string& request_id, const Lab& lab) {
    if (other == "kill_process") return can_signal(lab.of_another_user) || can_signal(lab.of_root);
    if (other == "adjust_swappiness")
        return can_write("/proc/sys/vm/swappiness", read_file("/proc/sys/vm/swappiness", 64).value_or("60"));
    if (other == "clear_system_cache") return can_write("/proc/sys/vm/drop_caches", "1");
    if (other == "set_cpu_governor") return can_open(kGovernorLike);
    if (const auto description = described(other); !description.empty())
        return can_start_unit(actions::transient_unit_name(request_id), description);
    if (other == "restart_network") return asks(*unit_call(other, kNetwork));
    return asks(*unit_call(other, target_of(other, lab))) || asks(*unit_call(other, target_of(own, lab)));
}

/// Its own row's call, for what its request does not name.
bool can_reach_further(const std::string& own, const Lab& lab) {
    if (const auto call = unit_call(own, lab.bystander)) return asks(*call);
    return can_start_unit("luminous-healing-run-further.service", "Luminous Healing") ||
           asks(actions::job_call("StopUnit", lab.bystander));
}

// --- outside of it ---------------------------------------------------------------------------------------------------

/// Did a worker of the row succeed in `attempt`? A worker that does not tell has failed the test.
struct Tried {
    bool succeeded = false;
    bool told = false;
};
Tried tried(const Action& row, const Lab& lab, const std::string& request_id, const std::function<bool()>& attempt) {
    const bool has_proxy = row.privilege.syscalls == actions::SyscallClass::bus;
    const auto said = members_of(run_as(row, lab, request_id, [&] {
        if (has_proxy && !actions::SystemBus::use_proxy(kWorkerBus)) return;
        say(attempt() ? "could yes" : "could no");
    }));
    const auto could = said.find("could");
    return {could != said.end() && could->second == "yes", could != said.end()};
}

/// The same attempt by a worker that may: what the others are refused is there to be had.
bool governor_like_can_be_had(const Lab& lab) {
    Action allowed = *actions::find("set_cpu_governor");
    allowed.privilege.writes = {kGovernorLike};
    return tried(allowed, lab, "control", [] { return can_open(kGovernorLike); }).succeeded;
}

int print_row(const Action& row, const Lab& lab) {
    int failures = 0;
    std::printf("\n%-20s", row.name.c_str());
    for (const auto& other : actions::all()) {
        const std::string id = row.name + "." + other.name;
        const auto result = tried(row, lab, id, [&] { return can(row.name, other.name, id, lab); });
        const bool is_own = row.name == other.name;
        const bool is_governor = other.name == "set_cpu_governor";  // the stand-in is not its file either
        if (!result.told || result.succeeded != (is_own && !is_governor)) ++failures;
        const char* const cell = !result.told       ? "SILENT"
                                 : is_governor      ? result.succeeded ? "COULD"
                                                      : is_own         ? "n/a"
                                                                       : "-*"
                                 : result.succeeded ? is_own ? "own" : "COULD"
                                 : is_own           ? "CANNOT"
                                                    : "-";
        std::printf(" %-9s", cell);
        static_cast<void>(std::fflush(stdout));
    }
    if (row.privilege.syscalls != actions::SyscallClass::bus) return failures;
    const auto further = tried(row, lab, row.name + ".further", [&] { return can_reach_further(row.name, lab); });
    if (!further.told || further.succeeded) ++failures;
    std::printf(" %s", further.succeeded ? "COULD" : "-");
    return failures;
}

}  // namespace

int print_matrix(const Lab& lab) {
    int failures = 0;
    std::printf("\n%-20s", "worker of \\ tries");
    for (const auto& other : actions::all()) std::printf(" %-9.9s", other.name.c_str());
    std::printf(" its own on another target");
    for (const auto& row : actions::all()) failures += print_row(row, lab);
    const bool control = governor_like_can_be_had(lab);
    if (!control) ++failures;
    std::printf(
        "\n\n-: refused   own: its own   n/a: this machine has no such file\n"
        "*: tried on %s, as there is no scaling_governor; a worker whose row names it %s open it\n",
        kGovernorLike, control ? "can" : "CANNOT");
    if (::access(kForged, F_OK) == 0) {
        std::printf("not ok: a worker's own program ran\n");
        ++failures;
    }
    return failures;
}

}  // namespace luminous_healing
