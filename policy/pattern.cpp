#include "policy/pattern.h"

#include <fnmatch.h>
#include <regex.h>

#include <array>

namespace luminous_healing::policy {

struct Pattern::Compiled {
    regex_t regex{};
    Compiled() = default;
    Compiled(const Compiled&) = delete;
    Compiled& operator=(const Compiled&) = delete;
    ~Compiled() {
        if (ok) regfree(&regex);
    }
    bool ok = false;
};

namespace {

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

/// "a)|(b" would be an expression only between our anchors, and another one than was meant.
bool closes_what_it_has_not_opened(std::string_view expression) {
    std::size_t open = 0;
    for (std::size_t i = 0; i < expression.size();) {
        const char c = expression[i];
        if (c == ')' && open-- == 0) return true;
        if (c == '(') ++open;
        i = c == '[' ? after_brackets(expression, i) : i + (c == '\\' ? 2 : 1);
    }
    return false;
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
    if (closes_what_it_has_not_opened(expression))
        return fail("a pattern with a ) that has no (; write \\) for the sign");
    auto compiled = std::make_shared<Compiled>();
    const std::string anchored = "^(" + std::string(expression) + ")$";
    const int error = regcomp(&compiled->regex, anchored.c_str(), REG_EXTENDED);
    if (error != 0) {
        std::array<char, 128> why{};
        regerror(error, &compiled->regex, why.data(), why.size());
        return fail(std::string("not a POSIX extended regular expression: ") + why.data());
    }
    compiled->ok = true;
    Pattern pattern;
    pattern.text_ = expression;
    pattern.compiled_ = std::move(compiled);
    return pattern;
}

bool Pattern::matches(std::string_view text) const {
    if (compiled_ == nullptr || text.find('\0') != std::string_view::npos) return false;
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
