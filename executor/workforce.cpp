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
Expected<std::shared_ptr<const FileSystemRuleset>> Workforce::files_for(const actions::Privilege& privilege,
                                                                        bool plan) {
    const FileSystemRules rules = file_rules(privilege, plan, hidden_);
    std::string name = std::string(rules.network ? "n" : "-") + (rules.signals ? "s" : "-");
    for (const auto& path : rules.writes) name += '\0' + path;
    const auto found = files_.find(name);
    if (found != files_.end() && found->second->is_current()) return found->second;
    auto ruleset = FileSystemRuleset::build(rules);
    if (!ruleset) return tl::unexpected(ruleset.error());
    return files_.insert_or_assign(name, std::make_shared<const FileSystemRuleset>(std::move(*ruleset))).first->second;
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
    if (kind_for(duty.stage) == Kind::fork) {
        const bool companion = privilege.syscalls == actions::SyscallClass::bus;
        return hand_over(Kind::fork, config, {}, {*who, (*files)->fd(), false, companion, encode_duty(whole)});
    }
    const Fence fence =
        privilege.confined ? Fence{*files, &filters_.at({privilege.syscalls, privilege.network})} : Fence{};
    fence_repeats_ = std::exchange(last_fence_, fence) == fence;
    return hand_over(Kind::launcher, config, fence, {*who, -1, true, false, encode_launch(launch_for(policy, whole))});
}

/// To a spare worker if one waits that can do it, else to a new one.
Expected<Worker> Workforce::hand_over(Kind kind, const ConfigPointer& config, const Fence& fence,
                                      const Errand& errand) {
    const auto give = [&](Spare& to) {
        Expected<void> given;
        if (fence.filter != nullptr && !to.fence) given = give_fence(to, fence);
        return given ? give_orders(to.worker, errand) : given;
    };
    if (auto spare = take_spare(kind)) {
        const bool fits = kind == Kind::fork ? spare->config == config : !spare->fence || spare->fence == fence;
        if (fits && give(*spare)) return std::move(spare->worker);
        end_at_once(spare->worker);  // not made for this, or somebody has killed it while it waited
    }
    auto fresh = hatch_one(kind, config);
    if (!fresh) return tl::unexpected(fresh.error());
    if (auto given = give(*fresh); !given) {
        end_at_once(fresh->worker);
        return tl::unexpected(given.error());
    }
    return std::move(fresh->worker);
}

Expected<void> Workforce::give_fence(Spare& spare, const Fence& fence) {
    spare.fence = fence;
    return executor::give_fence(spare.worker, fence.files->fd(), encode_fence(*fence.filter));
}

std::optional<Workforce::Spare> Workforce::take_spare(Kind kind) {
    auto found = spares_.extract(kind);
    return found.empty() ? std::nullopt : std::optional(std::move(found.mapped()));
}

Expected<Workforce::Spare> Workforce::hatch_one(Kind kind, const ConfigPointer& config) {
    auto worker = kind == Kind::launcher ? hatch_launcher(launcher_)
                                         : hatch([this, &config](std::string_view message) -> Expected<Orders> {
                                               auto duty = decode_duty(message);
                                               if (!duty) return tl::unexpected(duty.error());
                                               return orders_for(std::move(*duty), config);
                                           });
    if (!worker) return tl::unexpected(worker.error());
    return Spare{std::move(*worker), config, {}};
}

/// A launcher for the fence that was wanted twice in a row gets it at once: it is made while nobody waits. One with the
/// wrong fence is of no use, so where commands with different ones take turns it gets none before its orders.
void Workforce::hatch_spare(Kind kind, const ConfigPointer& config) {
    auto spare = hatch_one(kind, config);
    if (!spare) return;
    if (kind == Kind::launcher && fence_repeats_ && last_fence_.filter != nullptr && !give_fence(*spare, last_fence_))
        return end_at_once(spare->worker);
    spares_.insert_or_assign(kind, std::move(*spare));
}

void Workforce::keep_spare(const ConfigPointer& config, Stage stage) {
    if (going_home_.active()) loop_.restart(going_home_, kSpareWaits);
    else going_home_ = loop_.after(kSpareWaits, [this] { dismiss(); });
    const Kind kind = kind_for(stage);
    if (const auto found = spares_.find(kind); found != spares_.end()) {
        if (kind == Kind::launcher || found->second.config == config) return;
        end_at_once(take_spare(kind)->worker);  // of another configuration: it goes home
    }
    hatching_ = loop_.when_idle([this, kind, config] {
        hatching_.reset();
        hatch_spare(kind, config);
    });
}

void Workforce::dismiss() {
    hatching_.reset();
    going_home_.reset();
    for (auto& [kind, spare] : spares_) end_at_once(spare.worker);
    spares_.clear();
}

}  // namespace luminous_healing::executor
