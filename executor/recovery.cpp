#include "executor/recovery.h"

#include "audit/reader.h"
#include "executor/adoption.h"
#include "policy/decide.h"
#include "protocol/mac.h"
#include "protocol/response.h"

#include <algorithm>
#include <map>

namespace luminous_healing::executor {
namespace {

using audit::EventType;
using audit::StoredRecord;
using protocol::Code;

constexpr Micros kAtLeast = 15min;  // how far back in any case: longer than answers are kept

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

class Recovery {
public:
    Recovery(const policy::Config& config, std::string boot_id, policy::Limiter& limiter, policy::Journal& journal)
        : config_(config),
          boot_id_(std::move(boot_id)),
          limiter_(limiter),
          journal_(journal),
          horizon_(horizon_of(config)) {}

    /// Called from the newest record backwards; false when the rest is too old to matter.
    bool visit(const StoredRecord& stored);
    [[nodiscard]] const std::vector<StoredRecord>& open_intents() const { return open_; }
    [[nodiscard]] bool may_have_gone_on(const StoredRecord& intent) const {
        return intent.boot_id == boot_id_ && may_outlive_us(intent.record.action.value_or(""));
    }

private:
    [[nodiscard]] BootTime boot_time_of(const StoredRecord& stored) const;
    [[nodiscard]] bool is_too_old(const StoredRecord& stored);
    void note_intent(const StoredRecord& stored);
    void note_denial(const StoredRecord& stored);
    void remember(const StoredRecord& stored, const std::optional<protocol::Response>& response);

    const policy::Config& config_;
    std::string boot_id_;
    policy::Limiter& limiter_;
    policy::Journal& journal_;
    Micros horizon_;
    Instant now_ = now();
    std::optional<WallTime> newest_;
    std::map<std::string, protocol::Response> ended_;  // by request, outcomes met on the way back
    std::vector<StoredRecord> open_;
};

std::string key_of(const audit::Record& record) {
    return record.caller.value_or("") + '\0' + record.request_id.value_or("") + '\0' + record.request_mac;
}

/// On this boot's clock: exact for this boot; for an earlier one as long ago as the wall clock says, never in future.
BootTime Recovery::boot_time_of(const StoredRecord& stored) const {
    if (stored.boot_id == boot_id_) return stored.boottime;
    return {now_.boot.since_boot - std::max<Micros>(now_.wall - stored.timestamp, Micros{0})};
}

/// Too old by both measures: for the windows from now, for open intents from the last sign of life.
bool Recovery::is_too_old(const StoredRecord& stored) {
    if (!newest_) newest_ = stored.timestamp;
    return now_.boot - boot_time_of(stored) > horizon_ && *newest_ - stored.timestamp > horizon_;
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

void Recovery::remember(const StoredRecord& stored, const std::optional<protocol::Response>& response) {
    const auto& record = stored.record;
    const auto mac = protocol::Mac::from_hex(record.request_mac);
    if (!mac || !record.caller || !record.request_id) return;
    const CallerName caller(*record.caller);
    const RequestId id(*record.request_id);
    const auto skew = config_.daemon.max_clock_skew;
    if (!journal_.begin(caller, id, *mac, stored.timestamp, boot_time_of(stored) + 2 * skew)) return;
    if (response) journal_.finish(caller, id, protocol::write_response(*response), boot_time_of(stored));
}

void Recovery::note_intent(const StoredRecord& stored) {
    const auto& record = stored.record;
    const ActionName action(record.action.value_or(""));
    const auto policy = config_.actions.find(action);
    if (policy != config_.actions.end())
        limiter_.take(policy::action_bucket(action), policy->second.rate_limit, boot_time_of(stored));
    const CallerName caller(record.caller.value_or(""));
    const auto asked = config_.callers.find(caller);
    if (asked != config_.callers.end() && asked->second.rate_limit)
        limiter_.take(policy::caller_bucket(caller), *asked->second.rate_limit, boot_time_of(stored));
    const auto ended = ended_.find(key_of(record));
    std::optional<protocol::Response> response = ended != ended_.end() ? ended->second : response_of(stored);
    if (ended == ended_.end()) {
        response->code = Code::interrupted;
        response->success = false;
        response->error = "the daemon ended while this ran; what came of it is not known, and it will not be run again";
        open_.push_back(stored);
        if (may_have_gone_on(stored)) response.reset();  // whoever asks again waits for its end
    }
    remember(stored, response);
    journal_.mark_executed(caller, RequestId(record.request_id.value_or("")));
}

void Recovery::note_denial(const StoredRecord& stored) {
    if (stored.record.code == Code::id_reused) return;  // that id is another request's
    auto response = response_of(stored);
    response.success = false;
    remember(stored, response);
}

bool Recovery::visit(const StoredRecord& stored) {
    if (is_too_old(stored)) {
        journal_.forget_until({stored.timestamp.since_epoch + config_.daemon.max_clock_skew});
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
        default: break;
    }
    return true;
}

}  // namespace

Expected<Recovered> recover_state(const policy::Config& config, const std::string& boot_id, policy::Limiter& limiter,
                                  policy::Journal& journal, Recorder& recorder) {
    Recovery recovery(config, boot_id, limiter, journal);
    auto read = audit::read_back(config.audit.path, [&](const StoredRecord& stored) { return recovery.visit(stored); });
    if (!read) return tl::unexpected(read.error());
    auto open = recovery.open_intents();
    std::reverse(open.begin(), open.end());
    Recovered recovered;
    for (auto& stored : open) {
        if (recovery.may_have_gone_on(stored)) {
            recovered.gone_on.push_back(std::move(stored));
            continue;
        }
        ++recovered.interrupted;
        audit::Record record = stored.record;
        record.event = EventType::interrupted;
        record.allowed.reset();
        record.success = false;
        record.code = Code::interrupted;
        record.error = "the daemon ended while this ran; it is not run again";
        recorder.record(record, Urgency::before_effects);
    }
    recorder.flush();
    return recovered;
}

}  // namespace luminous_healing::executor
