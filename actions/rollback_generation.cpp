// Switches NixOS to an earlier system generation, in a transient unit: the switch may restart this very daemon, and the
// unit goes on regardless (see actions/transient_unit.h for how its outcome is learned then).

#include "actions/nix_profile.h"
#include "actions/rows.h"
#include "actions/transient_unit.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

namespace luminous_healing::actions {
namespace {

using protocol::Code;
using protocol::Verdict;

std::optional<std::int64_t> wanted(const Context& context) {
    if (!context.arguments.has("generation")) return {};
    return context.arguments.integer("generation");
}

std::string switch_program(std::int64_t generation) {
    return generation_link(generation) + "/bin/switch-to-configuration";
}

Result<std::int64_t> count_failed_units() {
    auto manager = ServiceManager::connect();
    if (!manager) return failed(Code::unavailable, "systemd does not answer: " + manager.error().message);
    const auto count = manager->failed_units();
    if (!count) return failed(count.error().message);
    return *count;
}

Result<void> check(Context& context) {
    const auto generations = system_generations();
    if (!generations) return failed(generations.error().message);
    const auto target = rollback_target(*generations, wanted(context));
    if (!target) return failed(Code::parameters_invalid, target.error().message);
    if (::access(switch_program(target->number).c_str(), X_OK) != 0)
        return failed("generation " + std::to_string(target->number) + " is no system: it has no " +
                      switch_program(target->number));
    const auto current =
        std::find_if(generations->begin(), generations->end(), [](const auto& g) { return g.current; });
    const auto failed_units = count_failed_units();
    if (!failed_units) return tl::unexpected(failed_units.error());
    context.facts.set("generation_before", current->number);
    context.facts.set("generation", target->number);
    context.facts.set("failed_units_before", *failed_units);
    return {};
}

TransientWork switching_to(const Context& context, const std::string& env, std::int64_t generation) {
    TransientWork work;
    work.description = "Luminous Healing: switches to system generation " + std::to_string(generation);
    work.argvs = {{env, "--profile", kSystemProfile, "--switch-generation", std::to_string(generation)},
                  {switch_program(generation), "switch"}};
    work.sandbox.unconfined = true;
    work.sandbox.environment = {"HOME=/root"};
    work.timeout = std::max(context.policy.timeout, Micros(5min));
    return work;
}

// To the generation asked for, and once that was begun, back to the one that was current before.
Result<std::vector<BusCall>> calls(const Context& context) {
    const auto env = find_program("nix-env");
    if (!env) return failed(Code::unavailable, "there is no nix-env");
    const auto there = switching_to(context, *env, context.facts.integer("generation"));
    const auto back = switching_to(context, *env, context.facts.integer("generation_before"));
    return transient_calls_with_way_back(context, there, back);
}

Result<std::string> run(Context& context) {
    const std::int64_t generation = context.facts.integer("generation");
    if (const auto done = run_transient(context); !done) return tl::unexpected(done.error());
    return "NixOS generation rolled back to " + std::to_string(generation);
}

// Does the machine run what its profile says, and is that the generation asked for?
std::optional<std::string> not_switched(std::int64_t generation) {
    const auto generations = system_generations();
    if (!generations) return generations.error().message;
    const auto found =
        std::find_if(generations->begin(), generations->end(), [&](const auto& g) { return g.number == generation; });
    const std::string name = "generation " + std::to_string(generation);
    if (found == generations->end()) return name + " is gone";
    if (!found->current) return "the system profile is not " + name;
    if (!found->running) return "the profile is " + name + ", but /run/current-system is another system";
    return {};
}

Verification judge(Context& context) {
    if (const auto problem = not_switched(context.facts.integer("generation"))) return {Verdict::unchanged, *problem};
    const auto after = count_failed_units();
    if (!after) return {Verdict::unverifiable, after.error().message};
    context.facts.set("failed_units_after", *after);
    const std::string counts = std::to_string(*after) + " failed units now, " +
                               std::to_string(context.facts.integer("failed_units_before")) + " before";
    if (*after > context.facts.integer("failed_units_before")) return {Verdict::worse, counts};
    return {Verdict::healed, "the profile and the running system are the generation asked for; " + counts};
}

Verification verify(Context& context) {
    const Verification found = judge(context);
    if (found.verdict == Verdict::healed || found.verdict == Verdict::unverifiable)
        (void)forget_transient(context.request_id);
    return found;
}

Result<void> undo(Context& context) {
    // A switch that is still running must end before another one begins.
    if (const auto ended = forget_transient(context.request_id); !ended) return failed(ended.error().message);
    const std::int64_t before = context.facts.integer("generation_before");
    auto undone = run_transient(context, "undo");
    if (!undone) return undone;
    (void)forget_transient(context.request_id, "undo");
    if (const auto problem = not_switched(before)) return failed(*problem);
    return {};
}

std::optional<std::string> missing(const Machine& /*machine*/) {
    struct stat status {};
    if (::lstat(kSystemProfile, &status) != 0) return "this is no NixOS: there is no /nix/var/nix/profiles/system";
    if (!find_program("nix-env")) return "there is no nix-env that root alone can change";
    return SystemBus::missing();
}

}  // namespace

Action rollback_generation() {
    Action row;
    row.name = "rollback_generation";
    row.summary = "switches NixOS to an earlier system generation";
    row.parameters = {{.name = "generation",
                       .type = policy::ParameterType::integer,
                       .required = false,
                       .description = "its number; without it, the one before the current",
                       .minimum = 1,
                       .maximum = 1'000'000}};
    row.privilege = {.user = RunAs::root, .syscalls = SyscallClass::bus};
    row.timeout = 5min;
    row.target_group = "nix";
    row.verifies = "the system profile and /run/current-system are that generation, failed units are not more";
    row.missing = missing;
    row.check = check;
    row.run = run;
    row.bus_calls = calls;
    row.verify = verify;
    row.undo = undo;
    return row;
}

}  // namespace luminous_healing::actions
