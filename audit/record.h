#pragma once
// One line of the audit log as a value (docs: luminous-healing-audit(5)).

#include "base/clock.h"
#include "base/expected.h"
#include "protocol/code.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace luminous_healing::audit {

enum class EventType {
    decision,     ///< a request was allowed or denied; for an allowed one this is the intent
    outcome,      ///< what came of it
    interrupted,  ///< an intent found without an outcome at start; it is never run again
    aborted,      ///< an intent whose worker could not be started, or that was dropped by a bug
    suppressed,   ///< repeats folded into a count
    start,
    stop,
    reload,
    reopen,
    rotate,
    recovered,  ///< the log could not be written for a while, or its last line was torn
    gate_lost,
    key_epoch,
};
[[nodiscard]] std::string_view name_of(EventType event);
[[nodiscard]] std::optional<EventType> event_from_name(std::string_view name);

/// The peer as the log shows it. `exe` and `unit` are what /proc said, for people; uid, gid and pid are the kernel's.
struct PeerFields {
    std::int64_t uid = -1;
    std::int64_t gid = -1;
    std::int64_t pid = 0;
    std::string exe;
    std::string unit;
};

/// What the writer of a record says. The log adds timestamp, seq, boot_id, boottime_us, host, config and chain.
/// Strings may hold anything: they are bounded and escaped when written.
struct Record {
    EventType event = EventType::decision;
    std::optional<std::string> request_id;
    std::optional<std::string> action;
    std::string parameters = "{}";            ///< an object as compact JSON, written by protocol::JsonWriter
    std::optional<bool> success;              ///< null for an intent
    std::optional<std::int64_t> duration_ms;  ///< null for an intent
    std::optional<std::string> error;
    std::optional<bool> allowed;  ///< written as decision: "allow" | "deny"
    std::optional<protocol::Code> code;
    std::string rule;  ///< file:line
    std::optional<std::string> caller;
    std::optional<PeerFields> peer;
    std::optional<std::string> mode;  ///< "run" | "plan"
    std::optional<protocol::Verdict> verdict;
    std::string result;  ///< an object as JSON, or empty
    std::optional<std::string> reason;
    std::optional<std::string> output;  ///< of an outcome: what a repeated request is answered with after a restart
    std::string request_mac;            ///< hex: which exact bytes were asked
    std::optional<std::int64_t> count;  ///< of a suppressed record
    std::string detail;                 ///< of start, reload, gate_lost, …: a JSON object, or empty
};

/// A record as read back, with what the log added.
struct StoredRecord {
    Record record;
    WallTime timestamp;
    std::int64_t seq = 0;
    std::string boot_id;
    BootTime boottime;  ///< when it was written, on the clock of boot_id
    std::string host;
    std::string config;
    std::string chain;  ///< hex
};

/// What the log adds to each record.
struct Stamp {
    Instant now;
    std::int64_t seq = 0;
    std::string_view boot_id;
    std::string_view host;
    std::string_view config;
};

inline constexpr std::size_t kMaxLine =
    128 * 1024;  // bytes, newline included; write() keeps below, read() refuses above

/// The record as one JSON object without the `chain` member and without newline. Parameters, a result or a detail that
/// is too long for kMaxLine, or that read_record() could not read (not an object, not ASCII, too deep), is replaced by
/// {"truncated":true,"bytes":N,"sha256":"…"}; strings are cut at the bounds in record.cpp. So every record is readable.
[[nodiscard]] std::string write_record(const Record& record, const Stamp& stamp);

/// Reads one line (without newline), `chain` included. Unknown members are an error: a line we did not write is not
/// evidence. Says nothing about the chain; verify.h does.
[[nodiscard]] Expected<StoredRecord> read_record(std::string_view line);

/// Does a `recovered` record say that whole lines were set aside? They may have been records.
[[nodiscard]] bool lost_records(const Record& recovered);

}  // namespace luminous_healing::audit
