#include "policy/pattern.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <fstream>
#include <string>

using namespace luminous_healing::policy;

namespace {

bool matches(const char* expression, std::string_view text) {
    const auto pattern = Pattern::compile(expression);
    REQUIRE(pattern);
    return pattern->matches(text);
}

}  // namespace

TEST_CASE("a pattern matches the whole value and never a part") {
    CHECK(matches("[a-z]+", "abc"));
    for (const auto* const text : {"", "abc1", "1abc", "a b", "abc\n", "\nabc", "ABC"}) {
        CAPTURE(text);
        CHECK_FALSE(matches("[a-z]+", text));
    }
    CHECK_FALSE(matches("[a-z]+", std::string_view("abc\0", 4)));
    CHECK_FALSE(matches("[a-z]+", std::string_view("abc\0;x", 6)));
}

TEST_CASE("a back reference is refused: matching it can take longer than anybody waits") {
    for (const auto* const expression : {"(a*)\\1", "(a*)(a*)(a*)\\2\\3z", "\\9"}) {
        CAPTURE(expression);
        CHECK_FALSE(Pattern::compile(expression));
    }
    CHECK(matches("\\\\1", "\\1"));  // an escaped backslash and a digit
}

TEST_CASE("alternatives are anchored as one") {
    CHECK(matches("a|b", "a"));
    CHECK(matches("a|b", "b"));
    CHECK(matches("a|ab", "ab"));
    CHECK_FALSE(matches("a|b", "ax"));
    CHECK_FALSE(matches("a|b", "xb"));
}

TEST_CASE("a parenthesis that stands for itself is no group") {
    CHECK(matches("a\\)", "a)"));
    CHECK(matches("[)(]+", "()("));
    CHECK(matches("[])]", ")"));
    CHECK(matches("[^])]", "x"));
    CHECK(matches("[[:alpha:])]+", "a)"));
    CHECK(matches("[[.).]]", ")"));
    CHECK(matches("(a(b)c)", "abc"));
    CHECK_FALSE(Pattern::compile("[a])"));
    CHECK_FALSE(Pattern::compile("(a))(b"));
}

TEST_CASE("repetitions that multiply are refused before they take the memory") {
    for (const auto* const expression :
         {"(((a{1,200}){1,200}){1,20})", "((a{1,255}){1,255})", "(a{100}){100}", "(a{99,}){99,}",
          "((((((((((((((a+)+)+)+)+)+)+)+)+)+)+)+)+)+)", "([a-z]{1,80}x){1,80}", "[ -~]{1,4096}"}) {
        CAPTURE(expression);
        CHECK_FALSE(Pattern::compile(expression));
    }
    CHECK(matches("[ -~]{1,1000}", "abc"));
    CHECK(matches("([a-z0-9-]{1,63}\\.){1,10}[a-z]{2,63}", "www.example.org"));
    CHECK(matches("a{0}b", "b"));
    CHECK(matches("((a+)+)+", "aaa"));
}

TEST_CASE("what may be empty is not repeated: some such expressions are compiled for ever") {
    for (const auto* const expression :
         {"(a*)+++++", "(((((a*)+)+)+)+)+", "(a?){4000}", "(a*)*", "a*+", "a**", "(a|)+", "(a|b*c?)*", "()+", "(^|$)*",
          "a{0,3}{2}", "(a?)?", "a??", "((a?)(b*))*", "(\\b)*", "([a-z]*)*", "x(a{,2})+"}) {
        CAPTURE(expression);
        const auto pattern = Pattern::compile(expression);
        REQUIRE_FALSE(pattern);
        CHECK(pattern.error().message.find("may be empty") != std::string::npos);
    }
    CHECK(matches("(a+)*", ""));
    CHECK(matches("(a*b)+", "aabb"));
    CHECK(matches("([a-z]+(-[a-z]*)?,)*", "a-,bc,"));
    CHECK(matches("([*]\\*[?])+", "**?"));
    CHECK(matches("(a|bc*)*", "abcc"));
}

TEST_CASE("an expression is short and its groups are few in each other: regcomp is recursive") {
    const auto nested = [](std::size_t depth) { return std::string(depth, '(') + "a" + std::string(depth, ')'); };
    CHECK(Pattern::compile(nested(32)));
    CHECK_FALSE(Pattern::compile(nested(33)));
    CHECK(Pattern::compile(std::string(1000, 'a')));
    CHECK_FALSE(Pattern::compile(std::string(1001, 'a')));
}

TEST_CASE("a backslash of another dialect is refused: it would mean a letter or itself") {
    for (const auto* const expression : {"\\d+", "\\n", "\\x41", "\\pL", "\\0", "[^/\\s]+", "[^/\\n]+", "[\\w.-]+",
                                         "[\\.a]", "[\\-z]", "a[\\]x]b[\\d]", "[\\\\\\d]"}) {
        CAPTURE(expression);
        CHECK_FALSE(Pattern::compile(expression));
    }
    CHECK(matches("[a\\]+", "\\a"));
    CHECK(matches("[\\\\a]+", "\\a"));
    CHECK(matches("\\.\\[\\*\\-", ".[*-"));
    CHECK(matches("\\w+", "ab_1"));
}

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kFreedIsKept = true;
#elif defined(__has_feature)
constexpr bool kFreedIsKept = __has_feature(address_sanitizer);
#else
constexpr bool kFreedIsKept = false;
#endif

TEST_CASE("what a match remembers does not outlive a few kilobytes of values") {
    const auto pattern = Pattern::compile("[a-z0-9-]+-[a-z0-9-]{32}");
    REQUIRE(pattern);
    std::string value(200, '-');
    unsigned int state = 1;
    for (int i = 0; i < (kFreedIsKept ? 50 : 2000); ++i) {  // each is new to it: some 400 MB if all were remembered
        for (auto& c : value) c = (state = state * 1103515245U + 12345U) % 65536U < 32768U ? '-' : 'a';
        CHECK(pattern->matches(value) == (value[value.size() - 33] == '-'));
    }
    if (kFreedIsKept) return;  // by AddressSanitizer, so the memory says nothing
    std::ifstream statm("/proc/self/statm");
    std::size_t total = 0;
    std::size_t resident = 0;
    statm >> total >> resident;
    CHECK(resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)) < (200U << 20U));
}

TEST_CASE("braces that hold brackets and parentheses are refused, however they are counted") {
    for (const char* const expression : {"-{][2})x)|(b", "a{)}", "a{)})", "{[)}])", "(a{(})"})
        CHECK_FALSE(Pattern::compile(expression).has_value());
}

TEST_CASE("an expression that is none is refused") {
    for (const auto* const text : {"", "[", "(", "a{2,1}", "*(", ")", ")|", "a)|(b"}) {
        CAPTURE(text);
        CHECK_FALSE(Pattern::compile(text));
    }
    CHECK_FALSE(Pattern::compile(std::string_view("a\0b", 3)));
    CHECK_FALSE(Pattern().matches("a"));
    CHECK_FALSE(Pattern().matches(""));
}

TEST_CASE("only an expression that begins with a dash allows a leading dash") {
    CHECK(Pattern::compile("-[a-z]")->allows_leading_dash());
    CHECK(Pattern::compile("-(a|b)[|]")->allows_leading_dash());
    CHECK(Pattern::compile("-")->allows_leading_dash());
    for (const auto* const expression : {".*", "-a|[ -~]+", "-*[a-z]*", "-{0}[ -~]+", "-?a", "(-a)"})
        CHECK_FALSE(Pattern::compile(expression)->allows_leading_dash());
    CHECK_FALSE(Pattern::compile("[-a-z]*")->allows_leading_dash());
}

TEST_CASE("a glob matches one whole name and no slash") {
    CHECK(glob_matches("app-*.service", "app-x.service"));
    CHECK(glob_matches("app-*.service", "app-.service"));
    CHECK(glob_matches("app-?.service", "app-x.service"));
    CHECK(glob_matches("app-[xy].service", "app-y.service"));
    CHECK(glob_matches("foo\\x2dbar.service", "foo\\x2dbar.service"));
    CHECK_FALSE(glob_matches("app-*.service", "app-x.service.d"));
    CHECK_FALSE(glob_matches("app-*.service", "xapp-x.service"));
    CHECK_FALSE(glob_matches("app-*.service", "app-a/b.service"));
    CHECK_FALSE(glob_matches("foo\\-bar", "foo-bar"));
    CHECK_FALSE(glob_matches("*", std::string_view("a\0b", 3)));
    CHECK_FALSE(glob_matches("", "a"));
}

TEST_CASE("a wildcard is told from a literal name") {
    CHECK(is_wildcard("a*"));
    CHECK(is_wildcard("a?"));
    CHECK(is_wildcard("[a]"));
    CHECK_FALSE(is_wildcard("getty@tty1.service"));
    CHECK_FALSE(is_wildcard("foo\\x2dbar.service"));
}
