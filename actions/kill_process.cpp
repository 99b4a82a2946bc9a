// Sends a signal to one process. The number is turned into a descriptor first; everything else is asked of that, so
// a number that has come to mean another process is noticed (earlyoom#68).

#include "actions/machine_files.h"
#include "actions/process.h"
#include "actions/rows.h"
#include "base/text.h"
#include "policy/pattern.h"
#include "policy/unit_name.h"

#include <pwd.h>
#include <unistd.h>
#include <csignal>

#include <algorithm>
#include <array>
#include <cstdio>
#include <memory>
#include <utility>

namespace luminous_healing::actions {
namespace {

using protocol::Code;
using protocol::Verdict;

constexpr std::int64_t kMaxPid = 4'194'304;  // PID_MAX_LIMIT of 64-bit kernels, proc_sys_kernel(5)
constexpr int kMaxAncestors = 256;           // between a process and PID 1
constexpr Micros kReportTime = 300ms;        // of the deadline, kept to say how it ended
constexpr Micros kWatchAfterHup = 500ms;     // a process that HUP kills is gone well before

constexpr std::array<std::pair<std::string_view, int>, 4> kSignals{
    {{"TERM", SIGTERM}, {"KILL", SIGKILL}, {"HUP", SIGHUP}, {"INT", SIGINT}}};

std::string pid_text(const Context& context) { return context.arguments.shown("pid"); }

std::string named(const ProcessFacts& process) {
    return "process " + std::to_string(process.pid) + " (" + printable_line(process.comm, 16) + ")";
}

Failure gone_or(const Error& error, const Context& context) {
    if (error.system_error == ESRCH || error.system_error == ENOENT)
        return {Code::action_failed, "Process " + pid_text(context) + " not found"};
    return {Code::action_failed, error.message};
}

Failure ours(const ProcessFacts& process) {
    return {Code::parameters_not_allowed, named(process) + " belongs to luminous-healing itself"};
}

/// Is it the daemon (this process's parent), or anything that descends from it: the gate, a worker, a command? A
/// process that is not one of these does not become one.
bool is_own_process(const ProcessFacts& process) {
    const pid_t daemon = ::getppid();
    if (process.pid == daemon || process.pid == ::getpid()) return true;
    pid_t ancestor = process.parent;
    for (int depth = 0; depth < kMaxAncestors; ++depth) {
        if (ancestor == daemon) return true;
        if (ancestor <= 1) return false;
        const auto next = read_parent(ancestor);
        if (!next) return false;  // it ended meanwhile, so it was not the daemon, which is there
        ancestor = *next;
    }
    return true;  // deeper than we look: take no chance
}

bool named_literally(const std::vector<std::string>& globs, const std::string& comm) {
    return std::find(globs.begin(), globs.end(), comm) != globs.end();
}

/// Processes of a protected service, like dbus, need an entry that is their very name. Scopes and user managers hold
/// all that people run, and are protected only as units.
bool is_in_protected_service(const ProcessFacts& process, const Context& context) {
    if (!process.unit.ends_with(".service") || policy::glob_matches("user@*.service", process.unit)) return false;
    const auto access = policy::check_unit(process.unit, {"*"}, context.settings.protected_units);
    return access != policy::UnitAccess::allowed && !named_literally(context.policy.processes, process.comm);
}

/// From /etc/passwd alone: name services would want sockets, which a worker has not. A number stands for itself.
std::vector<uid_t> uids_of(const std::vector<std::string>& users) {
    std::vector<uid_t> uids;
    for (const auto& user : users) {
        if (const auto uid = parse_integer<uid_t>(user)) uids.push_back(*uid);
    }
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(machine_path("/etc/passwd").c_str(), "re"),
                                                               &std::fclose);
    while (file != nullptr) {
        const passwd* const entry = ::fgetpwent(file.get());
        if (entry == nullptr) break;
        if (std::find(users.begin(), users.end(), entry->pw_name) != users.end()) uids.push_back(entry->pw_uid);
    }
    return uids;
}

/// What no policy can allow.
Result<void> refuse_never(const ProcessFacts& process, const Context& context) {
    if (process.pid <= 1) return failed(Code::parameters_invalid, "process 1 and below are never killed");
    if (process.kernel_thread) return failed(Code::parameters_not_allowed, named(process) + " is a kernel thread");
    if (policy::is_own_unit(process.unit)) return tl::unexpected(ours(process));
    if (is_in_protected_service(process, context))
        return failed(Code::parameters_not_allowed,
                      named(process) + " belongs to " + process.unit + ", which is protected");
    return {};
}

Result<void> refuse_by_policy(const ProcessFacts& process, const Context& context) {
    const auto& globs = context.policy.processes;
    const auto matches = [&](const std::string& glob) { return policy::glob_matches(glob, process.comm); };
    if (!globs.empty() && std::none_of(globs.begin(), globs.end(), matches))
        return failed(Code::parameters_not_allowed, "the policy does not list " + named(process));
    if (context.policy.process_users.empty()) return {};
    const auto allowed = uids_of(context.policy.process_users);
    // All three: a set-user-ID program that an allowed user started is still root's.
    for (const uid_t uid : process.uids) {
        if (std::find(allowed.begin(), allowed.end(), uid) == allowed.end())
            return failed(Code::parameters_not_allowed,
                          "the policy does not list uid " + std::to_string(uid) + " of " + named(process));
    }
    return {};
}

/// The caller's guards: is it the process that was meant?
Result<void> compare_guards(const ProcessFacts& process, const Context& context) {
    const auto& arguments = context.arguments;
    const auto differs = [&](const std::string& what, const std::string& found) {
        return failed(named(process) + " is not the one that was meant: its " + what + " is " +
                      (found.empty() ? "not known" : printable_line(found, 80)));
    };
    if (arguments.has("start_time") && arguments.integer("start_time") != process.start_time)
        return differs("start_time", std::to_string(process.start_time));
    if (arguments.has("comm") && arguments.text("comm") != process.comm) return differs("comm", process.comm);
    if (!arguments.has("unit")) return {};
    const auto unit = policy::normalise_unit_name(arguments.text("unit"));
    if (!unit) return failed(Code::parameters_invalid, "parameter \"unit\": " + unit.error().message);
    if (*unit != process.unit) return differs("unit", process.unit);
    return {};
}

Result<ProcessFacts> inspect_and_judge(const HeldProcess& held, const Context& context) {
    auto process = held.inspect();
    if (!process) return tl::unexpected(gone_or(process.error(), context));
    for (const auto judge : {refuse_never, compare_guards, refuse_by_policy}) {
        if (const auto judged = judge(*process, context); !judged) return tl::unexpected(judged.error());
    }
    return std::move(*process);
}

Result<HeldProcess> hold(const Context& context) {
    const auto pid = context.arguments.integer("pid");
    if (pid <= 1 || pid > kMaxPid) return failed(Code::parameters_invalid, "process 1 and below are never killed");
    auto held = HeldProcess::open(static_cast<pid_t>(pid));
    if (!held) return tl::unexpected(gone_or(held.error(), context));
    return std::move(*held);
}

std::optional<std::string> missing(const Machine& /*machine*/) {
    if (HeldProcess::open(::getpid())) return {};
    return "this kernel has no pidfd_open(2), which came with Linux 5.3";
}

Result<void> check(Context& context) {
    const auto held = hold(context);
    if (!held) return tl::unexpected(held.error());
    const auto process = inspect_and_judge(*held, context);
    if (!process) return tl::unexpected(process.error());
    if (is_own_process(*process)) return tl::unexpected(ours(*process));
    context.facts.set("comm", process->comm);
    context.facts.set("uid", static_cast<std::int64_t>(process->uids.front()));
    context.facts.set("start_time", process->start_time);
    context.facts.set("unit", process->unit);
    context.facts.set("rss_bytes", process->rss_bytes);
    return {};
}

/// Judged once more, as it may have changed its name or user since check(); then the very process judged is signalled.
Result<std::string> run(Context& context) {
    const std::string signal = context.arguments.text("signal");
    const auto* const known =
        std::find_if(kSignals.begin(), kSignals.end(), [&](const auto& each) { return each.first == signal; });
    if (known == kSignals.end()) return failed(Code::parameters_invalid, "Invalid signal: " + signal);
    const auto held = hold(context);
    if (!held) return tl::unexpected(held.error());
    const auto process = inspect_and_judge(*held, context);
    if (!process) return tl::unexpected(process.error());
    if (process->start_time != context.facts.integer("start_time"))
        return failed("Process " + pid_text(context) + " not found: it ended, and another took its number");
    if (const auto sent = held->send(known->second); !sent) {
        if (sent.error().system_error == EPERM)
            return failed(Code::unavailable, "Permission denied to kill " + pid_text(context) + ": it belongs to uid " +
                                                 std::to_string(process->uids.front()) +
                                                 ", and this daemon has no CAP_KILL");
        return tl::unexpected(gone_or(sent.error(), context));
    }
    const std::string done = "Process " + pid_text(context) + " killed with " + signal;
    if (known->second == SIGHUP) return done;
    context.progress("waiting for " + named(*process) + " to end");
    if (held->ends_within(context.time_left() - kReportTime)) return done;
    return signal + " sent to process " + pid_text(context) + ", which is still there";
}

/// Has the process of check() ended, at the latest `patience` from now? Another one of its number does not count.
bool has_ended(const Context& context, Micros patience) {
    const auto held = HeldProcess::open(static_cast<pid_t>(context.arguments.integer("pid")));
    if (!held) return held.error().system_error == ESRCH;
    const auto process = held->inspect();
    if (!process) return process.error().system_error == ESRCH;
    return process->start_time != context.facts.integer("start_time") || held->ends_within(patience);
}

Verification verify(Context& context) {
    const std::string who = "process " + pid_text(context);
    const std::string signal = context.arguments.text("signal");
    if (signal == "HUP") {
        const Micros patience = std::min<Micros>(kWatchAfterHup, context.time_left() / 2);
        if (has_ended(context, patience)) return {Verdict::worse, who + " ended on HUP instead of living on"};
        return {Verdict::healed, who + " is alive"};
    }
    if (!has_ended(context, Micros{0})) return {Verdict::unchanged, who + " has not ended on " + signal};
    context.facts.set("rss_freed_bytes", context.facts.integer("rss_bytes"));
    return {Verdict::healed, who + " is gone"};
}

std::vector<policy::ParameterSpec> parameters() {
    using policy::ParameterType;
    return {
        {.name = "pid",
         .type = ParameterType::integer,
         .description = "number of the process",
         .minimum = 2,
         .maximum = kMaxPid},
        {.name = "signal",
         .required = false,
         .description = "what to send",
         .default_value = "TERM",
         .choices = {"TERM", "KILL", "HUP", "INT"}},
        {.name = "start_time",
         .type = ParameterType::integer,
         .required = false,
         .description = "guard: field 22 of /proc/PID/stat must be this",
         .minimum = 0},
        {.name = "comm", .required = false, .description = "guard: the process must have this name", .max_length = 15},
        {.name = "unit", .required = false, .description = "guard: the process must belong to this unit"},
    };
}

}  // namespace

Action kill_process() {
    Action row;
    row.name = "kill_process";
    row.summary = "sends a signal to a process";
    row.parameters = parameters();
    row.privilege = {.user = RunAs::daemon, .optional_capabilities = {"cap_kill"}, .syscalls = SyscallClass::processes};
    row.timeout = 15s;
    row.target_group = "process";
    row.target_parameter = "pid";
    row.verifies = "that the process is gone or, after HUP, alive";
    row.missing = missing;
    row.check = check;
    row.run = run;
    row.verify = verify;
    return row;
}

}  // namespace luminous_healing::actions
