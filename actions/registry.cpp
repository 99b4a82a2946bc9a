#include "actions/registry.h"

#include "actions/rows.h"

#include <algorithm>

namespace luminous_healing::actions {

const std::vector<Action>& all() {
    static const std::vector<Action> rows{
        restart_service(), start_service(),       stop_service(),      reload_service(),     reset_failed(),
        kill_process(),    set_cpu_governor(),    adjust_swappiness(), clear_system_cache(), restart_network(),
        clean_nix_store(), rollback_generation(), vacuum_journal(),
    };
    return rows;
}

const Action* find(std::string_view name) {
    const auto found = std::find_if(all().begin(), all().end(), [&](const Action& row) { return row.name == name; });
    return found == all().end() ? nullptr : &*found;
}

Action command_row(const policy::ActionPolicy& policy) {
    const auto& command = *policy.command;
    Action row{.name = policy.name.str(),
               .summary = "runs " + command.command.front(),
               .target_group = policy.target_group,
               .verifies = command.verify.empty() ? "nothing: no verify command is configured"
                                                  : "the exit status of " + command.verify.front()};
    row.timeout = policy.timeout;
    row.privilege.user = command.run_as.empty() ? RunAs::daemon : command.run_as == "root" ? RunAs::root : RunAs::named;
    row.privilege.user_name = command.run_as;
    row.privilege.capabilities = command.capabilities;
    row.privilege.writes = command.writes;
    row.privilege.syscalls = SyscallClass::command;
    row.privilege.network = command.network;
    row.frees_space = command.frees_space;
    row.privilege.confined = command.confine;
    return row;
}

std::optional<std::string> unavailable(const Action& action, const Machine& machine) {
    const auto& privilege = action.privilege;
    const bool changes_user = (privilege.user == RunAs::root && machine.uid != 0) || privilege.user == RunAs::named;
    if (changes_user && !machine.can_become_root)
        return "it runs as " + (privilege.user == RunAs::root ? std::string("root") : privilege.user_name) +
               ", and this daemon (uid " + std::to_string(machine.uid) +
               ") has no CAP_SETUID, CAP_SETGID and CAP_SETPCAP to step over to it";
    for (const auto& capability : privilege.capabilities) {
        if (!machine.has_capability(capability)) return "it needs " + capability + ", which this daemon does not have";
    }
    if (privilege.confined && !privilege.without_landlock && machine.landlock_abi == 0)
        return "it runs only under Landlock, which this kernel does not offer";
    return action.missing != nullptr ? action.missing(machine) : std::nullopt;
}

}  // namespace luminous_healing::actions
