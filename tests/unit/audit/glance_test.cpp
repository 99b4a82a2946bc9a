#include "audit/glance.h"

#include "audit/chain.h"

#include <doctest/doctest.h>

#include <random>
#include <vector>

using namespace luminous_healing;
using namespace luminous_healing::audit;

namespace {

const Stamp kStamp{{WallTime{Micros(1'790'000'000'123'456)}, BootTime{Micros(77)}}, 12, "boot", "host", "cfg"};

std::string line_of(const Record& record) { return chained_line(write_record(record, kStamp), kGenesis); }

Record intent() {
    Record r;
    r.request_id = "id-1";
    r.action = "restart_service";
    r.parameters = R"({"a":[1,"}],\"{",{"success":true}],"b":"\\"})";
    r.error = "a \"quoted\" error, \\";
    r.allowed = true;
    r.code = protocol::Code::ok;
    r.rule = "config.toml:12";
    r.caller = "monitor";
    r.peer = PeerFields{998, 997, 4242, "/usr/bin/monitor", "monitor.service"};
    r.mode = "run";
    r.output = "two\nlines, \"boot_id\":\"no\"";
    r.request_mac = "ab12";
    return r;
}

std::string_view view(const std::optional<std::string>& text) { return text ? std::string_view(*text) : ""; }

}  // namespace

TEST_CASE("what is seen at a glance is what the record says") {
    Record r = intent();
    for (const auto event : {EventType::decision, EventType::outcome}) {
        for (const std::optional<bool> success : {std::optional<bool>(), std::optional(true), std::optional(false)}) {
            r.event = event;
            r.success = success;
            r.allowed = success ? std::nullopt : std::optional(true);
            const std::string line = line_of(r);
            const auto glance = glance_at(line);
            const auto read = read_record(line);
            REQUIRE(glance);
            REQUIRE(read);
            CHECK(glance->seq == read->seq);
            CHECK(glance->event == read->record.event);
            CHECK(glance->timestamp == read->timestamp);
            CHECK(glance->boottime == read->boottime);
            CHECK(glance->boot_id == read->boot_id);
            CHECK(glance->request_id == view(read->record.request_id));
            CHECK(glance->action == view(read->record.action));
            CHECK(glance->code == protocol::name_of(*read->record.code));
            CHECK(glance->caller == view(read->record.caller));
            CHECK(glance->mode == view(read->record.mode));
            CHECK(glance->decision == (read->record.allowed ? "allow" : ""));
            CHECK(glance->request_mac == read->record.request_mac);
            CHECK(glance->has_success == read->record.success.has_value());
        }
    }
}

TEST_CASE("what needs a closer look is not seen at a glance") {
    Record escaped = intent();
    escaped.caller = "caf\xC3\xA9";
    CHECK_FALSE(glance_at(line_of(escaped)));
    Record other = intent();
    other.event = EventType::key_epoch;
    CHECK_FALSE(glance_at(line_of(other)));
    CHECK(head_of_line(line_of(other))->event == EventType::key_epoch);
    CHECK_FALSE(glance_at(write_record(intent(), kStamp)));  // without its chain
    for (const char* const bad : {"", "{", "{}", "[]", "{\"timestamp\":\"", "{\"timestamp\":\"x\",\"seq\":0,"}) {
        CHECK_FALSE(glance_at(bad));
        CHECK_FALSE(head_of_line(bad));
    }
}

TEST_CASE("a line with a byte changed or cut out says the same at a glance as when it is read, or nothing") {
    const std::string good = line_of(intent());
    std::mt19937 random{20261121};
    int seen = 0;
    for (int i = 0; i < 20'000; ++i) {
        std::string line = good;
        const std::size_t at = random() % line.size();
        if (i % 2 == 0) line[at] = static_cast<char>(0x20 + random() % 95);
        else line.erase(at, 1 + random() % 20);
        const auto glance = glance_at(line);
        const auto read = read_record(line);
        if (!glance || !read) continue;
        ++seen;
        CHECK(glance->seq == read->seq);
        CHECK(glance->timestamp == read->timestamp);
        CHECK(glance->boottime == read->boottime);
        CHECK(glance->caller == view(read->record.caller));
        CHECK(glance->request_id == view(read->record.request_id));
        CHECK(glance->request_mac == read->record.request_mac);
        CHECK(glance->mode == view(read->record.mode));
        CHECK(glance->has_success == read->record.success.has_value());
    }
    CHECK(seen > 1000);
}
