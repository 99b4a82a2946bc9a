#include "policy/decide.h"

#include "base/text.h"
#include "base/units.h"
#include "policy/unit_name.h"
#include "protocol/mac.h"

#include <algorithm>

namespace luminous_healing::policy {

using protocol::Code;

/// The checks in their order. Each returns nothing when it passes.
class Decision {
public:
    using Outcome = std::optional<Denial>;

    Decision(const Config& config, const CallerPolicy& caller, const protocol::Request& request,
             const protocol::Peer& peer, const Limiter& limiter, const Situation& situation)
        : config_(config), caller_(caller), request_(request), peer_(peer), limiter_(limiter), situation_(situation) {}

    tl::expected<Grant, Denial> run(std::vector<Check>* trace);

private:
    Outcome not_shutting_down();
    Outcome peer_may_use_key();
    Outcome meant_for_this_host();
    Outcome action_exists();
    Outcome caller_may_use_action();
    Outcome works_on_this_machine();
    Outcome parameters_fit();
    Outcome target_is_allowed();
    Outcome nothing_in_the_way();
    Outcome within_budget();

    static Denial deny(Code code, std::string rule, std::string detail) {
        return {code, std::move(rule), std::move(detail), {}};
    }
    [[nodiscard]] std::string name() const { return printable_line(request_.action.str(), 64); }
    [[nodiscard]] std::string target_of(const Arguments& arguments) const;

    const Config& config_;
    const CallerPolicy& caller_;
    const protocol::Request& request_;
    const protocol::Peer& peer_;
    const Limiter& limiter_;
    const Situation& situation_;
    const ActionPolicy* action_ = nullptr;
    Grant grant_;
};

Decision::Outcome Decision::not_shutting_down() {
    if (!situation_.shutting_down) return {};
    return deny(Code::shutting_down, {}, "the daemon is stopping; ask again when it is back");
}

std::optional<Denial> deny_peer(const CallerPolicy& caller, const protocol::Peer& peer) {
    const auto invalid = static_cast<uid_t>(-1);
    const auto& users = caller.users;
    if (peer.uid != invalid && std::find(users.begin(), users.end(), peer.uid) != users.end()) return {};
    return Denial{Code::peer_not_allowed,
                  caller.where,
                  "the key of \"" + caller.name.str() + "\" may not be used by uid " + std::to_string(peer.uid),
                  {}};
}

Decision::Outcome Decision::peer_may_use_key() { return deny_peer(caller_, peer_); }

Decision::Outcome Decision::meant_for_this_host() {
    if (!request_.audience) return {};
    const std::string& audience = *request_.audience;
    if (!audience.empty() && (audience == situation_.host_name || audience == situation_.machine_id)) return {};
    return deny(Code::peer_not_allowed, {},
                "the request is for \"" + printable_line(audience, 80) + "\", this is " + situation_.host_name);
}

Decision::Outcome Decision::action_exists() {
    const auto found = config_.actions.find(request_.action);
    if (found == config_.actions.end())
        return deny(Code::action_unknown, config_.file, "no action \"" + name() + "\" is enabled here");
    action_ = &found->second;
    return {};
}

Decision::Outcome Decision::caller_may_use_action() {
    const auto& actions = caller_.actions;
    if (std::find(actions.begin(), actions.end(), request_.action) != actions.end()) return {};
    return deny(Code::action_not_allowed, caller_.where,
                "caller \"" + caller_.name.str() + "\" may not use \"" + name() + "\"");
}

Decision::Outcome Decision::works_on_this_machine() {
    const auto reason = situation_.unavailable ? situation_.unavailable(action_->name) : std::nullopt;
    if (!reason) return {};
    return deny(Code::unavailable, action_->where, "\"" + name() + "\" cannot work here: " + *reason);
}

Decision::Outcome Decision::parameters_fit() {
    auto checked = check_parameters(action_->parameters, request_.parameters);
    if (!checked) return deny(checked.error().code, action_->where, checked.error().detail);
    grant_.arguments_ = std::move(*checked);
    return {};
}

Decision::Outcome Decision::target_is_allowed() {
    for (const auto& spec : action_->parameters) {
        if (spec.type != ParameterType::unit || !grant_.arguments_.has(spec.name)) continue;
        const std::string unit = grant_.arguments_.text(spec.name);
        switch (check_unit(unit, action_->units, config_.daemon.protected_units)) {
            case UnitAccess::allowed: break;
            case UnitAccess::not_listed:
                return deny(Code::parameters_not_allowed, action_->where,
                            "the policy does not list " + unit + " for \"" + name() + "\"");
            case UnitAccess::protected_unit:
                return deny(Code::parameters_not_allowed, action_->where,
                            unit + " is protected; only an entry with its full name reaches it");
        }
    }
    return {};
}

std::string Decision::target_of(const Arguments& arguments) const {
    std::string target = action_->target_group;
    if (!action_->target_parameter.empty()) return target + ":" + arguments.shown(action_->target_parameter);
    if (action_->command) {
        for (const auto& spec : action_->parameters) {
            const std::string value = arguments.shown(spec.name);
            const auto digest = protocol::sha256(value);
            target += ":" + (spec.secret ? to_hex({digest.data(), digest.size()}) : value);
        }
    }
    return target;
}

Decision::Outcome Decision::nothing_in_the_way() {
    grant_.target_ = target_of(grant_.arguments_);
    if (situation_.is_busy && situation_.is_busy(grant_.target_)) {
        auto denial =
            deny(Code::busy, action_->where, "something is already running on the target of \"" + name() + "\"");
        denial.retry_after = 1s;
        return denial;
    }
    if (situation_.workers_full) {
        auto denial = deny(Code::busy, {}, "too many actions are running; ask again when one has ended");
        denial.retry_after = 1s;
        return denial;
    }
    return {};
}

Decision::Outcome Decision::within_budget() {
    const auto over = [&](const std::string& bucket, const RateLimit& limit, const std::string& rule,
                          const std::string& whose) -> Outcome {
        const auto wait = limiter_.wait_for(bucket, limit, situation_.now.boot);
        if (!wait) return {};
        auto denial =
            deny(Code::rate_limited, rule,
                 whose + " is limited to " + std::to_string(limit.limit) + " in " + format_duration(limit.window));
        denial.retry_after = wait;
        return denial;
    };
    if (auto denial = over(action_bucket(action_->name), action_->rate_limit, action_->where, "\"" + name() + "\""))
        return denial;
    if (!caller_.rate_limit) return {};
    return over(caller_bucket(caller_.name), *caller_.rate_limit, caller_.where,
                "caller \"" + caller_.name.str() + "\"");
}

tl::expected<Grant, Denial> Decision::run(std::vector<Check>* trace) {
    struct Step {
        const char* name;
        Outcome (Decision::*check)();
    };
    static constexpr Step kSteps[] = {
        {"daemon is not stopping", &Decision::not_shutting_down},
        {"peer may use this key", &Decision::peer_may_use_key},
        {"request is meant for this host", &Decision::meant_for_this_host},
        {"action is enabled", &Decision::action_exists},
        {"caller may use the action", &Decision::caller_may_use_action},
        {"action works on this machine", &Decision::works_on_this_machine},
        {"parameters are valid", &Decision::parameters_fit},
        {"target is allowed", &Decision::target_is_allowed},
        {"nothing is in the way", &Decision::nothing_in_the_way},
        {"within the rate limits", &Decision::within_budget},
    };
    for (const auto& step : kSteps) {
        auto denial = (this->*step.check)();
        if (trace != nullptr)
            trace->push_back({step.name, !denial, denial ? denial->detail : std::string(),
                              denial               ? denial->rule
                              : action_ != nullptr ? action_->where
                                                   : caller_.where});
        if (denial) return tl::unexpected<Denial>(std::move(*denial));
    }
    grant_.caller_ = &caller_;
    grant_.action_ = action_;
    grant_.at_ = situation_.now.boot;
    grant_.timeout_ = request_.deadline ? std::min<Micros>(*request_.deadline, action_->timeout) : action_->timeout;
    return std::move(grant_);
}

tl::expected<Grant, Denial> decide(const Config& config, const CallerPolicy& caller, const protocol::Request& request,
                                   const protocol::Peer& peer, const Limiter& limiter, const Situation& situation,
                                   std::vector<Check>* trace) {
    return Decision(config, caller, request, peer, limiter, situation).run(trace);
}

std::string action_bucket(const ActionName& action) { return "action:" + action.str(); }
std::string caller_bucket(const CallerName& caller) { return "caller:" + caller.str(); }

void take_budget(Limiter& limiter, const Grant& grant) {
    limiter.take(action_bucket(grant.action().name), grant.action().rate_limit, grant.at());
    const CallerPolicy& caller = grant.caller();
    if (caller.rate_limit) limiter.take(caller_bucket(caller.name), *caller.rate_limit, grant.at());
}

void give_back_budget(Limiter& limiter, const Grant& grant) {
    limiter.give_back(action_bucket(grant.action().name), grant.at());
    limiter.give_back(caller_bucket(grant.caller().name), grant.at());
}

bool is_fresh(WallTime timestamp, WallTime now, Micros max_clock_skew) {
    const Micros distance = timestamp - now;
    return distance <= max_clock_skew && distance >= -max_clock_skew;
}

}  // namespace luminous_healing::policy
