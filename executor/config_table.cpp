#include "executor/config_table.h"

#include "base/text.h"
#include "base/units.h"

#include <algorithm>
#include <set>

namespace luminous_healing::executor {
namespace {

using Kind = ConfigNode::Kind;

constexpr std::int64_t kMostRequests = 100'000;  // a window remembers each granted request

bool has_control_character(std::string_view text) {
    return std::any_of(text.begin(), text.end(), [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return byte < 0x20 || byte == 0x7F;
    });
}

}  // namespace

Table::Table(const ConfigNode& node, std::string name, Findings& findings)
    : node_(&node), name_(std::move(name)), findings_(&findings) {
    if (!node.is(Kind::table))
        findings.problem(node.line, name_ + " is " + std::string(kind_name(node.kind)) + ", not a table. Write [" +
                                        name_ + "] and its keys below");
}

int Table::line(const std::string& key) const {
    const auto* const found = node_->find(key);
    return found != nullptr ? found->line : node_->line;
}

void Table::problem(const std::string& key, const std::string& what) {
    findings_->problem(line(key), name_ + "." + key + ": " + what);
}

void Table::warning(const std::string& key, const std::string& what) {
    findings_->warning(line(key), name_ + "." + key + ": " + what);
}

void Table::refuse(const std::string& key, const std::string& why) {
    if (any(key) != nullptr) problem(key, why);
}

const ConfigNode* Table::any(const std::string& key) {
    known_.push_back(key);
    return node_->find(key);
}

const ConfigNode* Table::typed(const std::string& key, Kind kind, std::string_view example) {
    const auto* const found = any(key);
    if (found == nullptr || found->is(kind)) return found;
    problem(key, "is " + std::string(kind_name(found->kind)) + ", must be " + std::string(kind_name(kind)) +
                     ". Write for example " + key + " = " + std::string(example));
    return nullptr;
}

const ConfigNode* Table::table(const std::string& key) { return typed(key, Kind::table, "{ … }"); }

std::optional<std::string> Table::checked_text(const std::string& key, const ConfigNode& node) {
    std::string mistake;
    if (node.text.empty()) mistake = "is an empty text. Write a value, or leave the key out";
    else if (has_control_character(node.text)) mistake = "has a control character. Write it in plain characters";
    if (mistake.empty()) return node.text;
    findings_->problem(node.line, name_ + "." + key + ": " + mistake);
    return {};
}

std::optional<std::string> Table::text(const std::string& key) {
    const auto* const found = typed(key, Kind::string, "\"text\"");
    return found != nullptr ? checked_text(key, *found) : std::nullopt;
}

std::optional<bool> Table::boolean(const std::string& key) {
    const auto* const found = typed(key, Kind::boolean, "true");
    return found != nullptr ? std::optional(found->boolean) : std::nullopt;
}

std::optional<std::int64_t> Table::integer(const std::string& key, std::int64_t least, std::int64_t most) {
    const auto* const found = typed(key, Kind::integer, std::to_string(std::max<std::int64_t>(least, 1)));
    if (found == nullptr) return {};
    if (found->integer >= least && found->integer <= most) return found->integer;
    problem(key, "is " + std::to_string(found->integer) + ". Write a number from " + std::to_string(least) + " to " +
                     std::to_string(most));
    return {};
}

std::optional<Micros> Table::duration(const std::string& key, Micros most) {
    const auto* const found = typed(key, Kind::string, "\"30s\"");
    if (found == nullptr) return {};
    const auto duration = parse_duration(found->text);
    if (duration && *duration <= most) return duration;
    problem(key, "is " + quoted(found->text) + ". Write a duration above zero and up to " + format_duration(most) +
                     ", like \"500ms\" \"30s\" \"5min\" \"1h\"");
    return {};
}

std::optional<std::uint64_t> Table::size(const std::string& key) {
    const auto* const found = typed(key, Kind::string, "\"64MiB\"");
    if (found == nullptr) return {};
    const auto size = parse_size(found->text);
    if (!size)
        problem(key, "is " + quoted(found->text) + ". Write a size above zero, like \"512KiB\" \"64MiB\" \"1GiB\"");
    return size;
}

std::optional<std::string> Table::absolute_path(const std::string& key) {
    const auto path = text(key);
    if (!path || is_plain_absolute_path(*path)) return path;
    problem(key, "is " + quoted(*path) + ". Write an absolute path, from / on and without . or .. in it");
    return {};
}

const std::vector<ConfigNode>* Table::list(const std::string& key, std::string_view of_what) {
    const auto* const found = typed(key, Kind::array, "[\"…\"]");
    if (found == nullptr) return nullptr;
    if (!found->items.empty()) return &found->items;
    problem(key, "is an empty list. Write at least one of " + std::string(of_what) + ", or leave the key out");
    return nullptr;
}

std::optional<std::vector<Entry>> Table::texts(const std::string& key, WhenEmpty when_empty) {
    const auto* const found = typed(key, Kind::array, "[\"…\"]");
    if (found == nullptr) return {};
    if (found->items.empty() && when_empty == WhenEmpty::refuse) {
        problem(key, "is an empty list. Write at least one entry, or leave the key out");
        return {};
    }
    std::vector<Entry> entries;
    bool good = true;
    for (const auto& item : found->items) {
        if (!item.is(Kind::string)) {
            findings_->problem(item.line, name_ + "." + key + ": has an entry that is " +
                                              std::string(kind_name(item.kind)) + ". Write each as \"text\"");
            good = false;
        } else if (auto entry = checked_text(key, item)) {
            entries.push_back({std::move(*entry), item.line});
        } else {
            good = false;
        }
    }
    return good ? std::optional(std::move(entries)) : std::nullopt;
}

std::optional<std::vector<Entry>> Table::distinct_texts(const std::string& key, WhenEmpty when_empty) {
    auto entries = texts(key, when_empty);
    if (!entries) return {};
    std::set<std::string> seen;
    for (const auto& entry : *entries) {
        if (!seen.insert(entry.text).second)
            findings_->problem(entry.line,
                               name_ + "." + key + ": has " + quoted(entry.text) + " twice. Remove one of them");
    }
    return entries;
}

std::optional<policy::RateLimit> Table::rate_limit(const std::string& key, const policy::RateLimit& otherwise) {
    const auto* const found = typed(key, Kind::table, "{ limit = 10, window = \"5min\" }");
    if (found == nullptr) return {};
    if (found->members.empty()) {
        problem(key, "is an empty table. Write { limit = 10, window = \"5min\" }, or leave the key out");
        return {};
    }
    Table inner(*found, name_ + "." + key, *findings_);
    const auto limit = read_rate_limit(inner, otherwise);
    inner.finish();
    return limit;
}

void Table::finish() {
    for (const auto& [key, value] : node_->members) {
        if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
        const auto hint = did_you_mean(key, known_);
        findings_->problem(value.line, "unknown key " + quoted(key) + (name_.empty() ? "" : " in [" + name_ + "]") +
                                           hint + ". Known here: " + joined(known_));
    }
}

policy::RateLimit read_rate_limit(Table& table, const policy::RateLimit& otherwise) {
    policy::RateLimit result = otherwise;
    if (const auto limit = table.integer("limit", 1, kMostRequests)) result.limit = static_cast<std::uint32_t>(*limit);
    if (const auto window = table.duration("window", std::chrono::hours(24 * 366))) result.window = *window;
    return result;
}

}  // namespace luminous_healing::executor
