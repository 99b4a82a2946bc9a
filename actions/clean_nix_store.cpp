// Frees disk space in the Nix store without taking away what a rollback needs: only generations that are old, not among
// the newest, and neither current, running nor booted are deleted, by number; then garbage is collected, never with -d.
// On a machine with Nix but without a system profile only garbage is collected.

#include "actions/nix_profile.h"
#include "actions/rows.h"
#include "actions/transient_unit.h"
#include "base/text.h"

#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>

namespace luminous_healing::actions {
namespace {

using protocol::Code;
using protocol::Verdict;

constexpr const char* kStore = "/nix/store";
constexpr const char* kDaemonSocket = "/nix/var/nix/daemon-socket/socket";

Result<std::vector<Generation>> generations() {
    auto found = system_generations();
    if (!found) return failed(found.error().message);
    return std::move(*found);
}

Result<std::vector<std::int64_t>> to_delete(const Context& context) {
    const auto all = generations();
    if (!all) return tl::unexpected(all.error());
    return generations_to_delete(*all, now().wall.since_epoch, context.arguments.integer("keep_days"),
                                 context.arguments.integer("keep_generations"));
}

std::string joined(const std::vector<std::int64_t>& numbers) {
    std::string text;
    for (const auto number : numbers) text += (text.empty() ? "" : " ") + std::to_string(number);
    return text;
}

bool contains(const std::vector<std::int64_t>& numbers, std::int64_t number) {
    return std::find(numbers.begin(), numbers.end(), number) != numbers.end();
}

std::int64_t free_bytes() {
    struct statvfs status {};
    if (::statvfs(kStore, &status) != 0) return 0;
    return static_cast<std::int64_t>(status.f_bfree) * static_cast<std::int64_t>(status.f_frsize);
}

Result<void> check(Context& context) {
    const auto all = generations();
    const auto deleted = to_delete(context);
    if (!all) return tl::unexpected(all.error());
    if (!deleted) return tl::unexpected(deleted.error());
    std::vector<std::int64_t> kept;
    for (const auto& generation : *all) {
        if (!contains(*deleted, generation.number)) kept.push_back(generation.number);
    }
    context.facts.set("generations_kept", joined(kept));
    context.facts.set("generations_deleted", joined(*deleted));
    context.facts.set("free_bytes_before", free_bytes());
    return {};
}

// With a Nix daemon the store is its business, and the unit writes no more than profiles. Without one it is the store's
// owner itself; its paths are read-only to everyone, which an owner may change without a capability.
TransientSandbox sandbox() {
    struct stat status {};
    TransientSandbox box;
    if (::stat(kDaemonSocket, &status) == 0 && S_ISSOCK(status.st_mode)) {
        box.writes = {"/nix/var"};
        box.environment = {"NIX_REMOTE=daemon"};
    } else {
        box.writes = {"/nix"};
        box.capabilities = (1ULL << CAP_DAC_OVERRIDE) | (1ULL << CAP_FOWNER) | (1ULL << CAP_CHOWN);
    }
    box.environment.emplace_back("HOME=/var/empty");
    return box;
}

Result<std::vector<BusCall>> calls(const Context& context) {
    const auto collect = find_program("nix-collect-garbage");
    const auto env = find_program("nix-env");
    if (!collect || !env) return failed(Code::unavailable, "there is no Nix on this machine");
    const auto deleted = to_delete(context);
    if (!deleted) return tl::unexpected(deleted.error());
    TransientWork work;
    work.description = "Luminous Healing: collects garbage in the Nix store";
    if (!deleted->empty()) {
        work.argvs.push_back({*env, "--profile", kSystemProfile, "--delete-generations"});
        for (const auto number : *deleted) work.argvs.back().push_back(std::to_string(number));
    }
    work.argvs.push_back({*collect});
    work.sandbox = sandbox();
    work.timeout = context.policy.timeout;
    return transient_calls(context, work);
}

Result<std::string> run(Context& context) {
    if (const auto done = run_transient(context); !done) return tl::unexpected(done.error());
    return "Nix store cleaned";
}

// Every number that check() decided to keep is still there and leads to something.
std::vector<std::string> lost_generations(const std::string& kept) {
    std::vector<std::string> lost;
    for (std::size_t at = 0; at < kept.size();) {
        const auto space = std::min(kept.find(' ', at), kept.size());
        const std::string number = kept.substr(at, space - at);
        struct stat status {};
        const auto generation = parse_integer<std::int64_t>(number);
        if (!generation || ::stat(generation_link(*generation).c_str(), &status) != 0) lost.push_back(number);
        at = space + 1;
    }
    return lost;
}

Verification verify(Context& context) {
    (void)forget_transient(context.request_id);
    const std::int64_t after = free_bytes();
    const std::int64_t freed = after - context.facts.integer("free_bytes_before");
    context.facts.set("free_bytes_after", after);
    context.facts.set("freed_bytes", std::max<std::int64_t>(freed, 0));
    if (const auto lost = lost_generations(context.facts.text("generations_kept")); !lost.empty())
        return {Verdict::worse, "generation " + lost.front() + " was to be kept and is gone"};
    if (freed <= 0) return {Verdict::unchanged, "nothing in the store could be removed"};
    return {Verdict::healed, std::to_string(freed) + " bytes freed, every kept generation is there"};
}

std::optional<std::string> missing(const Machine& /*machine*/) {
    struct stat status {};
    if (::stat(kStore, &status) != 0) return "there is no /nix/store";
    if (!find_program("nix-collect-garbage") || !find_program("nix-env"))
        return "there is no nix-collect-garbage and nix-env that root alone can change";
    return SystemBus::missing();
}

}  // namespace

Action clean_nix_store() {
    Action row;
    row.name = "clean_nix_store";
    row.summary = "deletes old generations and collects garbage in the Nix store";
    row.parameters = {{.name = "keep_days",
                       .type = policy::ParameterType::integer,
                       .required = false,
                       .description = "generations younger than that many days are kept",
                       .default_value = "14",
                       .minimum = 1,
                       .maximum = 3650},
                      {.name = "keep_generations",
                       .type = policy::ParameterType::integer,
                       .required = false,
                       .description = "that many of the newest are kept, whatever their age",
                       .default_value = "3",
                       .minimum = 1,
                       .maximum = 1000}};
    row.privilege = {.user = RunAs::root, .syscalls = SyscallClass::bus};
    row.timeout = 10min;
    row.target_group = "nix";
    row.frees_space = true;
    row.verifies = "the bytes free in /nix/store, and that every kept generation is still there";
    row.missing = missing;
    row.check = check;
    row.run = run;
    row.bus_calls = calls;
    row.verify = verify;
    return row;
}

}  // namespace luminous_healing::actions
