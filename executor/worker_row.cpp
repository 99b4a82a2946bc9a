#include "executor/worker_row.h"

#include "executor/needs.h"

#include <unistd.h>

#include <algorithm>

namespace luminous_healing::executor {

Expected<Credentials> who_runs(const actions::Privilege& privilege, bool plan) {
    if (!plan && privilege.user == actions::RunAs::root) return Credentials{0, 0, {}};
    if (!plan && privilege.user == actions::RunAs::named) return credentials_of(privilege.user_name);
    return Credentials{::geteuid(), ::getegid(), {}};
}

FileSystemRules file_rules(const actions::Privilege& privilege, bool plan, std::vector<std::string> hidden) {
    FileSystemRules rules{
        .read_everything = true, .hidden = std::move(hidden), .writes = {}, .network = privilege.network};
    if (!plan) rules.writes = privilege.writes;
    const auto& capabilities = privilege.capabilities;
    rules.signals = privilege.syscalls == actions::SyscallClass::processes ||
                    std::find(capabilities.begin(), capabilities.end(), "cap_kill") != capabilities.end();
    return rules;
}

CapabilitySet row_capabilities(const actions::Privilege& privilege, bool plan) {
    CapabilitySet set = 0;
    if (plan) return set;  // a plan looks, as nobody special
    for (const auto& name : privilege.capabilities) set |= capability_bit(name).value_or(0);
    for (const auto& name : privilege.optional_capabilities)
        set |= capability_bit(name).value_or(0) & permitted_capabilities();
    return set;
}

std::vector<std::string> fill_in(const std::vector<std::string>& command, const policy::Arguments& arguments) {
    std::vector<std::string> filled;
    filled.reserve(command.size());
    for (const auto& argument : command) {
        const bool placeholder = argument.size() > 2 && argument.front() == '{' && argument.back() == '}';
        filled.push_back(placeholder ? arguments.shown(std::string_view(argument).substr(1, argument.size() - 2))
                                     : argument);
    }
    return filled;
}

}  // namespace luminous_healing::executor
