#include "executor/confinement.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>

namespace luminous_healing::executor {
namespace {

Expected<void> no_new_privileges() {
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail_errno("prctl PR_SET_NO_NEW_PRIVS");
    return {};
}

Expected<void> no_core_dump() {
    const rlimit none{0, 0};
    if (::setrlimit(RLIMIT_CORE, &none) != 0) return fail_errno("setrlimit RLIMIT_CORE");
    // Also keeps others of the same user from tracing us or reading our memory, see PR_SET_DUMPABLE in prctl(2).
    if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return fail_errno("prctl PR_SET_DUMPABLE");
    return {};
}

/// The command's own lower limit, so that a leak in it stays its own problem.
Expected<void> limit_resources() {
    const rlimit no_core{0, 0};
    const rlimit descriptors{1024, 1024};
    if (::setrlimit(RLIMIT_CORE, &no_core) != 0) return fail_errno("setrlimit RLIMIT_CORE");
    rlimit current{};
    if (::getrlimit(RLIMIT_NOFILE, &current) == 0 && current.rlim_max > descriptors.rlim_max &&
        ::setrlimit(RLIMIT_NOFILE, &descriptors) != 0)
        return fail_errno("setrlimit RLIMIT_NOFILE");
    return {};
}

}  // namespace

Expected<void> confine_gate() {
    if (auto ok = no_core_dump(); !ok) return ok;
    limit_bounding(0);
    if (auto ok = set_capabilities(0); !ok) return ok;
    if (auto ok = no_new_privileges(); !ok) return ok;
    const auto no_path = FileSystemRuleset::build({});
    if (!no_path) return tl::unexpected(no_path.error());
    if (auto ok = apply_ruleset(no_path->fd()); !ok) return ok;
    const auto filter = gate_filter();
    if (!filter) return tl::unexpected(filter.error());
    return install(*filter);
}

Expected<void> confine_executor(CapabilitySet keep, bool* bounded) {
    if (auto ok = no_core_dump(); !ok) return ok;
    *bounded = limit_bounding(keep);
    return set_capabilities(keep & permitted_capabilities());
}

Expected<void> fence_worker(int ruleset, const FilterProgram& filter) {
    if (auto ok = no_new_privileges(); !ok) return ok;
    if (auto ok = apply_ruleset(ruleset); !ok) return ok;
    return install(filter);
}

Expected<void> confine_worker(const WorkerConfinement& row) {
    ::umask(077);
    if (::chdir("/") != 0) return fail_errno("chdir /");
    if (auto ok = limit_resources(); !ok) return ok;
    limit_bounding(row.capabilities);
    if (auto ok = become(row.credentials, row.capabilities); !ok) return ok;
    if (row.executes && row.capabilities != 0) {
        if (auto ok = keep_across_exec(row.capabilities); !ok) return ok;
    }
    if (auto ok = no_new_privileges(); !ok) return ok;
    // After the last change of credentials, which would clear it (prctl(2)): no worker outlives a killed executor.
    if (::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) return fail_errno("prctl PR_SET_PDEATHSIG");
    return row.confined ? fence_worker(row.ruleset, *row.filter) : Expected<void>();
}

}  // namespace luminous_healing::executor
