#include "executor/adoption.h"

#include "protocol/limits.h"

#include <algorithm>
#include <array>

namespace luminous_healing::executor {

bool may_outlive_us(std::string_view action) {
    static constexpr std::array<std::string_view, 3> kTransient{"clean_nix_store", "rollback_generation",
                                                                "vacuum_journal"};
    return std::find(kTransient.begin(), kTransient.end(), action) != kTransient.end();
}

Expected<protocol::Request> request_of(const audit::Record& intent) {
    if (!intent.request_id || !intent.action || !intent.caller || !intent.peer)
        return fail("the record names no request, action, caller or peer");
    auto parameters = protocol::read_json_object(intent.parameters, protocol::kMaxFrame);
    if (!parameters) return fail("the recorded parameters: " + parameters.error().message);
    protocol::Request request;
    request.id = RequestId(*intent.request_id);
    request.action = ActionName(*intent.action);
    request.parameters = std::move(parameters->members);
    request.reason = intent.reason;
    return request;
}

tl::expected<policy::Grant, policy::Denial> grant_again(const policy::Config& config, const audit::Record& intent,
                                                        const protocol::Request& request, policy::Situation situation) {
    const auto caller = config.callers.find(CallerName(intent.caller.value_or("")));
    if (caller == config.callers.end())
        return tl::unexpected(policy::Denial{
            protocol::Code::unknown_caller, config.file, "its caller is no longer in the configuration", {}});
    const protocol::Peer peer{static_cast<uid_t>(intent.peer->uid), static_cast<gid_t>(intent.peer->gid),
                              static_cast<pid_t>(intent.peer->pid)};
    situation.is_busy = nullptr;
    situation.workers_full = false;
    return policy::decide(config, caller->second, request, peer, policy::Limiter(), situation);
}

}  // namespace luminous_healing::executor
