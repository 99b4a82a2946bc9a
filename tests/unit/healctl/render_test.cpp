#include "healctl/render.h"

#include "healctl/actions_table.h"

#include <doctest/doctest.h>

using namespace luminous_healing;
using namespace luminous_healing::healctl;
using protocol::Code;

namespace {

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

protocol::Response response_with(Code code) {
    protocol::Response response;
    response.request_id = "r1";
    response.code = code;
    response.success = code == Code::ok;
    response.duration_ms = 2100;
    return response;
}

}  // namespace

TEST_CASE("nested objects become dotted names and lists of plain values one cell") {
    const Rows rows = flatten_text(R"({"a":1,"b":{"c":"x","d":{"e":true}},"l":[1,"two",null],"o":[{"n":1},{"n":2}]})");
    const Rows expected{{"a", "1"}, {"b.c", "x"}, {"b.d.e", "yes"}, {"l", "1, two, -"}, {"o.1.n", "1"}, {"o.2.n", "2"}};
    CHECK(rows == expected);
}

TEST_CASE("values stand in one column") {
    CHECK(aligned({{"a", "1"}, {"long", "2"}}, Look{}) == "  a     1\n  long  2\n");
}

TEST_CASE("durations are said as a person would") {
    CHECK(spoken_duration(41) == "41 ms");
    CHECK(spoken_duration(2100) == "2.1 s");
    CHECK(spoken_duration(200'000) == "3 min 20 s");
}

TEST_CASE("a healed machine is reported with verdict duration and audit record") {
    auto response = response_with(Code::ok);
    response.verdict = protocol::Verdict::healed;
    response.audit_seq = 12;
    response.output = "nginx.service restarted";
    response.result = R"({"pid":7})";
    CHECK(render_answer(response, "restart_service", false, Look{}) ==
          "ok restart_service: healed (2.1 s, audit record 12)\n"
          "nginx.service restarted\n"
          "  pid  7\n");
    CHECK(render_problem(response, Look{}).empty());
}

TEST_CASE("a refusal says nothing on standard output and why and what to do on standard error") {
    auto response = response_with(Code::rate_limited);
    response.error = "\"restart_service\" is limited to 1 in 5min";
    response.retry_after_ms = 12'000;
    CHECK(render_answer(response, "restart_service", false, Look{}).empty());
    const std::string problem = render_problem(response, Look{});
    CHECK(contains(problem, "healctl: rate_limited: \"restart_service\" is limited"));
    CHECK(contains(problem, "ask again in 12.0 s"));
    CHECK(contains(problem, "wait, or raise the rate_limit"));
}

TEST_CASE("a refusal that gives no reason but its code says the code once") {
    auto response = response_with(Code::bad_signature);
    response.error = "bad_signature";
    CHECK(render_problem(response, Look{}).find("healctl: bad_signature\n  the key is not this caller's") == 0);
}

TEST_CASE("A20: an answer cannot drive the terminal that shows it") {
    auto response = response_with(Code::action_failed);
    response.output = "\x1b[2Jred\x07";
    response.error = "bad\x1b]0;title\x07\nfake line";
    response.result = R"({"na\u001b[31mme":"va\u001b[0mlue\nx"})";
    const std::string shown = render_answer(response, "x\x1b[1m", false, Look{}) + render_problem(response, Look{});
    CHECK(shown.find('\x1b') == std::string::npos);
    CHECK(shown.find('\x07') == std::string::npos);
    CHECK_FALSE(contains(shown, "\nfake line"));
}

TEST_CASE("colours and marks follow what the terminal can") {
    const Look plain{};
    const Look full{.is_terminal = true, .colours = true, .utf8 = true};
    CHECK(plain.mark(true) == "ok");
    CHECK(plain.mark(false) == "no");
    CHECK(full.mark(true) == "\033[32m✓\033[0m");
    CHECK(plain.paint(Tone::bad, "x") == "x");
}

TEST_CASE("the list of actions shows how each is written and what is left of its budget") {
    const auto table = render_actions(
        R"({"actions":[{"name":"kill_process","summary":"ends a process","allowed":true,"remaining":3,"limit":10,)"
        R"("window_ms":300000,"unavailable":null,"parameters":[{"name":"pid","type":"integer","required":true,)"
        R"("description":"which"},{"name":"signal","type":"string","required":false,"description":""}]},)"
        R"({"name":"flush","summary":"s","allowed":true,"remaining":0,"limit":1,"window_ms":1000,)"
        R"("unavailable":"no D-Bus","parameters":[]},{"name":"other","summary":"s","allowed":false}]})",
        Look{});
    REQUIRE(table);
    CHECK(contains(*table,
                   "kill_process pid=INTEGER [signal=STRING]\n    ends a process\n      pid: which\n    ok 3 of 10 "
                   "left in 5min\n"));
    CHECK(contains(*table, "no cannot work here: no D-Bus"));
    CHECK(contains(*table, "no not allowed to this caller"));
    CHECK_FALSE(render_actions(R"({"nothing":1})", Look{}));
}
