#include "actions/transient_unit.h"

#include "base/text.h"
#include "base/units.h"
#include "protocol/json_reader.h"
#include "protocol/limits.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>

namespace luminous_healing::actions {
namespace {

using protocol::Code;

constexpr std::string_view kFactsVariable = "LUMINOUS_HEALING_FACTS=";
constexpr std::string_view kAdopted = "adopted";
constexpr Micros kReserve = 3s;  // of the time left, for verify and the answer

// systemd gives a transient unit's environment to whoever asks for its properties, so nothing secret may be in it.
std::vector<std::string> environment_of(const TransientWork& work, const Facts& facts) {
    std::vector<std::string> variables{
        "PATH=/run/current-system/sw/bin:/nix/var/nix/profiles/default/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG=C.UTF-8", "SYSTEMD_PAGER=", "PAGER=cat", "SYSTEMD_COLORS=0"};
    variables.insert(variables.end(), work.sandbox.environment.begin(), work.sandbox.environment.end());
    variables.push_back(std::string(kFactsVariable) + facts.to_json());
    return variables;
}

void add_sandbox(BusProperties& properties, const TransientSandbox& sandbox) {
    std::vector<std::string> writes;
    writes.reserve(sandbox.writes.size());
    for (const auto& path : sandbox.writes) writes.push_back("-" + path);  // '-': skipped when it is missing
    properties.emplace_back("ProtectSystem", std::string("strict"));
    properties.emplace_back("ProtectHome", std::string("read-only"));
    properties.emplace_back("ReadWritePaths", writes);
    properties.emplace_back("CapabilityBoundingSet", sandbox.capabilities);
    for (const char* const name :
         {"NoNewPrivileges", "PrivateTmp", "PrivateDevices", "ProtectKernelTunables", "ProtectKernelModules",
          "ProtectKernelLogs", "ProtectControlGroups", "ProtectClock", "ProtectHostname", "RestrictRealtime",
          "RestrictSUIDSGID", "LockPersonality", "MemoryDenyWriteExecute"})
        properties.emplace_back(name, true);
    properties.emplace_back("PrivateNetwork", !sandbox.network);
    properties.emplace_back("RestrictNamespaces", std::uint64_t{0});
    AllowList families{{"AF_UNIX"}};
    if (sandbox.network) families.names.emplace_back("AF_NETLINK");
    properties.emplace_back("RestrictAddressFamilies", families);
    properties.emplace_back("SystemCallArchitectures", std::vector<std::string>{"native"});
    properties.emplace_back("SystemCallFilter", AllowList{{"@system-service"}});
}

Facts facts_of(const std::vector<std::string>& environment) {
    Facts facts;
    for (const auto& variable : environment) {
        if (!variable.starts_with(kFactsVariable)) continue;
        const std::string json = variable.substr(kFactsVariable.size());
        const auto object = protocol::read_json_object(json, protocol::kMaxResult * 2);
        if (!object) return facts;
        for (const auto& [name, value] : object->members) {
            if (value.is(protocol::Json::Kind::boolean)) facts.set(name, value.boolean);
            else if (value.is(protocol::Json::Kind::number))
                facts.set(name, parse_integer<std::int64_t>(value.text).value_or(0));
            else facts.set(name, value.text);
        }
    }
    return facts;
}

Adopted judged(const std::string& unit, const UnitState& state) {
    Adopted found;
    found.unit = unit;
    found.exit_status = state.exit_status;
    found.facts = facts_of(state.environment);
    found.detail = unit + " is " + state.shown();
    if (!state.is_loaded()) return found;
    if (state.is_failed()) {
        found.state = Adopted::State::failed;
        found.detail = unit + " failed: " + state.result + ", exit status " + std::to_string(state.exit_status) +
                       " (journalctl -u " + unit + ")";
    } else if (state.is_active()) {
        found.state = Adopted::State::succeeded;
    } else {
        found.state =
            Adopted::State::running;  // inactive, too: its start is queued, for a stopped one is dropped at once
    }
    return found;
}

Expected<Adopted> adopted_unit(ServiceManager& manager, const std::string& unit, Micros limit) {
    auto state = manager.loaded_unit(unit);
    if (!state) return tl::unexpected(state.error());
    if (!*state) return Adopted{Adopted::State::absent, unit, "there is no " + unit};
    auto& seen = **state;
    const auto ended = [&](const UnitState& now) { return judged(unit, now).state != Adopted::State::running; };
    if (limit > 0us && !ended(seen)) {
        if (const auto watched = manager.watch(seen, limit, ended); !watched) return tl::unexpected(watched.error());
    }
    return judged(unit, seen);
}

Result<void> as_result(const Adopted& found) {
    switch (found.state) {
        case Adopted::State::succeeded: return {};
        case Adopted::State::running:
            return failed(Code::timeout, found.detail + " and goes on; its outcome will be in the journal");
        case Adopted::State::absent:
            return failed(Code::interrupted, found.detail + ": it never started, or the machine was rebooted");
        case Adopted::State::failed: break;
    }
    return failed(found.detail);
}

Micros limit_of(const Context& context) { return std::max(context.time_left() - kReserve, Micros(1s)); }

bool is_adopted(const Context& context) { return context.facts.find(kAdopted) != nullptr; }

std::vector<BusCall> forgetting_calls(const Context& context, std::string_view part) {
    const std::string unit = transient_unit_name(context.request_id, part);
    return {job_call("StopUnit", unit), reset_failed_call(unit)};
}

BusCall starting_call(const Context& context, const TransientWork& work, std::string_view part) {
    const std::string unit = transient_unit_name(context.request_id, part);
    Facts kept = context.facts;
    kept.set("transient_unit", unit);
    return start_transient_call(unit, transient_properties(work, kept), {});
}

Result<void> resume_check(Context& context) {
    const auto found = find_adopted(context.request_id);
    if (!found) return failed(Code::unavailable, found.error().message);
    if (found->state == Adopted::State::absent) return as_result(*found);
    context.facts = found->facts;
    context.facts.set(kAdopted, true);
    return {};
}

Result<std::string> resume_run(Context& context) {
    const auto found = wait_for_adopted(context.request_id, limit_of(context));
    if (!found) return failed(found.error().message);
    if (const auto result = as_result(*found); !result) {
        if (found->state == Adopted::State::failed) (void)forget_transient(context.request_id);
        return tl::unexpected(result.error());
    }
    return found->unit + " ended while the daemon was away";
}

}  // namespace

std::string transient_unit_name(std::string_view request_id, std::string_view part) {
    return "luminous-healing-" + std::string(part) + "-" + std::string(request_id) + ".service";
}

BusProperties transient_properties(const TransientWork& work, const Facts& facts) {
    BusProperties properties;
    properties.emplace_back("Description", work.description);
    properties.emplace_back("Type", std::string("oneshot"));
    properties.emplace_back("RemainAfterExit", true);  // success stays visible; failure does anyway
    properties.emplace_back("TimeoutStartUSec", static_cast<std::uint64_t>(work.timeout.count()));
    properties.emplace_back("StandardInput", std::string(work.standard_input.empty() ? "null" : "data"));
    if (!work.standard_input.empty()) properties.emplace_back("StandardInputData", Bytes{work.standard_input});
    properties.emplace_back("StandardOutput", std::string("journal"));
    properties.emplace_back("StandardError", std::string("inherit"));
    properties.emplace_back("UMask", std::uint32_t{022});  // nix profiles and stores are world-readable
    properties.emplace_back("Environment", environment_of(work, facts));
    if (!work.sandbox.unconfined) add_sandbox(properties, work.sandbox);
    properties.emplace_back("ExecStart", Commands{work.argvs});
    return properties;
}

std::vector<BusCall> transient_calls(const Context& context, const TransientWork& work) {
    auto calls = forgetting_calls(context, "run");
    if (!is_adopted(context)) calls.push_back(starting_call(context, work, "run"));
    return calls;
}

std::vector<BusCall> transient_calls_with_way_back(const Context& context, const TransientWork& work,
                                                   const TransientWork& back) {
    auto calls = forgetting_calls(context, "run");
    auto way_back = forgetting_calls(context, "undo");
    way_back.push_back(starting_call(context, back, "undo"));
    if (is_adopted(context)) {
        calls.insert(calls.end(), way_back.begin(), way_back.end());
        return calls;
    }
    calls.push_back(starting_call(context, work, "run"));
    for (const auto& call : way_back) calls.back() = with_way_back(std::move(calls.back()), call);
    return calls;
}

Result<void> run_transient(Context& context, std::string_view part) {
    auto manager = ServiceManager::connect();
    if (!manager) return failed(Code::unavailable, "systemd does not answer: " + manager.error().message);
    const std::string unit = transient_unit_name(context.request_id, part);
    context.facts.set("transient_unit", unit);
    context.progress("running as " + unit);
    const auto end = manager->start_transient(unit, limit_of(context));
    if (!end) return failed("systemd refused to start " + unit + ": " + end.error().message);
    if (end->is_done()) return {};
    const auto found = adopted_unit(*manager, unit, 0us);
    if (!found) return failed(unit + ": " + in_words(*end));
    if (found->state == Adopted::State::failed) (void)forget_transient(context.request_id, part);
    auto result = as_result(*found);
    return result ? failed(unit + ": " + in_words(*end)) : result;
}

Expected<Adopted> find_adopted(std::string_view request_id) { return wait_for_adopted(request_id, 0us); }

Expected<Adopted> wait_for_adopted(std::string_view request_id, Micros limit) {
    auto manager = ServiceManager::connect();
    if (!manager) return tl::unexpected(manager.error());
    return adopted_unit(*manager, transient_unit_name(request_id), limit);
}

Expected<void> forget_transient(std::string_view request_id, std::string_view part) {
    auto manager = ServiceManager::connect();
    if (!manager) return tl::unexpected(manager.error());
    const std::string unit = transient_unit_name(request_id, part);
    const auto state = manager->loaded_unit(unit);
    if (!state) return tl::unexpected(state.error());
    if (!*state) return {};
    if ((*state)->is_failed()) return manager->reset_failed(unit);
    if (!(*state)->is_active()) return fail(unit + " is still running");
    const auto end = manager->run_job("StopUnit", unit, 10s);
    if (!end) return tl::unexpected(end.error());
    return end->is_done() ? Expected<void>{} : fail(unit + ": " + in_words(*end));
}

Report finish_adopted(const Action& action, Context& context) {
    Action resumed = action;
    resumed.check = resume_check;
    resumed.run = resume_run;
    return carry_out(resumed, context, false);
}

std::optional<std::string> find_program(std::string_view name) {
    static constexpr std::array<std::string_view, 6> kFolders{"/run/current-system/sw/bin/",
                                                              "/nix/var/nix/profiles/default/bin/",
                                                              "/usr/bin/",
                                                              "/usr/sbin/",
                                                              "/bin/",
                                                              "/sbin/"};
    for (const auto folder : kFolders) {
        const std::string path = std::string(folder) + std::string(name);
        struct stat status {};
        if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) continue;
        const bool trusted = status.st_uid == 0 && (status.st_mode & (S_IWGRP | S_IWOTH)) == 0;
        if (trusted && (status.st_mode & S_IXUSR) != 0) return path;
    }
    return {};
}

}  // namespace luminous_healing::actions
