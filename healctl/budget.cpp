#include "healctl/budget.h"

#include "audit/reader.h"
#include "base/file.h"
#include "base/text.h"
#include "policy/decide.h"

#include <algorithm>
#include <ranges>
#include <vector>

namespace luminous_healing::healctl {
namespace {

struct Granted {
    ActionName action;
    CallerName caller;
    BootTime at;
};

Micros longest_window(const policy::Config& config) {
    Micros longest{};
    for (const auto& [name, action] : config.actions) longest = std::max(longest, action.rate_limit.window);
    for (const auto& [name, caller] : config.callers)
        if (caller.rate_limit) longest = std::max(longest, caller.rate_limit->window);
    return longest;
}

/// When it was granted on this boot's clock; a grant of an earlier boot lies as far back as the wall clock says.
BootTime on_this_boot(const audit::StoredRecord& stored, const std::string& boot_id, const Instant& at) {
    if (stored.boot_id == boot_id) return stored.boottime;
    return {at.boot.since_boot - (at.wall - stored.timestamp)};
}

void count(const std::vector<Granted>& newest_first, const policy::Config& config, policy::Limiter& limiter) {
    for (const auto& granted : std::views::reverse(newest_first)) {
        const auto action = config.actions.find(granted.action);
        if (action == config.actions.end()) continue;  // status and confirm, which use no budget, or no longer enabled
        limiter.take(policy::action_bucket(granted.action), action->second.rate_limit, granted.at);
        const auto caller = config.callers.find(granted.caller);
        if (caller != config.callers.end() && caller->second.rate_limit)
            limiter.take(policy::caller_bucket(granted.caller), *caller->second.rate_limit, granted.at);
    }
}

}  // namespace

std::string read_used_budget(const std::string& log, const policy::Config& config, policy::Limiter& limiter) {
    const Instant at = now();
    const Micros window = longest_window(config);
    const std::string boot_id(trim(read_file("/proc/sys/kernel/random/boot_id", 128).value_or("")));
    std::vector<Granted> granted;
    const auto read = audit::read_back(log, [&](const audit::StoredRecord& stored) {
        const BootTime when = on_this_boot(stored, boot_id, at);
        if (at.boot - when > window) return false;
        const auto& r = stored.record;
        if (r.event == audit::EventType::decision && r.allowed.value_or(false) && r.mode == "run" && r.action)
            granted.push_back({ActionName(*r.action), CallerName(r.caller.value_or("")), when});
        return true;
    });
    if (!read) return "assumed unused: " + printable_line(read.error().message, 300);
    count(granted, config, limiter);
    return "by " + log;
}

}  // namespace luminous_healing::healctl
