#include "executor/workforce.h"

#include "actions/bus_proxy.h"
#include "actions/registry.h"
#include "actions/transient_unit.h"
#include "base/file.h"
#include "executor/needs.h"
#include "executor/report.h"
#include "executor/worker_row.h"
#include "executor/worker_side.h"

#include <poll.h>
#include <unistd.h>

namespace luminous_healing::executor {
namespace {

constexpr Micros kSpareWaits = 10s;

// --- in the worker ---------------------------------------------------------------------------------------------------

void say(WorkerMessage::Kind kind, std::string_view line) { (void)write_all(kWorkerReport, encode_text(kind, line)); }

/// What the worker has of its configuration and its orders, for as long as it lives.
struct Brief {
    ConfigPointer config;
    Duty duty;
    actions::Action row;

    [[nodiscard]] const policy::ActionPolicy& policy() const { return config->actions.at(duty.action); }
    [[nodiscard]] actions::Context context(BootTime deadline) const {
        return {duty.arguments,  policy(), config->daemon,
                duty.request_id, deadline, [](std::string_view line) { say(WorkerMessage::Kind::progress, line); }};
    }
};

bool await_confirmation(Micros limit) {
    pollfd control{kWorkerControl, POLLIN, 0};
    char confirmed = 0;
    const auto ms = static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(limit).count());
    return ::poll(&control, 1, ms) == 1 && ::read(kWorkerControl, &confirmed, 1) == 1;
}

/// The body of a built-in worker: the action's steps, then its report.
void carry_out_and_report(const Brief& brief, BootTime deadline) {
    auto context = brief.context(deadline);
    context.await_confirmation = await_confirmation;
    if (brief.row.privilege.syscalls == actions::SyscallClass::bus) {
        if (const auto reached = actions::SystemBus::use_proxy(kWorkerBus); !reached)
            return say(WorkerMessage::Kind::setup, reached.error().message);
    }
    const auto report = brief.duty.adopted ? actions::finish_adopted(brief.row, context)
                                           : actions::carry_out(brief.row, context, brief.duty.plan);
    (void)write_all(kWorkerReport, encode_report(report));
}

/// The body of the process beside a worker of class `bus`. What it refuses it says itself: the worker would not.
void serve_bus(const Brief& brief, BootTime deadline) {
    auto context = brief.context(deadline);
    context.progress = [](std::string_view) {};
    const auto duty = brief.duty.plan      ? actions::BusDuty::plan
                      : brief.duty.adopted ? actions::BusDuty::adopted
                                           : actions::BusDuty::run;
    (void)actions::serve_bus(kWorkerBus, brief.row, context, duty,
                             [](std::string_view line) { say(WorkerMessage::Kind::refused, line); });
}

}  // namespace

/// Whatever the duty says, the row is the configuration's.
Expected<Orders> Workforce::orders_for(Duty duty, const ConfigPointer& config) const {
    const auto policy = config->actions.find(duty.action);
    if (policy == config->actions.end() || policy->second.command)
        return fail("its orders are for no built-in action of this configuration");
    const auto brief = std::make_shared<Brief>(Brief{config, std::move(duty), row_of(policy->second)});
    const auto& privilege = brief->row.privilege;
    Orders orders;
    orders.row.credentials = brief->duty.credentials;
    orders.row.confined = privilege.confined;
    orders.row.filter = &filters_.at({privilege.syscalls, privilege.network});
    orders.row.capabilities = row_capabilities(privilege, brief->duty.plan);
    orders.body = [brief](BootTime deadline) { carry_out_and_report(*brief, deadline); };
    if (privilege.syscalls == actions::SyscallClass::bus)
        orders.companion = Companion{&filters_.at({actions::SyscallClass::bus_proxy, false}),
                                     [brief](BootTime deadline) { serve_bus(*brief, deadline); }};
    return orders;
}

// --- in the executor -------------------------------------------------------------------------------------------------

namespace {

const std::vector<std::string>& command_of(const policy::CommandSettings& command, Stage stage) {
    return stage == Stage::verify ? command.verify : stage == Stage::undo ? command.undo : command.command;
}

}  // namespace

Launch Workforce::launch_for(const policy::ActionPolicy& policy, const Duty& duty) const {
    const auto privilege = row_of(policy).privilege;
    Launch launch;
    launch.executor = ::getpid();
    launch.credentials = duty.credentials;
    launch.capabilities = row_capabilities(privilege, duty.plan);
    launch.confined = privilege.confined;
    launch.filter = filters_.at({privilege.syscalls, privilege.network});
    launch.argv = fill_in(command_of(*policy.command, duty.stage), duty.arguments);
    return launch;
}

Expected<std::unique_ptr<Workforce>> Workforce::create(EventLoop& loop, int launcher, std::vector<std::string> hidden) {
    using actions::SyscallClass;
    std::unique_ptr<Workforce> workforce(new Workforce(loop, launcher, std::move(hidden)));
    for (const auto syscalls : {SyscallClass::files, SyscallClass::processes, SyscallClass::bus,
                                SyscallClass::bus_proxy, SyscallClass::command}) {
        for (const bool network : {false, true}) {
            auto filter = worker_filter(syscalls, network);
            if (!filter) return tl::unexpected(filter.error());
            workforce->filters_.emplace(std::pair{syscalls, network}, std::move(*filter));
        }
    }
    return workforce;
}

void Workforce::prepare(const policy::Config& config) {
    dismiss();
    to_prepare_.clear();
    for (const auto& [name, action] : config.actions) to_prepare_.push_back(row_of(action).privilege);
    preparing_ = loop_.after(Micros{0}, [this] { prepare_next(); });
}

void Workforce::prepare_next() {
    if (to_prepare_.empty()) return preparing_.reset();
    (void)files_for(to_prepare_.back(), false).has_value();  // who needs it will meet the error
    to_prepare_.pop_back();
    loop_.restart(preparing_, Micros{0});
}

/// The rules for what the row may write, made anew when the file system has changed beside what is hidden.
Expected<const FileSystemRuleset*> Workforce::files_for(const actions::Privilege& privilege, bool plan) {
    const FileSystemRules rules = file_rules(privilege, plan, hidden_);
    std::string name = std::string(rules.network ? "n" : "-") + (rules.signals ? "s" : "-");
    for (const auto& path : rules.writes) name += '\0' + path;
    const auto found = files_.find(name);
    if (found != files_.end() && found->second.is_current()) return &found->second;
    auto ruleset = FileSystemRuleset::build(rules);
    if (!ruleset) return tl::unexpected(ruleset.error());
    return &files_.insert_or_assign(name, std::move(*ruleset)).first->second;
}

Expected<Worker> Workforce::assign(const ConfigPointer& config, const Duty& duty) {
    const auto& policy = config->actions.at(duty.action);
    const auto privilege = row_of(policy).privilege;
    const auto who = who_runs(privilege, duty.plan);
    if (!who) return tl::unexpected(who.error());
    const auto files = files_for(privilege, duty.plan);
    if (!files) return tl::unexpected(files.error());
    Duty whole = duty;
    whole.credentials = *who;
    const Kind kind = kind_for(duty.stage);
    const bool command = kind == Kind::launcher;
    const std::string message = command ? encode_launch(launch_for(policy, whole)) : encode_duty(whole);
    const Errand errand{*who, (*files)->fd(), command, privilege.syscalls == actions::SyscallClass::bus, message};
    if (auto spare = take_spare(kind, config)) {
        if (give_orders(*spare, errand)) return std::move(*spare);
        end_at_once(*spare);  // somebody has killed it while it waited
    }
    auto worker = hatch_one(kind, config);
    if (!worker) return worker;
    if (auto given = give_orders(*worker, errand); !given) {
        end_at_once(*worker);
        return tl::unexpected(given.error());
    }
    return worker;
}

std::optional<Worker> Workforce::take_spare(Kind kind, const ConfigPointer& config) {
    auto found = spares_.extract(kind);
    if (found.empty()) return {};
    if (kind == Kind::launcher || found.mapped().config == config) return std::move(found.mapped().worker);
    end_at_once(found.mapped().worker);
    return {};
}

Expected<Worker> Workforce::hatch_one(Kind kind, const ConfigPointer& config) {
    if (kind == Kind::launcher) return hatch_launcher(launcher_);
    return hatch([this, &config](std::string_view message) -> Expected<Orders> {
        auto duty = decode_duty(message);
        if (!duty) return tl::unexpected(duty.error());
        return orders_for(std::move(*duty), config);
    });
}

void Workforce::keep_spare(const ConfigPointer& config, Stage stage) {
    if (going_home_.active()) loop_.restart(going_home_, kSpareWaits);
    else going_home_ = loop_.after(kSpareWaits, [this] { dismiss(); });
    const Kind kind = kind_for(stage);
    if (const auto found = spares_.find(kind); found != spares_.end()) {
        if (kind == Kind::launcher || found->second.config == config) return;
        (void)take_spare(kind, config);  // of another configuration: it goes home
    }
    hatching_ = loop_.when_idle([this, kind, config] {
        hatching_.reset();
        if (auto worker = hatch_one(kind, config)) spares_.insert_or_assign(kind, Spare{std::move(*worker), config});
    });
}

void Workforce::dismiss() {
    hatching_.reset();
    going_home_.reset();
    for (auto& [kind, spare] : spares_) end_at_once(spare.worker);
    spares_.clear();
}

}  // namespace luminous_healing::executor
