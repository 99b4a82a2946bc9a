#include "protocol/envelope.h"

#include <doctest/doctest.h>

#include <vector>

using namespace luminous_healing;
using namespace luminous_healing::protocol;

namespace {

const std::string kMac = "444156c5c9c6213c911821da7a07aab21e3a3131fc172b1811955459ba62c8e0";
const std::string kRequest = R"({ "id":"a1", "action":"status","parameters":{},"timestamp":"2026-11-21T10:00:00Z" })";

std::string frame(const std::string& caller, const std::string& mac, const std::string& request,
                  const std::string& version = "2") {
    return "{\"v\":" + version + ",\"caller\":" + caller + ",\"mac\":" + mac + ",\"request\":" + request + "}";
}
std::string quoted(const std::string& text) { return "\"" + text + "\""; }

std::string v1(const std::string& more = "", const std::string& signature = kMac) {
    return R"({"id":"a","action":"clear_system_cache","parameters":{},"timestamp":"2025-01-01T00:00:00","signature":")" +
           signature + "\"" + more + "}";
}

bool refused(const std::string& text) { return !parse_envelope(text).has_value(); }

}  // namespace

TEST_CASE("a version 2 envelope gives the exact bytes that were signed") {
    const auto envelope = parse_envelope(frame("\"self-healing\"", quoted(kMac), kRequest));
    REQUIRE(envelope);
    const auto* const v2 = std::get_if<EnvelopeV2>(&*envelope);
    REQUIRE(v2 != nullptr);
    CHECK(v2->caller == "self-healing");
    CHECK(v2->mac.hex() == kMac);
    CHECK(v2->request == kRequest);
}

TEST_CASE("the members of an envelope may come in any order and with white space") {
    const auto envelope = parse_envelope(" {\n\"request\" : " + kRequest + " , \"mac\" : \"" + kMac +
                                         "\",\"caller\":\"x\", \"v\" : 2 }\n");
    REQUIRE(envelope);
    CHECK(std::get<EnvelopeV2>(*envelope).request == kRequest);
}

TEST_CASE("an envelope that lacks a member or has one of the wrong type is refused") {
    const std::string caller = "\"c\"";
    const std::string mac = quoted(kMac);
    for (const auto* const version : {"1", "3", "2.0", "2e0", "\"2\"", "null", "[2]", "{}", "true", "-2", "02"}) {
        CAPTURE(version);
        CHECK(refused(frame(caller, mac, kRequest, version)));
    }
    for (const auto* const other : {"1", "null", "[]", "{}", "true", "[\"c\"]"}) {
        CAPTURE(other);
        CHECK(refused(frame(other, mac, kRequest)));
        CHECK(refused(frame(caller, other, kRequest)));
    }
    for (const auto* const other : {"1", "null", "[]", "\"{}\"", "true", "[{}]"}) {
        CAPTURE(other);
        CHECK(refused(frame(caller, mac, other)));
    }
    CHECK(refused("{\"v\":2,\"caller\":\"c\",\"mac\":" + mac + "}"));
    CHECK(refused("{\"v\":2,\"caller\":\"c\",\"request\":{}}"));
    CHECK(refused("{\"v\":2,\"mac\":" + mac + ",\"request\":{}}"));
    CHECK(refused("{\"caller\":\"c\",\"mac\":" + mac + ",\"request\":{}}"));
    CHECK(refused(frame(quoted(std::string(129, 'c')), mac, kRequest)));
    CHECK_FALSE(refused(frame(quoted(std::string(128, 'c')), mac, kRequest)));
}

TEST_CASE("an unknown member of an envelope is refused") {
    for (const auto* const more :
         {R"("x":1)", R"("V":2)", R"("id":"a")", R"("signature":"a")", R"("":1)", R"("v ":2)"}) {
        CAPTURE(more);
        std::string text = frame("\"c\"", quoted(kMac), kRequest);
        text.insert(text.size() - 1, std::string(",") + more);
        CHECK(refused(text));
    }
}

TEST_CASE("A12: a member that comes twice is refused in envelope and request and parameters") {
    const std::string good = frame("\"c\"", quoted(kMac), kRequest);
    for (const auto* const more : {R"(,"v":2)", R"(,"caller":"c")", R"(,"\u0063aller":"d")", R"(,"request":{})",
                                   R"(,"mac":"0")", R"(,"\u006dac":"0")"}) {
        CAPTURE(more);
        std::string text = good;
        text.insert(text.size() - 1, more);
        CHECK(refused(text));
    }
    CHECK(refused(frame("\"c\"", quoted(kMac), R"({"id":"a","id":"b"})")));
    CHECK(refused(frame("\"c\"", quoted(kMac), R"({"action":"x","\u0061ction":"y"})")));
    CHECK(refused(frame("\"c\"", quoted(kMac), R"({"parameters":{"pid":1,"pid":2}})")));
    CHECK(refused(frame("\"c\"", quoted(kMac), R"({"parameters":{"a":[{"b":1,"\u0062":2}]}})")));
}

TEST_CASE("A14: a MAC of any other shape is refused alike") {
    std::string upper = kMac;
    upper[4] = 'E';
    const std::vector<std::string> shapes{quoted(upper),
                                          quoted(kMac.substr(1)),
                                          quoted(kMac + "0"),
                                          quoted(""),
                                          quoted(kMac.substr(0, 63) + "g"),
                                          quoted(kMac.substr(0, 62) + "\\u00e4"),
                                          quoted(kMac.substr(0, 63) + "\\u0000")};
    std::string first;
    for (const auto& shape : shapes) {
        CAPTURE(shape);
        const auto envelope = parse_envelope(frame("\"c\"", shape, kRequest));
        REQUIRE_FALSE(envelope);
        if (first.empty()) first = envelope.error().message;
        CHECK(envelope.error().message == first);
    }
    for (const auto* const shape : {"null", "5", "[]", "{}", "true"}) CHECK(refused(frame("\"c\"", shape, kRequest)));
}

TEST_CASE("A13: hostile JSON in an envelope is refused and nothing crashes") {
    const std::string mac = quoted(kMac);
    for (const std::string value :
         {"NaN", "1e999", "\"\\ud800\"", "\"\xff\"", "\"\x01\"", "[1,]", "{\"a\":1,}", "tru"}) {
        CAPTURE(value);
        CHECK(refused(frame("\"c\"", mac, "{\"parameters\":{\"a\":" + value + "}}")));
    }
    CHECK(refused(frame("\"c\"", mac, kRequest) + "x"));
    CHECK(refused(frame("\"c\"", mac, kRequest) + frame("\"c\"", mac, kRequest)));
    CHECK(refused(""));
    CHECK(refused("{}"));
    CHECK(refused("[]"));
    std::string inner = "1";
    for (int depth = 0; depth < 30; ++depth) inner = "[" + inner + "]";
    CHECK_FALSE(refused(frame("\"c\"", mac, "{\"p\":" + inner + "}")));  // 32 deep with the two objects
    CHECK(refused(frame("\"c\"", mac, "{\"p\":[" + inner + "]}")));
}

TEST_CASE("A20: what an envelope is refused for is safe to print") {
    for (const std::string name : {"\\u001b[31m", "\\n{\\\"forged\\\":1}", "\\u202e", "\\u009b"}) {
        CAPTURE(name);
        for (const auto& text : {"{\"v\":2,\"" + name + "\":1}", "{\"" + name + "\":1}", v1(",\"" + name + "\":1")}) {
            const auto envelope = parse_envelope(text);
            REQUIRE_FALSE(envelope);
            CHECK(envelope.error().message.find_first_of("\x1b\n\x7f\xe2\xc2") == std::string::npos);
        }
    }
    const auto endless = parse_envelope("{\"v\":" + std::string(60'000, '1') + "}");
    REQUIRE_FALSE(endless);
    CHECK(endless.error().message.size() < 200);
    const auto long_name = parse_envelope("{\"v\":2,\"" + std::string(60'000, 'n') + "\":1}");
    REQUIRE_FALSE(long_name);
    CHECK(long_name.error().message.size() < 200);
}

TEST_CASE("a version 1 envelope has the five members of the prototype and no other") {
    const auto envelope = parse_envelope(v1());
    REQUIRE(envelope);
    const auto* const read = std::get_if<EnvelopeV1>(&*envelope);
    REQUIRE(read != nullptr);
    CHECK(read->id == "a");
    CHECK(read->action == "clear_system_cache");
    CHECK(read->timestamp == "2025-01-01T00:00:00");
    CHECK(read->parameters == "{}");
    CHECK(read->signature.hex() == kMac);
    CHECK(refused(v1(",\"x\":1")));
    CHECK(refused(v1(",\"id\":\"a\"")));
    CHECK(refused(v1("", kMac.substr(1))));
    CHECK(refused(R"({"id":"a","action":"clear_system_cache","parameters":{},"timestamp":"2025-01-01T00:00:00"})"));
    CHECK(refused(R"({"id":1,"action":"x","parameters":{},"timestamp":"t","signature":")" + kMac + "\"}"));
    CHECK(refused(R"({"id":"a","action":"x","parameters":[],"timestamp":"t","signature":")" + kMac + "\"}"));
}

TEST_CASE("liveness needs no signature and takes nothing else along") {
    const auto probe =
        parse_envelope(R"({"id":"test","action":"status","parameters":{},"timestamp":"2025-01-01T00:00:00"})");
    REQUIRE(probe);
    REQUIRE(std::get_if<LegacyProbe>(&*probe) != nullptr);
    CHECK(std::get<LegacyProbe>(*probe).id == "test");
    CHECK(std::holds_alternative<Ping>(*parse_envelope(R"({"type":"ping"})")));
    for (const auto* const text :
         {R"({"type":"pong"})", R"({"type":"ping","x":1})", R"({"type":1})",
          R"({"id":"test","action":"status","parameters":{"a":1},"timestamp":"t"})",
          R"({"id":"test","action":"statuS","parameters":{},"timestamp":"t"})",
          R"({"id":"test","action":"status","parameters":{},"timestamp":"t","signature":null})",
          R"({"id":"test","action":"status","timestamp":"t"})"}) {
        CAPTURE(text);
        CHECK(refused(text));
    }
    CHECK(refused(R"({"action":"status","parameters":{},"timestamp":"t","id":")" + std::string(129, 'i') + "\"}"));
}
