#include "executor/needs.h"

#include "actions/registry.h"
#include "executor/landlock.h"

#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <unistd.h>

namespace luminous_healing::executor {
namespace {

constexpr CapabilitySet bit(int capability) { return CapabilitySet{1} << static_cast<unsigned>(capability); }

constexpr CapabilitySet kStepOver = bit(CAP_SETUID) | bit(CAP_SETGID) | bit(CAP_SETPCAP);

}  // namespace

Expected<Credentials> credentials_of(const std::string& user) {
    errno = 0;
    const passwd* const entry = ::getpwnam(user.c_str());
    if (entry == nullptr) return fail("there is no user \"" + user + "\" on this machine", errno);
    Credentials who{entry->pw_uid, entry->pw_gid, std::vector<gid_t>(256)};
    int count = static_cast<int>(who.groups.size());
    if (::getgrouplist(user.c_str(), who.gid, who.groups.data(), &count) < 0)
        return fail("user \"" + user + "\" is in more than 256 groups");
    who.groups.resize(static_cast<std::size_t>(count));
    return who;
}

actions::Action row_of(const policy::ActionPolicy& policy) {
    if (policy.command) return actions::command_row(policy);
    const actions::Action* const row = actions::find(policy.name.str());
    return row != nullptr ? *row : actions::Action{};  // the configuration reader admits only names with a row
}

CapabilitySet needed_capabilities(const policy::Config& config, uid_t daemon_uid) {
    CapabilitySet set = 0;
    for (const auto& [name, policy] : config.actions) {
        const auto row = row_of(policy);
        const auto& privilege = row.privilege;
        for (const auto& names : {privilege.capabilities, privilege.optional_capabilities}) {
            for (const auto& capability : names) set |= capability_bit(capability).value_or(0);
        }
        const bool root = privilege.user == actions::RunAs::root;
        if (privilege.user == actions::RunAs::named || (root && daemon_uid != 0)) set |= kStepOver;
        // A uid 0 daemon's workers must not find their powers again at exec: their bounding set is emptied.
        if (root && daemon_uid == 0) set |= bit(CAP_SETPCAP);
    }
    return set;
}

actions::Machine look_at_machine() {
    const CapabilitySet held = permitted_capabilities();
    actions::Machine machine;
    machine.uid = ::geteuid();
    machine.can_become_root = (held & kStepOver) == kStepOver;
    machine.has_capability = [held](std::string_view name) {
        const auto wanted = capability_bit(name);
        return wanted && (held & *wanted) == *wanted;
    };
    machine.landlock_abi = landlock_abi();
    return machine;
}

}  // namespace luminous_healing::executor
