#pragma once
// Patterns of the configuration. Each matches one whole value, never a part of one.

#include "base/expected.h"

#include <memory>
#include <string>
#include <string_view>

namespace luminous_healing::policy {

/// A POSIX extended regular expression (regex(7)) in the C locale, anchored at both ends.
class Pattern {
public:
    [[nodiscard]] static Expected<Pattern> compile(std::string_view expression);
    /// False for any text with a NUL, which regexec(3) would take for the end.
    [[nodiscard]] bool matches(std::string_view text) const;
    [[nodiscard]] const std::string& text() const noexcept { return text_; }
    /// Does everything that it matches begin with a '-' that is written there? Only then may a value begin with one.
    [[nodiscard]] bool allows_leading_dash() const noexcept { return leading_dash_; }

private:
    struct Compiled;
    std::string text_;
    bool leading_dash_ = false;
    std::shared_ptr<Compiled> compiled_;  // what regexec(3) remembers changes it
};

/// Shell-like glob with * ? [] over a whole name (fnmatch(3)); a backslash stands for itself, as unit names have them.
[[nodiscard]] bool glob_matches(const std::string& glob, std::string_view name);

/// Has it a character that makes it more than a literal name?
[[nodiscard]] bool is_wildcard(std::string_view glob);

}  // namespace luminous_healing::policy
