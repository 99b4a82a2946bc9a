#pragma once
// The decision: may this caller have this action with these parameters now? Pure. Only decide() can make a Grant, and
// only a Grant can start a worker, so skipping the decision does not compile.

#include "base/clock.h"
#include "policy/config.h"
#include "policy/limiter.h"
#include "protocol/code.h"
#include "protocol/peer.h"
#include "protocol/request.h"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace luminous_healing::policy {

/// What the decision depends on besides configuration and request.
struct Situation {
    Instant now;
    std::string host_name;
    std::string machine_id;
    /// Why an action cannot work on this machine, or nothing. The name is that of an action in the configuration.
    std::function<std::optional<std::string>(const ActionName&)> unavailable;
    /// Is something running on that target (Grant::target())?
    std::function<bool(const std::string&)> is_busy;
    bool workers_full = false;
    bool shutting_down = false;
};

struct Denial {
    protocol::Code code = protocol::Code::internal;
    std::string rule;    ///< file:line of the deciding rule, or empty
    std::string detail;  ///< one sentence, for a caller that has proven its key
    std::optional<Micros> retry_after;
};

class Grant {
public:
    [[nodiscard]] const CallerPolicy& caller() const noexcept { return *caller_; }
    [[nodiscard]] const ActionPolicy& action() const noexcept { return *action_; }
    [[nodiscard]] const Arguments& arguments() const noexcept { return arguments_; }
    [[nodiscard]] Micros timeout() const noexcept { return timeout_; }
    [[nodiscard]] const std::string& target() const noexcept { return target_; }
    [[nodiscard]] const std::string& rule() const noexcept { return caller_->where; }
    [[nodiscard]] BootTime at() const noexcept { return at_; }

private:
    friend class Decision;
    Grant() = default;
    const CallerPolicy* caller_ = nullptr;  // both live in the Config, which lives as long as any grant of it
    const ActionPolicy* action_ = nullptr;
    Arguments arguments_;
    Micros timeout_{};
    std::string target_;
    BootTime at_;
};

/// One line of `explain`: what was checked, with what result, by which rule.
struct Check {
    std::string name;
    bool passed = false;
    std::string detail;
    std::string rule;
};

/// The caller is the one whose key verified. With `trace` every check made is noted in order.
[[nodiscard]] tl::expected<Grant, Denial> decide(const Config& config, const CallerPolicy& caller,
                                                 const protocol::Request& request, const protocol::Peer& peer,
                                                 const Limiter& limiter, const Situation& situation,
                                                 std::vector<Check>* trace = nullptr);

/// Why this peer may not use this caller's key, or nothing. decide() asks it too.
[[nodiscard]] std::optional<Denial> deny_peer(const CallerPolicy& caller, const protocol::Peer& peer);

/// Counts the grant against the action's window and the caller's own.
void take_budget(Limiter& limiter, const Grant& grant);
/// Undoes take_budget() for a grant that could not be recorded.
void give_back_budget(Limiter& limiter, const Grant& grant);

[[nodiscard]] std::string action_bucket(const ActionName& action);
[[nodiscard]] std::string caller_bucket(const CallerName& caller);

/// Is the timestamp within the allowed distance of `now`?
[[nodiscard]] bool is_fresh(WallTime timestamp, WallTime now, Micros max_clock_skew);

}  // namespace luminous_healing::policy
