#include "audit/record.h"

#include "audit/chain.h"
#include "protocol/json_reader.h"
#include "protocol/limits.h"

#include <doctest/doctest.h>

using namespace luminous_healing;
using namespace luminous_healing::audit;

namespace {

const Stamp kStamp{{WallTime{Micros(1'790'000'000'123'456)}, BootTime{Micros(77)}}, 12, "boot", "host", "cfg"};

StoredRecord round_trip(const Record& record) {
    const auto read = read_record(chained_line(write_record(record, kStamp), kGenesis));
    if (!read) FAIL(read.error().message);
    return *read;
}

Record full_record() {
    Record r;
    r.event = EventType::outcome;
    r.request_id = "id-1";
    r.action = "set_limit";
    r.parameters = R"({"a":[1,2.50,"x"],"b":null})";
    r.success = false;
    r.duration_ms = 250;
    r.error = "it failed";
    r.allowed = true;
    r.code = protocol::Code::action_failed;
    r.rule = "config.toml:12";
    r.caller = "monitor";
    r.peer = PeerFields{998, 997, 4242, "/usr/bin/monitor", "monitor.service"};
    r.mode = "run";
    r.verdict = protocol::Verdict::unchanged;
    r.result = R"({"freed":0})";
    r.reason = "because";
    r.output = "two\nlines";
    r.count = 3;
    r.detail = R"({"d":true})";
    r.request_mac = "ab12";
    return r;
}

}  // namespace

TEST_CASE("a record with every member is read back as it was written") {
    const Record in = full_record();
    const StoredRecord out = round_trip(in);
    CHECK(out.record.event == in.event);
    CHECK(out.record.request_id == in.request_id);
    CHECK(out.record.action == in.action);
    CHECK(out.record.parameters == in.parameters);
    CHECK(out.record.success == in.success);
    CHECK(out.record.duration_ms == in.duration_ms);
    CHECK(out.record.error == in.error);
    CHECK(out.record.allowed == in.allowed);
    CHECK(out.record.code == in.code);
    CHECK(out.record.rule == in.rule);
    CHECK(out.record.caller == in.caller);
    REQUIRE(out.record.peer);
    CHECK(out.record.peer->uid == 998);
    CHECK(out.record.peer->gid == 997);
    CHECK(out.record.peer->pid == 4242);
    CHECK(out.record.peer->exe == in.peer->exe);
    CHECK(out.record.peer->unit == in.peer->unit);
    CHECK(out.record.mode == in.mode);
    CHECK(out.record.verdict == in.verdict);
    CHECK(out.record.result == in.result);
    CHECK(out.record.reason == in.reason);
    CHECK(out.record.output == in.output);
    CHECK(out.record.count == in.count);
    CHECK(out.record.detail == in.detail);
    CHECK(out.record.request_mac == in.request_mac);
    CHECK(out.timestamp == kStamp.now.wall);
    CHECK(out.seq == 12);
    CHECK(out.boot_id == "boot");
    CHECK(out.boottime == kStamp.now.boot);
    CHECK(out.host == "host");
    CHECK(out.config == "cfg");
    CHECK(out.chain == kGenesis);
}

TEST_CASE("members stand in the documented order and the seven of the prototype are always there") {
    CHECK(write_record(Record{}, kStamp) ==
          R"({"timestamp":"2026-09-21T14:13:20.123456Z","seq":12,"event":"decision","request_id":null,"action":null,)"
          R"("parameters":{},"success":null,"duration_ms":null,"error":null,"boot_id":"boot","boottime_us":77,)"
          R"("host":"host","config":"cfg"})");
    const std::string full = write_record(full_record(), kStamp);
    std::size_t last = 0;
    for (const char* name :
         {"timestamp", "seq",   "event",  "request_id",  "action",  "parameters",  "success", "duration_ms", "error",
          "decision",  "code",  "rule",   "caller",      "peer",    "mode",        "verdict", "result",      "reason",
          "output",    "count", "detail", "request_mac", "boot_id", "boottime_us", "host",    "config"}) {
        const auto place = full.find("\"" + std::string(name) + "\":");
        CHECK_MESSAGE(place != std::string::npos, name);
        CHECK_MESSAGE(place > last, name);
        last = place;
    }
}

TEST_CASE("no value can forge a line or drive a terminal") {
    const std::string hostile =
        "a\nb\x1b[31m\xC2\x9B"
        "c\x7F\xE2\x80\xAE\xE2\x81\xA6\xFF\xC0\xAF\r\x01z\xE2\x80\xA8";
    Record r = full_record();
    r.request_id = r.action = r.caller = r.error = r.reason = r.output = r.mode = hostile;
    r.rule = r.request_mac = hostile;
    r.peer = PeerFields{1, 1, 1, hostile, hostile};
    const std::string line = write_record(r, {kStamp.now, 1, hostile, hostile, hostile});
    for (const char c : line) CHECK_MESSAGE((c >= 0x20 && c <= 0x7E), static_cast<int>(c));
    const auto read = read_record(chained_line(line, kGenesis));
    REQUIRE(read);
    for (const std::string& text : {*read->record.action, *read->record.output, read->host, read->record.peer->exe}) {
        CHECK(text.find('\x1b') == std::string::npos);
        CHECK(text.find('\x7F') == std::string::npos);
        CHECK(text.find("\xC2\x9B") == std::string::npos);
        CHECK(text.find("\xE2\x80\xAE") == std::string::npos);
    }
    CHECK(read->record.action->find('\n') == std::string::npos);
    CHECK(read->record.output->find('\n') != std::string::npos);
}

TEST_CASE("a record of exactly the largest size is kept whole and one byte more is digested") {
    const auto with_length = [](std::size_t bytes) {
        Record r;
        r.parameters = R"({"x":")" + std::string(bytes, 'v') + "\"}";
        return r;
    };
    const auto line_of = [](const Record& r) { return chained_line(write_record(r, kStamp), kGenesis) + "\n"; };
    const std::size_t most = kMaxLine - line_of(with_length(0)).size();
    const Record largest = with_length(most);
    CHECK(line_of(largest).size() == kMaxLine);
    CHECK(round_trip(largest).record.parameters == largest.parameters);
    CHECK(round_trip(with_length(most + 1)).record.parameters.starts_with(R"({"truncated":true,"bytes":)"));
}

TEST_CASE("whatever a record holds it can be read back") {
    Record r = full_record();
    for (auto* member : {&r.request_id, &r.action, &r.caller, &r.error, &r.reason, &r.output, &r.mode})
        *member = std::string(100'000, '"') + std::string(100'000, '\xFF');
    std::string wide;
    for (int i = 0; i < 100'000; ++i) wide += "\xC3\xA9";
    r.output = r.error = r.reason = wide;
    r.rule = r.request_mac = wide;
    r.peer = PeerFields{1, 1, 1, wide, wide};
    r.parameters = R"({"p":")" + std::string(120'000, 'p') + "\"}";
    r.result = R"({"r":")" + std::string(120'000, 'r') + "\"}";
    r.detail = R"({"d":")" + std::string(500'000, 'd') + "\"}";
    const StoredRecord out = round_trip(r);
    CHECK(out.record.output->size() <= protocol::kMaxOutput);
    CHECK(out.record.detail.find("truncated") != std::string::npos);
}

TEST_CASE("parameters that could not be read back are replaced by their digest") {
    std::string deep = "{}";
    for (int i = 0; i < 32; ++i) deep = R"({"a":)" + deep + "}";
    for (const std::string& bad :
         {deep, std::string("{\"a\":\n1}"), std::string("[1]"), std::string("{"), std::string(R"({"a":1,"a":2})"),
          std::string(R"({"a":1},"seq":99,"b":{})"), std::string("{\"a\":\"\xC3\xA9\"}")}) {
        Record r;
        r.parameters = bad;
        CHECK_MESSAGE(round_trip(r).record.parameters.starts_with(R"({"truncated":true)"), bad);
    }
}

TEST_CASE("a line that the log would not have written is not a record") {
    const std::string good = chained_line(write_record(full_record(), kStamp), kGenesis);
    REQUIRE(read_record(good));
    const auto with = [&](std::string_view from, std::string_view to) {
        std::string line = good;
        const auto place = line.find(from);
        REQUIRE(place != std::string::npos);
        return line.replace(place, from.size(), to);
    };
    CHECK_FALSE(read_record(with(R"("mode":"run",)", R"("mode":"run","mood":1,)")));
    CHECK_FALSE(read_record(with(R"("seq":12,)", "")));
    CHECK_FALSE(read_record(with(R"("seq":12,)", R"("seq":12.5,)")));
    CHECK_FALSE(read_record(with(R"("seq":12,)", R"("seq":12,"seq":12,)")));
    CHECK_FALSE(read_record(with(R"("outcome")", R"("outcoma")")));
    CHECK_FALSE(read_record(with(R"("allow")", R"("maybe")")));
    CHECK_FALSE(read_record(with(R"("action_failed")", R"("fine")")));
    CHECK_FALSE(read_record(with(R"("uid":998,)", "")));
    CHECK_FALSE(read_record(with(R"("success":false)", R"("success":"no")")));
    CHECK_FALSE(read_record(good + good));
    CHECK_FALSE(read_record(""));
}

TEST_CASE("every event has a name that leads back to it") {
    for (int i = 0; i <= static_cast<int>(EventType::key_epoch); ++i) {
        const auto event = static_cast<EventType>(i);
        CHECK(event_from_name(name_of(event)) == event);
    }
    CHECK_FALSE(event_from_name("nothing"));
}
