#pragma once
// What `healctl audit show|tail|stats` asks of records.

#include "audit/record.h"
#include "base/clock.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace luminous_healing::audit {

/// A record matches when every member that is set agrees.
struct Filter {
    std::optional<EventType> event;
    std::optional<std::string> action;
    std::optional<std::string> caller;
    std::optional<protocol::Code> code;
    std::optional<bool> allowed;
    std::optional<protocol::Verdict> verdict;
    std::optional<std::string> request_id;
    std::optional<WallTime> since;  ///< included
    std::optional<WallTime> until;  ///< excluded
};
[[nodiscard]] bool matches(const Filter& filter, const StoredRecord& record);

/// One line without newline, safe for a terminal whatever the file holds:
/// "2026-11-21T10:00:00.123456Z #12 decision deny rate_limited restart_service by monitor (uid 998) …".
[[nodiscard]] std::string render(const StoredRecord& record);

/// Counts over records, in memory that no log can make grow: names beyond kMaxNames are counted as "(others)", and
/// durations are kept exactly below a second and to three digits above.
class Stats {
public:
    static constexpr std::size_t kMaxNames = 1000;
    using Counts = std::map<std::string, std::int64_t>;

    void add(const StoredRecord& record);

    [[nodiscard]] std::int64_t records() const noexcept { return records_; }
    /// Denials folded into `suppressed` records; not part of the counts below.
    [[nodiscard]] std::int64_t suppressed() const noexcept { return suppressed_; }
    [[nodiscard]] const Counts& events() const noexcept { return events_; }
    [[nodiscard]] const Counts& codes() const noexcept { return codes_; }
    /// Requests, that is decisions, by action and by caller.
    [[nodiscard]] const Counts& actions() const noexcept { return actions_; }
    [[nodiscard]] const Counts& callers() const noexcept { return callers_; }
    [[nodiscard]] const Counts& verdicts() const noexcept { return verdicts_; }
    /// Of outcomes, in milliseconds: the smallest duration that at least half of them do not exceed.
    [[nodiscard]] std::optional<std::int64_t> median_ms() const;
    [[nodiscard]] std::optional<std::int64_t> longest_ms() const;

private:
    std::int64_t records_ = 0;
    std::int64_t suppressed_ = 0;
    std::int64_t longest_ = -1;
    Counts events_, codes_, actions_, callers_, verdicts_;
    std::map<std::int64_t, std::int64_t> durations_;  // rounded milliseconds -> how many
};

}  // namespace luminous_healing::audit
