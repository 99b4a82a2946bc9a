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

std::string Recollection::Whose::key() const {
    std::string text;
    text.reserve(caller.size() + id.size() + mac.size() + 2);
    return text.append(caller).append(1, '\0').append(id).append(1, '\0').append(mac);
}

/// On this boot's clock; never later than the record after it.
BootTime Recollection::place(const Written& written) const {
    if (!newest_at_) {
        if (written.boot_id == boot_id_) return std::min(written.boottime, now_.boot);
        return {now_.boot.since_boot - std::max<Micros>(now_.wall - written.timestamp, Micros{0})};
    }
    const Micros before =
        written.boot_id == previous_boot_ ? previous_.boot - written.boottime : previous_.wall - written.timestamp;
    return {at_.since_boot - std::max<Micros>(before, Micros{0})};
}

/// The record before; false when nothing from it on can matter.
bool Recollection::go_back_to(const Written& written) {
    const WallTime latest{written.timestamp.since_epoch + config_.daemon.max_clock_skew};  // that was fresh then
    at_ = place(written);
    if (!newest_at_) newest_at_ = at_;
    // Records are gone: what they executed must not run again.
    if (previous_seq_ != 0 && written.seq != previous_seq_ - 1) forget_until(latest);
    previous_ = {written.timestamp, written.boottime};
    if (previous_boot_ != written.boot_id) previous_boot_ = written.boot_id;
    previous_seq_ = written.seq;
    // From the last sign of life, so that an intent is found open however long the machine was off.
    if (*newest_at_ - at_ <= horizon_ || ++visited_ <= kAlways) return true;
    read_to_the_start_ = false;
    forget_until(latest);
    return false;
}

/// Once its answer is no longer kept, an ended request matters by its id and for the budgets alone. An intent that is
/// open matters more.
audit::Passing Recollection::pass(const audit::Glance& glance) {
    const Written written{glance.timestamp, glance.boottime, glance.boot_id, glance.seq};
    if (!newest_at_ || now_.boot - place(written) <= limits_.keep_response) return audit::Passing::read;
    const Whose whose{glance.caller, glance.request_id, glance.request_mac};
    const bool asked = glance.event == EventType::decision && glance.mode == "run";
    const bool denied = asked && glance.decision == "deny";
    const bool intent = asked && !denied && !glance.has_success;
    const auto ended = intent ? ended_.find(whose.key()) : ended_.end();
    if (intent && ended == ended_.end()) return audit::Passing::read;
    if (!go_back_to(written)) return audit::Passing::stop;
    static const protocol::Response not_kept;
    if (glance.event == EventType::outcome) ended_.try_emplace(whose.key());
    if (denied && glance.code != protocol::name_of(Code::id_reused)) note_denial(whose, glance.timestamp, not_kept);
    if (!intent) return audit::Passing::passed;
    note_budgets(glance.action, glance.caller);
    remember(whose, glance.timestamp, true, &not_kept);
    ended_.erase(ended);
    return audit::Passing::passed;
}

bool Recollection::visit(const StoredRecord& stored) {
    if (!go_back_to({stored.timestamp, stored.boottime, stored.boot_id, stored.seq})) return false;
    const auto& record = stored.record;
    switch (record.event) {
        case EventType::outcome:
        case EventType::interrupted:
        case EventType::aborted: ended_.try_emplace(whose_is(record).key(), response_of(stored)); break;
        case EventType::decision:
            if (record.mode != "run") break;
            if (record.allowed == false) visit_denial(stored);
            else if (!record.success) note_intent(stored);  // an intent has no success yet; status has
            break;
        case EventType::recovered:
            if (audit::lost_records(record))
                forget_until({stored.timestamp.since_epoch + config_.daemon.max_clock_skew});
            break;
        default: break;
    }
    return true;
}

Recollection::Whose Recollection::whose_is(const audit::Record& record) {
    const auto view = [](const std::optional<std::string>& text) {
        return text ? std::string_view(*text) : std::string_view();
    };
    return {view(record.caller), view(record.request_id), record.request_mac};
}

void Recollection::note_budgets(std::string_view action, std::string_view caller) {
    const auto policy = config_.actions.find(ActionName(action));
    if (policy != config_.actions.end() && now_.boot - at_ < policy->second.rate_limit.window)
        limiter_.take(policy::action_bucket(policy->first), policy->second.rate_limit, at_);
    const auto asked = config_.callers.find(CallerName(caller));
    if (asked != config_.callers.end() && asked->second.rate_limit &&
        now_.boot - at_ < asked->second.rate_limit->window)
        limiter_.take(policy::caller_bucket(asked->first), *asked->second.rate_limit, at_);
}

void Recollection::note_intent(const StoredRecord& stored) {
    const auto whose = whose_is(stored.record);
    note_budgets(stored.record.action.value_or(""), whose.caller);
    const auto ended = ended_.extract(whose.key());
    if (!ended.empty()) return remember(whose, stored.timestamp, true, &ended.mapped());
    open_.push_back(stored);
    if (may_have_gone_on(stored))
        return remember(whose, stored.timestamp, true, nullptr);  // whoever asks again waits for its end
    protocol::Response response = response_of(stored);
    response.code = Code::interrupted;
    response.success = false;
    response.error = "the daemon ended while this ran; what came of it is not known, and it will not be run again";
    remember(whose, stored.timestamp, true, &response);
}

void Recollection::visit_denial(const StoredRecord& stored) {
    if (stored.record.code == Code::id_reused) return;  // that id is another request's
    auto response = response_of(stored);
    response.success = false;
    note_denial(whose_is(stored.record), stored.timestamp, response);
}

void Recollection::note_denial(const Whose& whose, WallTime timestamp, const protocol::Response& response) {
    if (now_.boot - at_ <= horizon_) remember(whose, timestamp, false, &response);
}

/// Of an id that was used more than once the last use counts. What finds no room is forgotten as the journal forgets:
/// every timestamp that it may have had is refused from now on.
void Recollection::remember(const Whose& whose, WallTime timestamp, bool executed, const protocol::Response* response) {
    const auto mac = protocol::Mac::from_hex(whose.mac);
    if (!mac || whose.caller.empty() || whose.id.empty()) return;
    const bool fits = remembered_.size() < limits_.entries / 2 && (!executed || executed_ < limits_.executed) &&
                      known_.insert(Whose{whose.caller, whose.id, {}}.key()).second;
    if (!fits) {
        if (executed) forget_until({timestamp.since_epoch + config_.daemon.max_clock_skew});
        return;
    }
    Remembered entry{
        CallerName(whose.caller), RequestId(whose.id), *mac, timestamp, at_, executed, response != nullptr, {}};
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
