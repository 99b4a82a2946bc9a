#include "healctl/exit_status.h"

#include <doctest/doctest.h>

#include <map>

using namespace luminous_healing;
using healctl::exit_status_of;
using healctl::ExitStatus;
using protocol::Code;

TEST_CASE("every code has the exit status that the manual promises") {
    const std::map<std::string_view, int> promised{
        {"ok", 0},
        {"internal", 1},
        {"bad_request", 1},
        {"unknown_caller", 3},
        {"bad_signature", 3},
        {"stale", 3},
        {"id_reused", 3},
        {"peer_not_allowed", 3},
        {"action_unknown", 3},
        {"action_not_allowed", 3},
        {"parameters_invalid", 3},
        {"parameters_not_allowed", 3},
        {"rate_limited", 4},
        {"busy", 4},
        {"unavailable", 1},
        {"audit_unavailable", 1},
        {"shutting_down", 4},
        {"timeout", 8},
        {"cancelled", 8},
        {"action_failed", 5},
        {"not_healed", 6},
        {"interrupted", 7},
    };
    CHECK(promised.size() == 22);
    for (const auto& [name, status] : promised) {
        CAPTURE(name);
        CHECK(static_cast<int>(exit_status_of(*protocol::code_from_name(name))) == status);
    }
}

TEST_CASE("every refusal and failure comes with advice") {
    for (int i = 0; i <= static_cast<int>(Code::interrupted); ++i) {
        const auto code = static_cast<Code>(i);
        CAPTURE(protocol::name_of(code));
        CHECK(healctl::advice_for(code).empty() == (code == Code::ok));
    }
}

TEST_CASE("no answer in time is 8 and a lost connection is 7 and any other failure 1") {
    CHECK(exit_status_of(Error{"", ETIMEDOUT}) == ExitStatus::timed_out);
    CHECK(exit_status_of(Error{"", ECONNRESET}) == ExitStatus::pending);
    CHECK(exit_status_of(Error{"", ENOENT}) == ExitStatus::error);
    CHECK(exit_status_of(Error{"", 0}) == ExitStatus::error);
}
