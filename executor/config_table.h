#pragma once
// Reading one table of the configuration: each key is asked for once, by type; what was never asked for is a mistake.

#include "base/clock.h"
#include "executor/config_document.h"
#include "executor/config_file.h"
#include "policy/config.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace luminous_healing::executor {

/// What is found wrong or worth knowing, in a file.
class Findings {
public:
    explicit Findings(std::string file) : file_(std::move(file)) {}

    void problem(int line, std::string what);
    void warning(int line, const std::string& what);
    [[nodiscard]] std::string where(int line) const { return file_ + ":" + std::to_string(line); }
    [[nodiscard]] bool has_problems() const noexcept { return !problems_.empty(); }
    /// In the order of their lines.
    [[nodiscard]] std::vector<ConfigProblem> take_problems();
    [[nodiscard]] std::vector<std::string> take_warnings();

private:
    std::string file_;
    std::multimap<int, std::string> problems_;
    std::multimap<int, std::string> warnings_;
};

/// " (did you mean "KNOWN"?)" for the nearest of the known words, or nothing when none is near.
[[nodiscard]] std::string did_you_mean(std::string_view written, const std::vector<std::string>& known);

/// "a, b, c".
[[nodiscard]] std::string joined(const std::vector<std::string>& words);

/// A word of the file, quoted and made safe to show.
[[nodiscard]] std::string quoted(std::string_view text);

/// Is it 1 to 64 characters of A-Z a-z 0-9 . _ -, beginning with a letter or digit? For names of callers and actions.
[[nodiscard]] bool is_valid_config_name(std::string_view name);

/// Is it absolute, without "." or ".." or doubled slashes, so that it says what it names?
[[nodiscard]] bool is_plain_absolute_path(std::string_view path);

/// The longest that an action or a verification may be given.
inline constexpr Micros kLongestTimeout = 24h;

/// One text of a list, with its line.
struct Entry {
    std::string text;
    int line = 0;
};

/// Every getter gives nothing when the key is absent or wrong; what is wrong has then been noted. finish() must be
/// the last call.
class Table {
public:
    /// `name` as in the file, for messages: "daemon", "actions.flush_dns". A node that is not a table is noted.
    Table(const ConfigNode& node, std::string name, Findings& findings);

    enum class WhenEmpty { refuse, accept };

    [[nodiscard]] const ConfigNode* any(const std::string& key);
    [[nodiscard]] const ConfigNode* table(const std::string& key);
    [[nodiscard]] std::optional<std::string> text(const std::string& key);
    [[nodiscard]] std::optional<bool> boolean(const std::string& key);
    [[nodiscard]] std::optional<std::int64_t> integer(const std::string& key, std::int64_t least, std::int64_t most);
    [[nodiscard]] std::optional<Micros> duration(const std::string& key, Micros most);
    [[nodiscard]] std::optional<std::uint64_t> size(const std::string& key);
    [[nodiscard]] std::optional<std::string> absolute_path(const std::string& key);
    [[nodiscard]] std::optional<std::vector<Entry>> texts(const std::string& key, WhenEmpty when_empty);
    /// texts(), and the same entry twice is a mistake.
    [[nodiscard]] std::optional<std::vector<Entry>> distinct_texts(const std::string& key, WhenEmpty when_empty);
    /// A list that is not empty, of anything.
    [[nodiscard]] const std::vector<ConfigNode>* list(const std::string& key, std::string_view of_what);
    /// `rate_limit = { limit, window }`; what it leaves out is as in `otherwise`.
    [[nodiscard]] std::optional<policy::RateLimit> rate_limit(const std::string& key,
                                                              const policy::RateLimit& otherwise);

    /// Notes that a key which this table must not have is there, and why.
    void refuse(const std::string& key, const std::string& why);
    void problem(const std::string& key, const std::string& what);
    void warning(const std::string& key, const std::string& what);

    [[nodiscard]] bool has(const std::string& key) const { return node_->find(key) != nullptr; }
    /// The key's line, or that of the table.
    [[nodiscard]] int line(const std::string& key) const;
    [[nodiscard]] const std::string& name() const noexcept { return name_; }

    /// Notes every key that was not asked for.
    void finish();

private:
    const ConfigNode* typed(const std::string& key, ConfigNode::Kind kind, std::string_view example);
    std::optional<std::string> checked_text(const std::string& key, const ConfigNode& node);

    const ConfigNode* node_;
    std::string name_;
    Findings* findings_;
    std::vector<std::string> known_;
};

/// The members of `limit` and `window`, for [rate_limit] itself and for rate_limit of an action or a caller.
[[nodiscard]] policy::RateLimit read_rate_limit(Table& table, const policy::RateLimit& otherwise);

}  // namespace luminous_healing::executor
