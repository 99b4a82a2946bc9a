#include "protocol/code.h"

#include <doctest/doctest.h>

#include <string>

using namespace luminous_healing::protocol;

TEST_CASE("every code has the name of the protocol page and is found by it again") {
    const char* const names[] = {"ok",
                                 "bad_request",
                                 "unknown_caller",
                                 "bad_signature",
                                 "stale",
                                 "id_reused",
                                 "peer_not_allowed",
                                 "action_unknown",
                                 "action_not_allowed",
                                 "parameters_invalid",
                                 "parameters_not_allowed",
                                 "rate_limited",
                                 "busy",
                                 "unavailable",
                                 "audit_unavailable",
                                 "shutting_down",
                                 "timeout",
                                 "cancelled",
                                 "action_failed",
                                 "not_healed",
                                 "interrupted",
                                 "internal"};
    for (const auto* const name : names) {
        CAPTURE(name);
        const auto code = code_from_name(name);
        REQUIRE(code);
        CHECK(name_of(*code) == name);
    }
    CHECK(std::size(names) == static_cast<std::size_t>(Code::interrupted) + 1);
    CHECK_FALSE(code_from_name("OK"));
    CHECK_FALSE(code_from_name(""));
    CHECK_FALSE(code_from_name("okay"));
}

TEST_CASE("a code that nobody set is an error") {
    CHECK(Code{} == Code::internal);
    CHECK(name_of(Code{}) == "internal");
}

TEST_CASE("every verdict has its name") {
    CHECK(name_of(Verdict::healed) == "healed");
    CHECK(name_of(Verdict::unchanged) == "unchanged");
    CHECK(name_of(Verdict::worse) == "worse");
    CHECK(name_of(Verdict::unverifiable) == "unverifiable");
    CHECK(verdict_from_name("worse") == Verdict::worse);
    CHECK_FALSE(verdict_from_name("null"));
}

TEST_CASE("only three codes are given to somebody who proved no key") {
    int unauthenticated = 0;
    for (int i = 0; i <= static_cast<int>(Code::interrupted); ++i)
        unauthenticated += is_unauthenticated(Code(i)) ? 1 : 0;
    CHECK(unauthenticated == 3);
    CHECK(is_unauthenticated(Code::bad_request));
    CHECK(is_unauthenticated(Code::bad_signature));
    CHECK(is_unauthenticated(Code::unknown_caller));
}
