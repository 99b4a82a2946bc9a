#include "executor/recollection.h"

#include "executor/adoption.h"
#include "policy/decide.h"
#include "protocol/mac.h"

#include <algorithm>
#include <ranges>
#include <utility>

namespace luminous_healing::executor {
namespace {

using audit::EventType;
using audit::StoredRecord;
using protocol::Code;

constexpr Micros kAtLeast = 15min;     // how far back in any case: longer than answers are kept
constexpr Micros kJournalMargin = 5s;  // as in the pipeline: an id is kept a little longer than it is fresh

/// The longest time after which a record can still matter to a decision.
Micros horizon_of(const policy::Config& config) {
    Micros longest = std::max<Micros>(kAtLeast, config.daemon.max_clock_skew * 4);
    for (const auto& [name, action] : config.actions)
        longest = std::max({longest, action.rate_limit.window, action.timeout * 2});
    for (const auto& [name, caller] : config.callers) {
        if (caller.rate_limit) longest = std::max(longest, caller.rate_limit->window);
    }
    return longest;
}

std::string key_of(const audit::Record& record) {
    return record.caller.value_or("") + '\0' + record.request_id.value_or("") + '\0' + record.request_mac;
}

protocol::Response response_of(const StoredRecord& stored) {
    const auto& record = stored.record;
    protocol::Response response;
    response.request_id = record.request_id.value_or("");
    response.success = record.success.value_or(false);
    response.output = record.output.value_or("");
    response.error = record.error;
    response.duration_ms = record.duration_ms.value_or(0);
    response.code = record.code.value_or(Code::internal);
    response.verdict = record.verdict;
    response.audit_seq = stored.seq;
    response.result = record.result;
    return response;
}

}  // namespace

Recollection::Recollection(const policy::Config& config, std::string boot_id, Instant now, policy::Limiter& limiter,
                           policy::Journal::Limits limits)
    : config_(config),
      boot_id_(std::move(boot_id)),
      now_(now),
      limiter_(limiter),
      limits_(limits),
      horizon_(horizon_of(config)) {}

bool Recollection::may_have_gone_on(const StoredRecord& intent) const {
    return intent.boot_id == boot_id_ && may_outlive_us(intent.record.action.value_or(""));
}

/// On this boot's clock; never later than the record after it.
BootTime Recollection::place(const StoredRecord& stored) const {
    if (!newest_at_) {
        if (stored.boot_id == boot_id_) return std::min(stored.boottime, now_.boot);
        return {now_.boot.since_boot - std::max<Micros>(now_.wall - stored.timestamp, Micros{0})};
    }
    const Micros before =
        stored.boot_id == previous_boot_ ? previous_.boot - stored.boottime : previous_.wall - stored.timestamp;
    return {at_.since_boot - std::max<Micros>(before, Micros{0})};
}

bool Recollection::visit(const StoredRecord& stored) {
    const WallTime latest{stored.timestamp.since_epoch + config_.daemon.max_clock_skew};  // that was fresh then
    at_ = place(stored);
    if (!newest_at_) newest_at_ = at_;
    // Records are gone: what they executed must not run again.
    if (previous_seq_ != 0 && stored.seq != previous_seq_ - 1) forget_until(latest);
    previous_ = {stored.timestamp, stored.boottime};
    previous_boot_ = stored.boot_id;
    previous_seq_ = stored.seq;
    // From the last sign of life, so that an intent is found open however long the machine was off.
    if (*newest_at_ - at_ > horizon_ && ++visited_ > kAlways) {
        read_to_the_start_ = false;
        forget_until(latest);
        return false;
    }
    const auto& record = stored.record;
    switch (record.event) {
        case EventType::outcome:
        case EventType::interrupted:
        case EventType::aborted: ended_.try_emplace(key_of(record), response_of(stored)); break;
        case EventType::decision:
            if (record.mode != "run") break;
            if (record.allowed == false) note_denial(stored);
            else if (!record.success) note_intent(stored);  // an intent has no success yet; status has
            break;
        case EventType::recovered:
            if (audit::lost_records(record)) forget_until(latest);
            break;
        default: break;
    }
    return true;
}

void Recollection::note_intent(const StoredRecord& stored) {
    const auto& record = stored.record;
    const ActionName action(record.action.value_or(""));
    const auto policy = config_.actions.find(action);
    if (policy != config_.actions.end() && now_.boot - at_ < policy->second.rate_limit.window)
        limiter_.take(policy::action_bucket(action), policy->second.rate_limit, at_);
    const CallerName caller(record.caller.value_or(""));
    const auto asked = config_.callers.find(caller);
    if (asked != config_.callers.end() && asked->second.rate_limit &&
        now_.boot - at_ < asked->second.rate_limit->window)
        limiter_.take(policy::caller_bucket(caller), *asked->second.rate_limit, at_);
    const auto ended = ended_.extract(key_of(record));
    if (!ended.empty()) return remember(stored, true, &ended.mapped());
    open_.push_back(stored);
    if (may_have_gone_on(stored)) return remember(stored, true, nullptr);  // whoever asks again waits for its end
    protocol::Response response = response_of(stored);
    response.code = Code::interrupted;
    response.success = false;
    response.error = "the daemon ended while this ran; what came of it is not known, and it will not be run again";
    remember(stored, true, &response);
}

void Recollection::note_denial(const StoredRecord& stored) {
    if (stored.record.code == Code::id_reused) return;  // that id is another request's
    if (now_.boot - at_ > horizon_) return;
    auto response = response_of(stored);
    response.success = false;
    remember(stored, false, &response);
}

/// Of an id that was used more than once the last use counts. What finds no room is forgotten as the journal forgets:
/// every timestamp that it may have had is refused from now on.
void Recollection::remember(const StoredRecord& stored, bool executed, const protocol::Response* response) {
    const auto& record = stored.record;
    const auto mac = protocol::Mac::from_hex(record.request_mac);
    if (!mac || !record.caller || !record.request_id) return;
    const bool fits = remembered_.size() < limits_.entries / 2 && (!executed || executed_ < limits_.executed) &&
                      known_.insert(*record.caller + '\0' + *record.request_id).second;
    if (!fits) {
        if (executed) forget_until({stored.timestamp.since_epoch + config_.daemon.max_clock_skew});
        return;
    }
    Remembered entry{CallerName(*record.caller),
                     RequestId(*record.request_id),
                     *mac,
                     stored.timestamp,
                     at_,
                     executed,
                     response != nullptr,
                     {}};
    if (response != nullptr && now_.boot - at_ < limits_.keep_response) {
        std::string bytes = protocol::write_response(*response);
        if (response_bytes_ + bytes.size() <= limits_.response_bytes) entry.response = std::move(bytes);
        response_bytes_ += entry.response.size();
    }
    executed_ += executed ? 1 : 0;
    remembered_.push_back(std::move(entry));
}

void Recollection::forget_until(WallTime timestamp) {
    forgotten_ = forgotten_ ? std::max(*forgotten_, timestamp) : timestamp;
}

/// Oldest first, as it happened: the journal drops the oldest when there is no room.
void Recollection::fill(policy::Journal& journal) {
    const auto skew = config_.daemon.max_clock_skew;
    // The log does not begin with its first record: older files were removed, by rotation or by somebody.
    if (read_to_the_start_ && previous_seq_ > 1) forget_until({previous_.wall.since_epoch + skew});
    for (const auto& entry : std::views::reverse(remembered_)) {
        const WallTime timestamp{entry.timestamp.since_epoch + skew};
        if (!journal.begin(entry.caller, entry.id, entry.mac, timestamp, entry.at + 2 * skew + kJournalMargin)) {
            if (entry.executed) forget_until(timestamp);
            continue;
        }
        if (entry.executed) journal.mark_executed(entry.caller, entry.id);
        // An answer that is not kept is due at once, so that the request counts as answered and lost.
        if (entry.answered)
            journal.finish(entry.caller, entry.id, entry.response,
                           entry.response.empty() ? BootTime{now_.boot.since_boot - limits_.keep_response} : entry.at);
    }
    if (forgotten_) journal.forget_until(*forgotten_);
}

}  // namespace luminous_healing::executor
