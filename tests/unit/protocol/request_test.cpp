#include "protocol/request.h"

#include <doctest/doctest.h>

using namespace luminous_healing;
using namespace luminous_healing::protocol;

namespace {

std::string request(const std::string& more = "", const std::string& id = "a1",
                    const std::string& timestamp = "2026-11-21T10:00:00Z") {
    return "{\"id\":\"" + id + R"(","action":"restart_service","parameters":{"service":"nginx"},"timestamp":")" +
           timestamp + "\"" + more + "}";
}

}  // namespace

TEST_CASE("a request is read with its defaults") {
    const auto read = parse_request(request());
    REQUIRE(read);
    CHECK(read->id.str() == "a1");
    CHECK(read->action.str() == "restart_service");
    REQUIRE(read->parameters.size() == 1);
    CHECK(read->parameters[0].value.text == "nginx");
    CHECK(read->timestamp.since_epoch == std::chrono::seconds(1'795'255'200));
    CHECK(read->mode == Mode::run);
    CHECK_FALSE(read->stream);
    CHECK_FALSE(read->deadline);
    CHECK_FALSE(read->audience);
    CHECK_FALSE(read->reason);
    CHECK_FALSE(read->legacy_v1);
}

TEST_CASE("a request without parameters has none") {
    const auto read = parse_request(R"({"id":"a","action":"status","timestamp":"2026-11-21T10:00:00Z"})");
    REQUIRE(read);
    CHECK(read->parameters.empty());
}

TEST_CASE("the optional members are read") {
    const auto read = parse_request(
        request(R"(,"mode":"plan","stream":true,"deadline_ms":1500,"audience":"host-1","reason":"disk is full")"));
    REQUIRE(read);
    CHECK(read->mode == Mode::plan);
    CHECK(read->stream);
    CHECK(read->deadline == std::chrono::milliseconds(1500));
    CHECK(read->audience == "host-1");
    CHECK(read->reason == "disk is full");
}

TEST_CASE("an optional member of the wrong type or size is refused") {
    for (const std::string more :
         {R"("mode":"PLAN")", R"("mode":"")", R"("mode":null)", R"("mode":1)", R"("stream":"true")", R"("stream":1)",
          R"("stream":null)", R"("deadline_ms":0)", R"("deadline_ms":-1)", R"("deadline_ms":"5")",
          R"("deadline_ms":1.0)", R"("deadline_ms":1e3)", R"("deadline_ms":86400001)",
          R"("deadline_ms":9223372036854775808)", R"("audience":1)", R"("audience":null)", R"("reason":[])",
          R"("reason":null)"}) {
        CAPTURE(more);
        CHECK_FALSE(parse_request(request("," + more)));
    }
    CHECK(parse_request(request(",\"reason\":\"" + std::string(512, 'r') + "\"")));
    CHECK_FALSE(parse_request(request(",\"reason\":\"" + std::string(513, 'r') + "\"")));
    CHECK(parse_request(request(",\"audience\":\"" + std::string(256, 'h') + "\"")));
    CHECK_FALSE(parse_request(request(",\"audience\":\"" + std::string(257, 'h') + "\"")));
    CHECK(parse_request(request(",\"deadline_ms\":86400000")));
}

TEST_CASE("an unknown or missing or mistyped member of a request is refused") {
    CHECK_FALSE(parse_request(request(R"(,"x":1)")));
    CHECK_FALSE(parse_request(request(R"(,"Mode":"plan")")));
    CHECK_FALSE(parse_request(request(R"(,"dry_run":true)")));
    for (const auto* const text : {"{}", R"({"action":"x","timestamp":"2026-11-21T10:00:00Z"})",
                                   R"({"id":"a","timestamp":"2026-11-21T10:00:00Z"})", R"({"id":"a","action":"x"})",
                                   R"({"id":1,"action":"x","timestamp":"2026-11-21T10:00:00Z"})",
                                   R"({"id":"a","action":null,"timestamp":"2026-11-21T10:00:00Z"})",
                                   R"({"id":"a","action":"","timestamp":"2026-11-21T10:00:00Z"})",
                                   R"({"id":"a","action":"x","timestamp":1795255200})",
                                   R"({"id":"a","action":"x","timestamp":"2026-11-21T10:00:00"})",
                                   R"({"id":"a","action":"x","timestamp":"now"})",
                                   R"({"id":"a","action":"x","timestamp":"2026-11-21T10:00:00Z","parameters":null})",
                                   R"({"id":"a","action":"x","timestamp":"2026-11-21T10:00:00Z","parameters":[]})",
                                   R"({"id":"a","action":"x","timestamp":"2026-11-21T10:00:00Z","parameters":"{}"})"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_request(text));
    }
    CHECK(parse_request(R"({"id":"a","action":")" + std::string(64, 'x') + R"(","timestamp":"2026-11-21T10:00:00Z"})"));
    CHECK_FALSE(
        parse_request(R"({"id":"a","action":")" + std::string(65, 'x') + R"(","timestamp":"2026-11-21T10:00:00Z"})"));
}

TEST_CASE("a request id is 1 to 128 of the allowed characters") {
    for (const std::string& id : {std::string("a"), std::string("A.z_0:9-"), std::string(128, 'x'), std::string("-")}) {
        CAPTURE(id);
        CHECK(is_valid_request_id(id));
    }
    for (const std::string& id :
         {std::string(), std::string(129, 'x'), std::string("a b"), std::string("a/b"), std::string("a\n"),
          std::string("a\0b", 3), std::string("\xc3\xa4"), std::string("a\""), std::string("a+"), std::string("a\\")}) {
        CAPTURE(id);
        CHECK_FALSE(is_valid_request_id(id));
    }
    CHECK_FALSE(parse_request(request("", "a\\u0000b")));
    CHECK_FALSE(parse_request(request("", "a b")));
}

TEST_CASE("a version 1 request is put together from its members") {
    const auto read = parse_request_v1("id-1", "adjust_swappiness", "2026-11-21T10:00:00.5", R"({"value":10})");
    REQUIRE(read);
    CHECK(read->legacy_v1);
    CHECK(read->mode == Mode::run);
    CHECK(read->parameters.at(0).value.text == "10");
    CHECK_FALSE(parse_request_v1("", "x", "2026-11-21T10:00:00", "{}"));
    CHECK_FALSE(parse_request_v1("a", "", "2026-11-21T10:00:00", "{}"));
    CHECK_FALSE(parse_request_v1("a", "x", "2026-11-21T10:00:00Z", "{}"));
    CHECK_FALSE(parse_request_v1("a", "x", "2026-11-21T10:00:00", "[]"));
    CHECK_FALSE(parse_request_v1("a:b:c d", "x", "2026-11-21T10:00:00", "{}"));
}

TEST_CASE("parameters are written anew compact and in the order sent") {
    const auto read = parse_request(
        R"({"id":"a","action":"x","timestamp":"2026-11-21T10:00:00Z","parameters":{ "z" : 1.0, "a":[ 1, "ä" ] }})");
    REQUIRE(read);
    CHECK(write_parameters(read->parameters) == R"({"z":1.0,"a":[1,"\u00E4"]})");
}

TEST_CASE("what a client drafts is what the daemon reads") {
    const RequestDraft draft{.id = "r-1",
                             .action = "kill_process",
                             .parameters_json = R"({"pid":7})",
                             .timestamp = "2026-11-21T10:00:00Z",
                             .plan = true,
                             .stream = true,
                             .reason = "why \xc3\xa4",
                             .audience = "host",
                             .deadline_ms = 250};
    const std::string bytes = write_request(draft);
    CHECK(bytes == R"({"id":"r-1","action":"kill_process","parameters":{"pid":7},"timestamp":"2026-11-21T10:00:00Z",)"
                   R"("mode":"plan","audience":"host","deadline_ms":250,"stream":true,"reason":"why \u00E4"})");
    const auto read = parse_request(bytes);
    REQUIRE(read);
    CHECK(read->mode == Mode::plan);
    CHECK(read->reason == "why \xc3\xa4");
    CHECK(write_envelope("c", std::string(64, '0'), "{}") ==
          R"({"v":2,"caller":"c","mac":")" + std::string(64, '0') + "\",\"request\":{}}\n");
}
