// Unit names, globs and patterns. Lines: a name, then entries of a policy; the name against a second reading of
// systemd.unit(5), the glob against a matcher of its own.

#include "policy/pattern.h"
#include "policy/unit_name.h"
#include "tests/fuzz/support.h"

#include <algorithm>
#include <optional>
#include <string>

using namespace luminous_healing;
using namespace luminous_healing::fuzz;
using namespace luminous_healing::policy;

namespace {

constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
const std::string kStem = std::string(kLetters) + "0123456789:-_.\\@";

/// The part before the type's suffix, or nothing when it has none of systemd's eleven.
std::optional<std::string_view> stem_of(std::string_view name) {
    for (const std::string_view type : {".service", ".socket", ".device", ".mount", ".automount", ".swap", ".target",
                                        ".path", ".timer", ".slice", ".scope"}) {
        if (name.ends_with(type)) return name.substr(0, name.size() - type.size());
    }
    return {};
}

/// systemd.unit(5): "a unit name prefix … of one or more valid characters (ASCII letters, digits, ":", "-", "_", ".",
/// and "\")", an instance between "@" and the suffix, 255 characters in all. An "@" does not begin a name.
bool is_unit_name(std::string_view name) {
    const auto stem = stem_of(name);
    if (stem && stem->find('@') != std::string_view::npos &&
        !(name.ends_with(".service") || name.ends_with(".socket") || name.ends_with(".target") ||
          name.ends_with(".timer") || name.ends_with(".path")))
        return false;  // seen on a running systemd, not in its manual
    return stem && name.size() <= 255 && !stem->empty() && stem->front() != '@' &&
           stem->find_first_not_of(kStem) == std::string_view::npos;
}

bool is_template(std::string_view name) {
    const auto at = name.find('@');
    return at != std::string_view::npos && at + 1 == name.rfind('.');
}

/// fnmatch(3) for patterns without brackets: '*' and '?' match anything but '/'.
bool matches_simply(std::string_view glob, std::string_view name) {
    std::size_t g = 0;
    std::size_t n = 0;
    std::size_t star = std::string_view::npos;
    std::size_t resume = 0;
    while (n < name.size()) {
        if (g < glob.size() && glob[g] == '*') {
            star = g++;
            resume = n;
        } else if (g < glob.size() && (glob[g] == name[n] || (glob[g] == '?' && name[n] != '/'))) {
            ++g;
            ++n;
        } else if (star != std::string_view::npos && name[resume] != '/') {
            g = star + 1;
            n = ++resume;
        } else {
            return false;
        }
    }
    while (g < glob.size() && glob[g] == '*') ++g;
    return g == glob.size();
}

bool is_ascii(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

void check_name(std::string_view written) {
    must(is_valid_unit_name(written) == is_unit_name(written), "a name is valid when systemd.unit(5) says so");
    const auto full = normalise_unit_name(written);
    const std::string expected = stem_of(written) ? std::string(written) : std::string(written) + ".service";
    const bool good = is_unit_name(expected) && written.front() != '-' && !is_template(expected);
    must(full.has_value() == good, "a caller's name is accepted exactly when systemd would have such an instance");
    if (!full) return;
    must(*full == expected, "and only .service is ever added");
    must(normalise_unit_name(*full) == *full, "a full name is its own full name");
}

void check_glob(const std::string& glob, std::string_view name) {
    const bool matched = glob_matches(glob, name);
    const bool plain = !is_wildcard(glob) && name.find('\0') == std::string_view::npos;
    if (plain && glob.find('\0') == std::string::npos)
        must(matched == (glob == name), "an entry without wildcards matches its own text only");
    if (glob.find('[') == std::string::npos && glob.find('\0') == std::string::npos && is_ascii(glob) &&
        is_ascii(name) && name.find('\0') == std::string_view::npos)
        must(matched == matches_simply(glob, name), "* and ? match what fnmatch(3) says");
}

void check_access(std::string_view name, const std::vector<std::string>& entries) {
    const auto access = check_unit(name, entries, default_protected_units());
    const bool listed = std::find(entries.begin(), entries.end(), name) != entries.end();
    if (access == UnitAccess::allowed) {
        must(is_unit_name(name), "what is no unit name is never allowed");
        must(!name.starts_with("luminous-healing.") && !name.starts_with("luminous-healing-"),
             "no entry reaches our own units");
        const auto& guarded = default_protected_units();
        must(listed || std::none_of(guarded.begin(), guarded.end(),
                                    [&](const std::string& glob) { return matches_simply(glob, name); }),
             "a wildcard does not reach a protected unit");
        must(!entries.empty(), "an empty list allows nothing");
    }
    must(check_unit(name, {}, {}) != UnitAccess::allowed, "an empty list allows nothing, whatever is protected");
    auto fewer = entries;
    if (!fewer.empty()) fewer.pop_back();
    if (access != UnitAccess::allowed)
        must(check_unit(name, fewer, default_protected_units()) != UnitAccess::allowed, "fewer entries allow no more");
}

void check_pattern(std::string_view expression, std::string_view value) {
    // What an administrator writes is no attack on himself: nested repetitions need memory without bound in regcomp(3).
    if (expression.size() > 24 || std::count(expression.begin(), expression.end(), '{') > 1) return;
    const auto pattern = Pattern::compile(expression);
    if (!pattern) return;
    must(pattern->text() == expression, "a pattern keeps its text");
    const bool matched = pattern->matches(value);
    must(!matched || value.find('\0') == std::string_view::npos, "a value with a NUL matches nothing");
    if (expression.find_first_of("\\^$.[]|()?*+{}") == std::string_view::npos)
        must(matched == (expression == value), "a pattern without operators matches its own text only");
    // Anchored at both ends: a match stays one in a group, and is none with a line before or after it.
    const auto grouped = Pattern::compile("(" + std::string(expression) + ")");
    if (matched && grouped) must(grouped->matches(value), "a group changes nothing");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    auto lines = lines_of(text_of(data, size));
    if (lines.empty()) return 0;
    const auto name = lines.front();
    const std::vector<std::string> entries(lines.begin() + 1, lines.end());
    if (!name.empty()) check_name(name);
    check_access(name, entries);
    const auto full = normalise_unit_name(name);
    if (full) check_access(*full, entries);
    for (const auto& entry : entries) {
        check_glob(entry, name);
        check_pattern(entry, name);
    }
    return 0;
}
