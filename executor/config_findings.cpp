#include "executor/config_table.h"

#include "base/text.h"

#include <algorithm>
#include <numeric>

namespace luminous_healing::executor {
namespace {

constexpr std::size_t kShown = 80;  // bytes of a word of the file that a message repeats

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c == '-' ? '_' : c; }

/// Letters to insert, remove, replace or swap with their neighbour, without regard to case or - for _.
std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> before(b.size() + 1);
    std::vector<std::size_t> above(b.size() + 1);
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(above.begin(), above.end(), std::size_t{0});
    for (std::size_t i = 1; i <= a.size(); ++i) {
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const bool same = lower(a[i - 1]) == lower(b[j - 1]);
            row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (same ? 0U : 1U)});
            if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1]))
                row[j] = std::min(row[j], before[j - 2] + 1);
        }
        before.swap(above);
        above.swap(row);
    }
    return above[b.size()];
}

std::vector<std::string> in_order(const std::string& file, const std::multimap<int, std::string>& by_line) {
    std::vector<std::string> lines;
    for (const auto& [line, what] : by_line) lines.push_back(file + ":" + std::to_string(line) + ": " + what);
    return lines;
}

}  // namespace

void Findings::problem(int line, std::string what) { problems_.emplace(line, std::move(what)); }

void Findings::warning(int line, const std::string& what) { warnings_.emplace(line, what); }

std::vector<ConfigProblem> Findings::take_problems() {
    std::vector<ConfigProblem> result;
    for (auto& [line, what] : problems_) result.push_back({where(line), std::move(what)});
    problems_.clear();
    return result;
}

std::vector<std::string> Findings::take_warnings() { return in_order(file_, warnings_); }

std::string did_you_mean(std::string_view written, const std::vector<std::string>& known) {
    std::size_t best = std::max<std::size_t>(written.size() / 3, 1) + 1;
    const std::string* nearest = nullptr;
    if (written.size() > kShown) return {};
    for (const auto& word : known) {
        const auto distance = edit_distance(written, word);
        if (distance >= best) continue;
        best = distance;
        nearest = &word;
    }
    return nearest != nullptr ? " (did you mean \"" + *nearest + "\"?)" : std::string();
}

std::string joined(const std::vector<std::string>& words) {
    std::string text;
    for (const auto& word : words) text += (text.empty() ? "" : ", ") + word;
    return text;
}

std::string quoted(std::string_view text) { return "\"" + printable_line(text, kShown) + "\""; }

bool is_valid_config_name(std::string_view name) {
    const auto letter_or_digit = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    };
    return !name.empty() && name.size() <= 64 && letter_or_digit(name[0]) &&
           std::all_of(name.begin(), name.end(),
                       [&](char c) { return letter_or_digit(c) || c == '.' || c == '_' || c == '-'; });
}

bool is_plain_absolute_path(std::string_view path) {
    if (path.empty() || path[0] != '/') return false;
    if (path == "/") return true;
    while (!path.empty()) {
        const auto part = path.substr(1, path.find('/', 1) - 1);
        if (part.empty() || part == "." || part == "..") return false;
        path.remove_prefix(part.size() + 1);
    }
    return true;
}

}  // namespace luminous_healing::executor
