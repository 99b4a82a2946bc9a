#include "policy/pattern.h"

#include "base/text.h"

#include <fnmatch.h>
#include <regex.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace luminous_healing::policy {

/// regexec(3) of glibc makes a state for each set of places that a value reaches, keeps it in the regex_t, and finds it
/// more slowly the more there are: "[a-z]*-[a-z]{32}" took half a megabyte for each value of 256 bytes. So it is
/// compiled anew after some text.
struct Pattern::Compiled {
    explicit Compiled(std::string expression) : anchored(std::move(expression)) {}
    Compiled(const Compiled&) = delete;
    Compiled& operator=(const Compiled&) = delete;
    ~Compiled() { drop(); }

    int compile() {
        drop();
        const int error = regcomp(&regex, anchored.c_str(), REG_EXTENDED);
        there = error == 0;
        matched = 0;
        return error;
    }
    void drop() {
        if (there) regfree(&regex);
        there = false;
    }

    std::string anchored;
    regex_t regex{};
    bool there = false;
    std::size_t matched = 0;  // bytes since it was compiled
};

namespace {

constexpr std::size_t kMaxBytes = 1000;    // of an expression
constexpr std::size_t kMaxSigns = 1000;    // when what is repeated is written out
constexpr std::size_t kMaxDepth = 32;      // of groups in groups: regcomp(3) is recursive
constexpr std::size_t kRenewAfter = 4096;  // bytes of values

/// Past the bracket expression that begins at `at`: in it every sign stands for itself, a first ] too.
std::size_t after_brackets(std::string_view expression, std::size_t at) {
    std::size_t i = at + 1;
    if (i < expression.size() && expression[i] == '^') ++i;
    if (i < expression.size() && expression[i] == ']') ++i;
    while (i < expression.size() && expression[i] != ']') {
        const bool named = expression[i] == '[' && i + 1 < expression.size() &&
                           std::string_view(".:=").find(expression[i + 1]) != std::string_view::npos;
        const auto end = named ? expression.find(std::string{expression[i + 1], ']'}, i + 2) : std::string_view::npos;
        i = end == std::string_view::npos ? i + 1 : end + 2;
    }
    return i + 1;
}

struct Shape {
    bool closes_what_it_has_not_opened = false;  ///< "a)|(b" would be an expression only between our anchors
    bool alternatives = false;                   ///< outside of any group
    std::size_t depth = 0;
};

Shape shape_of(std::string_view expression) {
    Shape shape;
    std::size_t open = 0;
    for (std::size_t i = 0; i < expression.size() && !shape.closes_what_it_has_not_opened;) {
        const char c = expression[i];
        if (c == ')' && open-- == 0) shape.closes_what_it_has_not_opened = true;
        if (c == '(') shape.depth = std::max(shape.depth, ++open);
        if (c == '|' && open == 0) shape.alternatives = true;
        i = c == '[' ? after_brackets(expression, i) : i + (c == '\\' ? 2 : 1);
    }
    return shape;
}

/// A backslash where POSIX has no meaning for it and other dialects have: "\d" is a d, and in "[^\n]" it is a sign.
bool has_backslash_of_another_dialect(std::string_view expression) {
    constexpr std::string_view kOfGlibc = "wWsSbB";
    for (std::size_t i = 0; i < expression.size();) {
        const std::size_t at = i;
        i = expression[at] == '[' ? after_brackets(expression, at) : at + (expression[at] == '\\' ? 2 : 1);
        if (expression[at] == '[') {
            const auto inside = expression.substr(at + 1, i - at - 2);
            for (auto j = inside.find('\\'); j < inside.size(); j = inside.find('\\', j + 2))  // two are one, twice
                if (j + 1 < inside.size() && inside[j + 1] != '\\') return true;
        } else if (expression[at] == '\\' && at + 1 < expression.size()) {
            const char c = expression[at + 1];
            const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '0';
            if (letter && kOfGlibc.find(c) == std::string_view::npos) return true;
        }
    }
    return false;
}

/// The highest number in the braces that begin at `at`, and where they end. "{2,}" is two and one that repeats.
std::pair<std::size_t, std::size_t> repetitions(std::string_view expression, std::size_t at) {
    const auto end = std::min(expression.find('}', at), expression.size() - 1);
    const auto inside = expression.substr(at + 1, end - at - 1);
    const auto comma = inside.find(',');
    const auto least = parse_integer<std::size_t>(inside.substr(0, comma)).value_or(0);
    if (comma == std::string_view::npos) return {least, end + 1};
    return {std::max(least + 1, parse_integer<std::size_t>(inside.substr(comma + 1)).value_or(0)), end + 1};
}

/// A part of an expression up to the bracket that ends it: which of it may match nothing?
struct Part {
    bool alternative = false;  ///< one that has ended with a |
    bool sequence = true;      ///< all of this one, but for `last`
    std::optional<bool> last;  ///< the sign or group before, which may yet be repeated

    void add(bool may_be_empty) {
        sequence = sequence && last.value_or(true);
        last = may_be_empty;
    }
    void end_alternative() {
        alternative = alternative || (sequence && last.value_or(true));
        sequence = true;
        last.reset();
    }
};

/// "(a*)+" says no more than "a*", and glibc's regcomp(3) takes time without bound for a few such in each other.
bool repeats_what_may_be_empty(std::string_view expression) {
    constexpr std::string_view kNothing = "bB<>`'";  // after a backslash: a place and no sign, in glibc
    std::vector<Part> parts(1);
    for (std::size_t i = 0; i < expression.size();) {
        const char c = expression[i];
        const std::size_t at = i;
        i = c == '[' ? after_brackets(expression, i) : i + (c == '\\' ? 2 : 1);
        if (c == '(') {
            parts.emplace_back();
        } else if (c == ')' && parts.size() > 1) {
            parts.back().end_alternative();
            const bool may_be_empty = parts.back().alternative;
            parts.pop_back();
            parts.back().add(may_be_empty);
        } else if (c == '|') {
            parts.back().end_alternative();
        } else if (parts.back().last && (c == '*' || c == '+' || c == '?' || c == '{')) {
            bool& last = *parts.back().last;
            if (last) return true;
            last = c == '*' || c == '?' || expression.substr(at, 2) == "{0" || expression.substr(at, 2) == "{,";
            if (c == '{') i = repetitions(expression, at).second;
        } else {
            const bool place =
                c == '\\' && at + 1 < expression.size() && kNothing.find(expression[at + 1]) != std::string_view::npos;
            parts.back().add(c == '^' || c == '$' || place);
        }
    }
    return false;
}

/// regcomp(3) of glibc copies what is repeated, and copies of copies for repetitions in repetitions: some kilobytes for
/// each sign in the end. How many there would be; no more than counted once there are too many.
std::size_t signs_when_compiled(std::string_view expression) {
    std::vector<std::size_t> groups{0};
    std::size_t last = 0;  // of the sign or group before
    for (std::size_t i = 0; i < expression.size() && last <= kMaxSigns && groups.back() <= kMaxSigns;) {
        const char c = expression[i];
        std::size_t times = c == '+' ? 2 : 1;
        std::size_t next = i + (c == '\\' ? 2 : 1);
        if (c == '[') next = after_brackets(expression, i);
        else if (c == '{') std::tie(times, next) = repetitions(expression, i);
        i = next;
        if (c == '(') {
            groups.push_back(0);
        } else if (c == ')' && groups.size() > 1) {  // else it is a sign in "{ )", which regcomp(3) refuses
            last = std::max<std::size_t>(groups.back(), 1);
            groups.pop_back();
            groups.back() += last;
        } else if (c == '{' || c == '+') {
            const std::size_t copies = last * (std::min(times, kMaxSigns + 1) - (times > 0 ? 1 : 0));
            groups.back() += copies;
            last += copies;
        } else if (c != '*' && c != '?') {
            last = 1;
            ++groups.back();
        }
    }
    return std::max(last, groups.back());
}

}  // namespace

Expected<Pattern> Pattern::compile(std::string_view expression) {
    if (expression.empty()) return fail("an empty pattern");
    if (expression.find('\0') != std::string_view::npos) return fail("a pattern with a NUL");
    for (std::size_t i = 0; i + 1 < expression.size(); ++i) {
        if (expression[i] != '\\') continue;
        ++i;  // the escaped character, which may be a backslash itself
        // Matching one takes time without bound, and the daemon has one thread.
        if (expression[i] >= '1' && expression[i] <= '9') return fail("a pattern with a back reference");
    }
    if (expression.size() > kMaxBytes)
        return fail("a pattern of more than " + std::to_string(kMaxBytes) + " bytes; list the values in allowed = []");
    const auto shape = shape_of(expression);
    if (shape.closes_what_it_has_not_opened) return fail("a pattern with a ) that has no (; write \\) for the sign");
    if (shape.depth > kMaxDepth)
        return fail("a pattern with more than " + std::to_string(kMaxDepth) + " groups in each other");
    if (has_backslash_of_another_dialect(expression))
        return fail(
            "a pattern with a backslash that means nothing here; write [0-9] for \\d, [[:space:]] for \\s in "
            "brackets, and a backslash in brackets last");
    if (repeats_what_may_be_empty(expression))
        return fail("a pattern that repeats what may be empty; write a* for (a*)+, and a{0,3} for (a?){3}");
    if (signs_when_compiled(expression) > kMaxSigns)
        return fail("a pattern whose repetitions multiply to more than " + std::to_string(kMaxSigns) +
                    " signs; bound the length by max_length instead");
    auto compiled = std::make_shared<Compiled>("^(" + std::string(expression) + ")$");
    if (const int error = compiled->compile(); error != 0) {
        std::array<char, 128> why{};
        regerror(error, &compiled->regex, why.data(), why.size());
        return fail(std::string("not a POSIX extended regular expression: ") + why.data());
    }
    Pattern pattern;
    pattern.text_ = expression;
    const bool repeated =
        expression.size() > 1 && std::string_view("*?{").find(expression[1]) != std::string_view::npos;
    pattern.leading_dash_ = expression[0] == '-' && !repeated && !shape.alternatives;
    pattern.compiled_ = std::move(compiled);
    return pattern;
}

bool Pattern::matches(std::string_view text) const {
    if (compiled_ == nullptr || text.find('\0') != std::string_view::npos) return false;
    if (compiled_->matched > kRenewAfter || !compiled_->there) (void)compiled_->compile();
    if (!compiled_->there) return false;  // there was no memory to compile it again
    compiled_->matched += text.size();
    regmatch_t whole{};
    const std::string value(text);
    if (regexec(&compiled_->regex, value.c_str(), 1, &whole, 0) != 0) return false;
    // Only a match of everything counts, whatever an expression does to our anchors.
    return whole.rm_so == 0 && static_cast<std::size_t>(whole.rm_eo) == text.size();
}

bool glob_matches(const std::string& glob, std::string_view name) {
    if (name.find('\0') != std::string_view::npos) return false;
    return fnmatch(glob.c_str(), std::string(name).c_str(), FNM_NOESCAPE | FNM_PATHNAME) == 0;
}

bool is_wildcard(std::string_view glob) { return glob.find_first_of("*?[") != std::string_view::npos; }

}  // namespace luminous_healing::policy
