#pragma once
// Between the pipeline and the audit log: what must be recorded before something else happens. Records of one turn of
// the event loop are committed together, then what waited for them goes on: group commit.

#include "audit/log.h"
#include "audit/record.h"
#include "executor/event_loop.h"
#include "executor/folding.h"
#include "policy/config.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace luminous_healing::executor {

/// How soon a record must be on the disk.
enum class Urgency {
    before_effects,  ///< before anything that waits for this turn's commit: intents, outcomes
    denial,          ///< the same with sync = "always"; with "batch" within 100 ms
    soon,            ///< within 100 ms: what changes nothing (status, plans)
};

class Recorder {
public:
    Recorder(EventLoop& loop, audit::Log& log, policy::AuditSync sync) : loop_(loop), log_(log), sync_(sync) {}

    /// Adds a record to this turn's batch; its seq, or nothing while the log is unavailable.
    std::optional<std::int64_t> record(const audit::Record& record, Urgency urgency);

    /// Lets the disk begin with what must be there before effects, while there is something else to do until flush().
    void start() {
        if (batch_is_urgent_) log_.start();
    }

    /// Of one kind from one peer only ten in a minute are recorded one by one. False: it has been counted instead.
    [[nodiscard]] bool admit(protocol::Code code, uid_t uid, const std::string& caller);

    /// As record(), unless admit() only counts it; nothing then too.
    std::optional<std::int64_t> record_folded(const audit::Record& record, Urgency urgency);

    /// Runs after this turn's commit, told whether it succeeded (true too when there was nothing to commit).
    void then(std::function<void(bool recorded)> effect) { effects_.push_back(std::move(effect)); }

    /// Commits and runs the effects, until neither is left. Called at the end of every turn that may have added any.
    void flush();

    /// Keeps an outcome that could not be recorded; it is added as soon as the log is back.
    void keep_for_later(audit::Record record) { unrecorded_.push_back(std::move(record)); }

    /// Records the counts of repeats; with `all` also those whose minute is not over.
    void record_suppressed(bool all);

    void set_sync(policy::AuditSync sync) { sync_ = sync; }

    /// Called after the commit that began a new epoch of the chain.
    void on_epoch(std::function<void()> callback) { on_epoch_ = std::move(callback); }
    [[nodiscard]] audit::Log& log() { return log_; }

    /// Makes everything durable and retries what failed: the last thing before the end.
    void close();

private:
    [[nodiscard]] bool commit();
    void retry();
    void record_unrecorded();
    void schedule_sync();
    void schedule_count();

    EventLoop& loop_;
    audit::Log& log_;
    policy::AuditSync sync_;
    Folding folding_;
    std::vector<std::function<void(bool)>> effects_;
    std::vector<audit::Record> unrecorded_;
    std::function<void()> on_epoch_;
    std::int64_t epoch_ = -1;
    bool batch_has_records_ = false;
    bool batch_is_urgent_ = false;
    EventSource sync_timer_;
    EventSource retry_timer_;
    EventSource folding_timer_;
};

/// An intent whose outcome is not recorded yet. Dropped without resolve(), by whatever mistake, it records `aborted`.
class OpenIntent {
public:
    OpenIntent(Recorder& recorder, audit::Record outcome) : recorder_(&recorder), outcome_(std::move(outcome)) {}
    OpenIntent(OpenIntent&& other) noexcept
        : recorder_(std::exchange(other.recorder_, nullptr)), outcome_(std::move(other.outcome_)) {}
    OpenIntent& operator=(OpenIntent&&) = delete;
    OpenIntent(const OpenIntent&) = delete;
    OpenIntent& operator=(const OpenIntent&) = delete;
    ~OpenIntent();

    /// The outcome record, filled with what the intent said; the caller completes and records it.
    [[nodiscard]] audit::Record resolve() {
        recorder_ = nullptr;
        return std::move(outcome_);
    }

private:
    Recorder* recorder_;
    audit::Record outcome_;
};

}  // namespace luminous_healing::executor
