#include "audit/query.h"

#include "base/text.h"

#include <algorithm>

namespace luminous_healing::audit {
namespace {

template <class Value>
bool agrees(const std::optional<Value>& wanted, const std::optional<Value>& found) {
    return !wanted || wanted == found;
}

void count(Stats::Counts& counts, const std::string& name) {
    const bool full = counts.size() >= Stats::kMaxNames && !counts.contains(name);
    ++counts[full ? std::string("(others)") : name];
}

/// Three digits: what is left of a long duration decides nothing, and there are few such numbers.
std::int64_t rounded(std::int64_t milliseconds) {
    std::int64_t unit = 1;
    while (milliseconds / unit >= 1000) unit *= 10;
    return milliseconds / unit * unit;
}

void add_word(std::string& line, std::string_view word) {
    if (!word.empty()) line.append(line.empty() ? "" : " ").append(word);
}

void add_quoted(std::string& line, std::string_view name, const std::optional<std::string>& text) {
    if (text && !text->empty()) line.append(" ").append(name).append(": ").append(*text);
}

std::string who(const Record& r) {
    std::string text = r.caller ? "by " + *r.caller : "";
    if (!r.peer) return text;
    add_word(text, "(uid " + std::to_string(r.peer->uid) + ", pid " + std::to_string(r.peer->pid) +
                       (r.peer->exe.empty() ? "" : ", " + r.peer->exe) + ")");
    return text;
}

}  // namespace

bool matches(const Filter& filter, const StoredRecord& stored) {
    const Record& r = stored.record;
    return agrees(filter.event, std::optional(r.event)) && agrees(filter.action, r.action) &&
           agrees(filter.caller, r.caller) && agrees(filter.code, r.code) && agrees(filter.allowed, r.allowed) &&
           agrees(filter.verdict, r.verdict) && agrees(filter.request_id, r.request_id) &&
           (!filter.since || stored.timestamp >= *filter.since) && (!filter.until || stored.timestamp < *filter.until);
}

std::string render(const StoredRecord& stored) {
    const Record& r = stored.record;
    std::string line = format_rfc3339(stored.timestamp) + " #" + std::to_string(stored.seq);
    add_word(line, name_of(r.event));
    if (r.allowed) add_word(line, *r.allowed ? "allow" : "deny");
    if (r.success) add_word(line, *r.success ? "success" : "failure");
    if (r.code) add_word(line, protocol::name_of(*r.code));
    if (r.action) add_word(line, *r.action);
    if (r.parameters != "{}") add_word(line, r.parameters);
    if (r.verdict) add_word(line, protocol::name_of(*r.verdict));
    add_word(line, who(r));
    if (r.count) add_word(line, std::to_string(*r.count) + " times");
    if (r.duration_ms) add_word(line, std::to_string(*r.duration_ms) + " ms");
    if (r.request_id) add_word(line, "id " + *r.request_id);
    if (r.mode && *r.mode != "run") add_word(line, "(" + *r.mode + ")");
    add_quoted(line, "rule", r.rule);
    add_quoted(line, "reason", r.reason);
    add_quoted(line, "error", r.error);
    add_quoted(line, "detail", r.detail);
    return printable_line(line, kMaxLine);
}

void Stats::add(const StoredRecord& stored) {
    const Record& r = stored.record;
    ++records_;
    count(events_, std::string(name_of(r.event)));
    if (r.event == EventType::suppressed) suppressed_ += r.count.value_or(0);
    if (r.code) count(codes_, std::string(protocol::name_of(*r.code)));
    if (r.verdict) count(verdicts_, std::string(protocol::name_of(*r.verdict)));
    if (r.event == EventType::decision) {
        if (r.action) count(actions_, *r.action);
        if (r.caller) count(callers_, *r.caller);
    }
    if (r.event != EventType::outcome || !r.duration_ms || *r.duration_ms < 0) return;
    ++durations_[rounded(*r.duration_ms)];
    longest_ = std::max(longest_, *r.duration_ms);
}

std::optional<std::int64_t> Stats::median_ms() const {
    std::int64_t total = 0;
    for (const auto& [ms, times] : durations_) total += times;
    std::int64_t below = 0;
    for (const auto& [ms, times] : durations_) {
        below += times;
        if (2 * below >= total) return ms;
    }
    return {};
}

std::optional<std::int64_t> Stats::longest_ms() const { return longest_ < 0 ? std::nullopt : std::optional(longest_); }

}  // namespace luminous_healing::audit
