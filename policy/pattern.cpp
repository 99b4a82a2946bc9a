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

Expected<Pattern> Pattern::compile(std::string_view expression) {
    if (expression.empty()) return fail("an empty pattern");
    if (expression.find('\0') != std::string_view::npos) return fail("a pattern with a NUL");
    for (std::size_t i = 0; i + 1 < expression.size(); ++i) {
        if (expression[i] != '\\') continue;
        ++i;  // the escaped character, which may be a backslash itself
        // Matching one takes time without bound, and the daemon has one thread.
        if (expression[i] >= '1' && expression[i] <= '9') return fail("a pattern with a back reference");
    }
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
    // An expression such as "a)|(b" closes our group; only a match of everything counts.
    return whole.rm_so == 0 && static_cast<std::size_t>(whole.rm_eo) == text.size();
}

bool glob_matches(const std::string& glob, std::string_view name) {
    if (name.find('\0') != std::string_view::npos) return false;
    return fnmatch(glob.c_str(), std::string(name).c_str(), FNM_NOESCAPE | FNM_PATHNAME) == 0;
}

bool is_wildcard(std::string_view glob) { return glob.find_first_of("*?[") != std::string_view::npos; }

}  // namespace luminous_healing::policy
