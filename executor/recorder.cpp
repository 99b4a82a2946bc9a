#include "executor/recorder.h"

#include "executor/logging.h"

namespace luminous_healing::executor {
namespace {

constexpr Micros kBatchDelay = 100ms;
constexpr Micros kRetryDelay = 1s;

}  // namespace

std::optional<std::int64_t> Recorder::record(const audit::Record& record, Urgency urgency) {
    if (!log_.is_available()) {
        retry();
        return {};
    }
    const auto seq = log_.append(record, now());
    batch_has_records_ = true;
    if (urgency == Urgency::before_effects || (urgency == Urgency::denial && sync_ == policy::AuditSync::always))
        batch_is_urgent_ = true;
    return seq;
}

bool Recorder::admit(protocol::Code code, uid_t uid, const std::string& caller) {
    if (folding_.admit(code, uid, caller, boot_now())) return true;
    schedule_count();
    return false;
}

std::optional<std::int64_t> Recorder::record_folded(const audit::Record& what, Urgency urgency) {
    const auto uid = what.peer ? static_cast<uid_t>(what.peer->uid) : static_cast<uid_t>(-1);
    const auto code = what.code.value_or(protocol::Code::internal);
    if (!admit(code, uid, what.caller.value_or(""))) return {};
    return record(what, urgency);
}

void Recorder::schedule_count() {
    if (folding_timer_.active()) return;
    folding_timer_ = loop_.after(Folding::kWindow, [this] {
        folding_timer_.reset();
        record_suppressed(false);
        flush();
    });
}

void Recorder::record_suppressed(bool all) {
    for (const auto& repeats : folding_.collect(boot_now(), all)) {
        audit::Record counted;
        counted.event = audit::EventType::suppressed;
        counted.code = repeats.code;
        counted.success = false;
        counted.count = repeats.count;
        counted.peer = audit::PeerFields{repeats.uid, -1, 0, {}, {}};
        if (!repeats.caller.empty()) counted.caller = repeats.caller;
        record(counted, Urgency::denial);
    }
    if (!all && !folding_.empty()) schedule_count();
}

bool Recorder::commit() {
    if (!batch_has_records_) return true;
    const bool urgent = batch_is_urgent_;
    batch_has_records_ = batch_is_urgent_ = false;
    const auto committed = log_.commit(urgent ? audit::Durability::durable : audit::Durability::buffered);
    if (!committed) {
        log_error("the audit log cannot be written, actions are refused: " + committed.error().message);
        retry();
        return false;
    }
    if (!urgent) schedule_sync();
    const auto epoch = log_.head().epoch;
    if (std::exchange(epoch_, epoch) != epoch && on_epoch_) on_epoch_();
    return true;
}

void Recorder::flush() {
    while (batch_has_records_ || !effects_.empty()) {
        const bool recorded = commit();
        for (auto& effect : std::exchange(effects_, {})) effect(recorded);
    }
}

void Recorder::schedule_sync() {
    if (sync_timer_.active()) return;
    sync_timer_ = loop_.after(kBatchDelay, [this] {
        sync_timer_.reset();
        if (auto synced = log_.sync(); !synced) {
            log_error("the audit log cannot be made durable: " + synced.error().message);
            retry();
        }
    });
}

void Recorder::retry() {
    if (retry_timer_.active()) return;
    retry_timer_ = loop_.after(kRetryDelay, [this] {
        retry_timer_.reset();
        if (!log_.is_available() && !log_.recover(now())) return retry();
        log_info("the audit log can be written again");
        record_unrecorded();
    });
}

void Recorder::record_unrecorded() {
    for (const auto& outcome : std::exchange(unrecorded_, {})) {
        const bool accepted = record(outcome, Urgency::before_effects).has_value();
        then([this, outcome, accepted](bool recorded) {
            if (!recorded || !accepted) keep_for_later(outcome);
        });
    }
    flush();
}

void Recorder::close() {
    record_suppressed(true);
    flush();
    if (!log_.is_available() && log_.recover(now())) log_info("the audit log can be written again");
    record_unrecorded();
    if (!unrecorded_.empty())
        log_error(std::to_string(unrecorded_.size()) +
                  " outcomes could not be recorded; the next start will record these requests as interrupted");
    if (auto synced = log_.sync(); !synced)
        log_error("the audit log cannot be made durable: " + synced.error().message);
}

OpenIntent::~OpenIntent() {
    if (recorder_ == nullptr) return;
    outcome_.event = audit::EventType::aborted;
    outcome_.code = protocol::Code::internal;
    outcome_.success = false;
    outcome_.error = "the request was dropped without an outcome";
    recorder_->record(outcome_, Urgency::before_effects);
    recorder_->flush();
}

}  // namespace luminous_healing::executor
