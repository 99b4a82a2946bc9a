#include "protocol/response.h"

#include "protocol/limits.h"

#include <doctest/doctest.h>

using namespace luminous_healing;
using namespace luminous_healing::protocol;

namespace {

MacKey make_key(const char* text = "0123456789abcdef0123456789abcdef") {
    auto key = MacKey::create(text);
    REQUIRE(key);
    return std::move(*key);
}

const std::string kRequestMac(64, 'a');

Response healed() {
    Response r;
    r.request_id = "9f1c";
    r.success = true;
    r.output = "done";
    r.duration_ms = 41;
    r.code = Code::ok;
    r.verdict = Verdict::healed;
    r.audit_seq = 1234;
    return r;
}

}  // namespace

TEST_CASE("the members of a response stand in the order of the protocol byte for byte") {
    CHECK(write_response(healed()) ==
          R"({"request_id":"9f1c","success":true,"output":"done","error":null,"duration_ms":41,"code":"ok",)"
          R"("verdict":"healed","audit_seq":1234,"retry_after_ms":null})");
    Response r = healed();
    r.output_truncated = true;
    r.result = R"({"old":1})";
    r.replayed = true;
    r.retry_after_ms = 5;
    r.verdict.reset();
    r.error = "why \"this\"";
    CHECK(
        write_response(r) ==
        R"({"request_id":"9f1c","success":true,"output":"done","error":"why \"this\"","duration_ms":41,"code":"ok",)"
        R"("verdict":null,"audit_seq":1234,"retry_after_ms":5,"output_truncated":true,"result":{"old":1},"replayed":true})");
}

TEST_CASE("a response nobody filled is a failure") {
    CHECK(write_response({}) == R"({"request_id":"","success":false,"output":"","error":null,"duration_ms":0,)"
                                R"("code":"internal","verdict":null,"audit_seq":null,"retry_after_ms":null})");
}

TEST_CASE("a frame carries the MAC over the exact response bytes or null") {
    const auto key = make_key();
    const std::string bytes = write_response(healed());
    CHECK(frame_response(bytes, &key, kRequestMac) ==
          "{\"v\":2,\"mac\":\"" + response_mac(key, kRequestMac, bytes).hex() + "\",\"response\":" + bytes + "}\n");
    CHECK(frame_response(bytes, nullptr, "") == "{\"v\":2,\"mac\":null,\"response\":" + bytes + "}\n");
}

TEST_CASE("a client reads back what the daemon wrote") {
    const auto key = make_key();
    Response r = healed();
    r.result = R"({"old":1})";
    r.output = "line\nbreak \xc3\xa4";
    r.error = "e";
    r.retry_after_ms = 7;
    r.output_truncated = true;
    const auto received = read_received(frame_response(write_response(r), &key, kRequestMac), key, kRequestMac);
    REQUIRE(received);
    CHECK(received->authenticated);
    CHECK(received->raw_value == write_response(r));
    REQUIRE(received->response);
    CHECK(write_response(*received->response) == write_response(r));
    CHECK(received->response->output == r.output);
}

TEST_CASE("a response with a wrong MAC or for another request or from another key is refused") {
    const auto key = make_key();
    const auto other = make_key("ffffffffffffffffffffffffffffffff");
    const std::string bytes = write_response(healed());
    std::string frame = frame_response(bytes, &key, kRequestMac);
    CHECK(read_received(frame, key, kRequestMac));
    CHECK_FALSE(read_received(frame, other, kRequestMac));
    CHECK_FALSE(read_received(frame, key, std::string(64, 'b')));
    for (std::size_t i = frame.find("request_id"); i < frame.size() - 1; ++i) {
        std::string changed = frame;
        changed[i] = changed[i] == '1' ? '2' : '1';
        CAPTURE(changed);
        CHECK_FALSE(read_received(changed, key, kRequestMac));
    }
}

TEST_CASE("a response without a MAC is taken only for what needs no key") {
    const auto key = make_key();
    for (int i = 0; i <= static_cast<int>(Code::interrupted); ++i) {
        Response r = healed();
        r.code = static_cast<Code>(i);
        CAPTURE(name_of(r.code));
        const bool allowed = r.code == Code::bad_request || r.code == Code::bad_signature ||
                             r.code == Code::unknown_caller || r.code == Code::busy;
        const auto received = read_received(frame_response(write_response(r), nullptr, ""), key, kRequestMac);
        CHECK(received.has_value() == allowed);
        if (received) CHECK_FALSE(received->authenticated);
    }
}

TEST_CASE("an answer of any other shape is refused") {
    const auto key = make_key();
    for (const auto* const text : {"", "{}", "[]", R"({"v":2,"mac":null})", R"({"v":2,"mac":null,"response":[]})",
                                   R"({"v":2,"mac":null,"response":{"request_id":"a","code":"bad_request"},"x":1})",
                                   R"({"v":1,"mac":null,"response":{"request_id":"a","code":"bad_request"}})",
                                   R"({"v":"2","mac":null,"response":{"request_id":"a","code":"bad_request"}})",
                                   R"({"mac":null,"response":{"request_id":"a","code":"bad_request"},"event":{}})",
                                   R"({"v":2,"mac":5,"response":{"request_id":"a","code":"ok"}})",
                                   R"({"v":2,"mac":null,"response":{"request_id":"a","code":"unheard_of"}})",
                                   R"({"v":2,"mac":null,"response":{"code":"bad_request"}})"}) {
        CAPTURE(text);
        CHECK_FALSE(read_received(text, key, kRequestMac));
    }
    CHECK(read_received(R"({"v":2,"mac":null,"response":{"request_id":"a","code":"bad_request"}})", key, kRequestMac));
}

TEST_CASE("a response cannot pass for an event nor an event for a response") {
    const auto key = make_key();
    const std::string bytes = write_response(healed());
    const std::string mac = event_mac(key, kRequestMac, bytes).hex();
    CHECK_FALSE(read_received("{\"v\":2,\"mac\":\"" + mac + "\",\"response\":" + bytes + "}", key, kRequestMac));
    CHECK_FALSE(read_received(
        R"({"v":2,"mac":null,"event":{"request_id":"a","sequence":1,"kind":"progress","text":""}})", key, kRequestMac));
}

TEST_CASE("an event is read back with its MAC and its order") {
    const auto key = make_key();
    const Event event{"9f1c", 3, EventKind::output, "text\n"};
    const std::string frame = frame_event(event, key, kRequestMac);
    CHECK(frame.find(R"("event":{"request_id":"9f1c","sequence":3,"kind":"output","text":"text\n"}})") !=
          std::string::npos);
    const auto received = read_received(frame, key, kRequestMac);
    REQUIRE(received);
    REQUIRE(received->event);
    CHECK_FALSE(received->response);
    CHECK(received->event->kind == EventKind::output);
    CHECK(received->event->sequence == 3);
    CHECK(received->event->text == "text\n");
    CHECK_FALSE(read_received(frame, key, std::string(64, 'b')));
}

TEST_CASE("a repeated answer is the recorded one with a mark at its end") {
    const std::string bytes = write_response(healed());
    Response r = healed();
    r.replayed = true;
    CHECK(mark_replayed(bytes) == write_response(r));
}

TEST_CASE("a version 1 response has exactly five members") {
    CHECK(write_response_v1(healed(), "x") ==
          R"({"request_id":"9f1c","success":true,"output":"done","error":null,"duration_ms":41})");
    Response r = healed();
    r.result = R"({"a":1})";
    r.output_truncated = true;
    r.replayed = true;
    CHECK(read_json_object(write_response_v1(r, "x"), kMaxFrame)->members.size() == 5);
}

TEST_CASE("a version 1 refusal has the words of the prototype") {
    const auto refusal = [](Code code) {
        Response r;
        r.request_id = "7";
        r.code = code;
        r.error = "ours";
        return write_response_v1(r, "fly");
    };
    CHECK(refusal(Code::bad_request) ==
          R"({"request_id":"unknown","success":false,"output":"","error":"Invalid request format","duration_ms":0})");
    CHECK(refusal(Code::bad_signature)
              .find(R"("request_id":"7","success":false,"output":"","error":"Invalid signature")") !=
          std::string::npos);
    CHECK(refusal(Code::unknown_caller).find("\"Invalid signature\"") != std::string::npos);
    CHECK(refusal(Code::action_not_allowed).find("\"Action fly not allowed\"") != std::string::npos);
    CHECK(refusal(Code::action_unknown).find("\"Action fly not allowed\"") != std::string::npos);
    CHECK(refusal(Code::rate_limited).find("\"Rate limit exceeded\"") != std::string::npos);
    CHECK(refusal(Code::stale).find("\"ours\"") != std::string::npos);
}

TEST_CASE("A38: the largest answer fits into one frame whatever its characters are") {
    const auto key = make_key();
    Response r = healed();
    r.request_id = std::string(kMaxIdLength, 'i');
    const auto of_umlauts = [](std::size_t bytes) {  // escaping makes six bytes of two: nothing printable grows more
        std::string text;
        while (text.size() < bytes) text += "\xc3\xa4";
        return text;
    };
    r.output = of_umlauts(kMaxOutput);
    r.error = of_umlauts(kMaxError);
    r.result = "{\"a\":\"" + std::string(kMaxResult - 8, 'r') + "\"}";
    CHECK(frame_response(write_response(r), &key, kRequestMac).size() <= kMaxFrame);
}
