#include "executor/privileges.h"

#include <grp.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

namespace luminous_healing::executor {
namespace {

constexpr int kMost = 64;  // capabilities a set can hold

using Capabilities = std::unique_ptr<_cap_struct, decltype(&cap_free)>;

constexpr CapabilitySet bit(int capability) { return CapabilitySet{1} << static_cast<unsigned>(capability); }

Expected<void> set_flag(cap_t capabilities, cap_flag_t flag, CapabilitySet set) {
    for (cap_value_t c = 0; c < kMost && c <= cap_max_bits() - 1; ++c) {
        if ((set & bit(c)) != 0 && cap_set_flag(capabilities, flag, 1, &c, CAP_SET) != 0)
            return fail_errno("cap_set_flag");
    }
    return {};
}

}  // namespace

std::optional<CapabilitySet> capability_bit(std::string_view name) {
    cap_value_t value = 0;
    if (cap_from_name(std::string(name).c_str(), &value) != 0) return {};
    return bit(value);
}

std::vector<std::string> capability_names(CapabilitySet set) {
    std::vector<std::string> names;
    for (cap_value_t c = 0; c < kMost; ++c) {
        if ((set & bit(c)) == 0) continue;
        char* const name = cap_to_name(c);
        names.emplace_back(name);
        cap_free(name);
    }
    return names;
}

CapabilitySet permitted_capabilities() {
    const Capabilities own(cap_get_proc(), &cap_free);
    CapabilitySet set = 0;
    for (cap_value_t c = 0; own != nullptr && c < cap_max_bits(); ++c) {
        cap_flag_value_t value = CAP_CLEAR;
        if (cap_get_flag(own.get(), c, CAP_PERMITTED, &value) == 0 && value == CAP_SET) set |= bit(c);
    }
    return set;
}

CapabilitySet bounding_capabilities() {
    CapabilitySet set = 0;
    for (cap_value_t c = 0; c < cap_max_bits(); ++c) {
        if (cap_get_bound(c) == CAP_SET) set |= bit(c);
    }
    return set;
}

Expected<void> set_capabilities(CapabilitySet permitted, CapabilitySet inheritable) {
    if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0)
        return fail_errno("clear ambient capabilities");
    const Capabilities wanted(cap_init(), &cap_free);
    if (wanted == nullptr) return fail_errno("cap_init");
    for (const cap_flag_t flag : {CAP_PERMITTED, CAP_EFFECTIVE}) {
        if (auto ok = set_flag(wanted.get(), flag, permitted); !ok) return ok;
    }
    if (auto ok = set_flag(wanted.get(), CAP_INHERITABLE, inheritable); !ok) return ok;
    if (cap_set_proc(wanted.get()) != 0) return fail_errno("capset");
    return {};
}

bool limit_bounding(CapabilitySet keep) {
    // Asked of the kernel once, which takes a system call a capability: it never grows, and nobody but us shrinks it.
    static CapabilitySet bounding = bounding_capabilities();
    if ((permitted_capabilities() & bit(CAP_SETPCAP)) == 0) return (bounding & ~keep) == 0;
    for (cap_value_t c = 0; c < cap_max_bits(); ++c) {
        if ((bounding & ~keep & bit(c)) == 0) continue;
        if (cap_drop_bound(c) != 0) return false;
        bounding &= ~bit(c);
    }
    return true;
}

Expected<void> become(const Credentials& who, CapabilitySet keep) {
    const bool same = ::getuid() == who.uid && ::geteuid() == who.uid && ::getgid() == who.gid;
    if (!same) {
        if (::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) return fail_errno("prctl PR_SET_KEEPCAPS");
        if (::setgroups(who.groups.size(), who.groups.data()) != 0) return fail_errno("setgroups");
        if (::setresgid(who.gid, who.gid, who.gid) != 0) return fail_errno("setresgid");
        if (::setresuid(who.uid, who.uid, who.uid) != 0) return fail_errno("setresuid");
        if (::prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) != 0) return fail_errno("prctl PR_SET_KEEPCAPS");
        ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);  // which fs.suid_dumpable may just have made it, proc(5)
    }
    return set_capabilities(keep & permitted_capabilities());
}

Expected<void> keep_across_exec(CapabilitySet set) {
    if (auto ok = set_capabilities(set, set); !ok) return ok;
    for (cap_value_t c = 0; c < cap_max_bits(); ++c) {
        if ((set & bit(c)) != 0 && cap_set_ambient(c, CAP_SET) != 0)
            return fail_errno("raise ambient capability " + std::to_string(c));
    }
    return {};
}

LentCapabilities::LentCapabilities() : permitted_(permitted_capabilities()) {
    // Without them the launcher cannot become who it is to be, and says so.
    if (permitted_ != 0) (void)keep_across_exec(permitted_).has_value();
}

LentCapabilities::~LentCapabilities() {
    if (permitted_ != 0 && !set_capabilities(permitted_)) std::abort();  // lent, they would go to whatever comes next
}

}  // namespace luminous_healing::executor
