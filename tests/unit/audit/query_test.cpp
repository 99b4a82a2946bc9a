#include "audit/query.h"

#include <doctest/doctest.h>

using namespace luminous_healing;
using namespace luminous_healing::audit;

namespace {

StoredRecord denied() {
    StoredRecord s;
    s.timestamp = WallTime{Micros(1'000'000)};
    s.seq = 7;
    s.record.event = EventType::decision;
    s.record.action = "restart_service";
    s.record.caller = "monitor";
    s.record.code = protocol::Code::rate_limited;
    s.record.allowed = false;
    s.record.request_id = "id-1";
    s.record.peer = PeerFields{998, 998, 42, "/bin/x", ""};
    return s;
}

StoredRecord outcome(std::int64_t ms) {
    StoredRecord s = denied();
    s.record.event = EventType::outcome;
    s.record.code = protocol::Code::ok;
    s.record.duration_ms = ms;
    s.record.verdict = protocol::Verdict::healed;
    return s;
}

}  // namespace

TEST_CASE("an empty filter matches and each member can refuse by itself") {
    const StoredRecord s = denied();
    CHECK(matches(Filter{}, s));
    Filter f;
    SUBCASE("event") { f.event = EventType::start; }
    SUBCASE("action") { f.action = "restart"; }
    SUBCASE("caller") { f.caller = "other"; }
    SUBCASE("code") { f.code = protocol::Code::ok; }
    SUBCASE("decision") { f.allowed = true; }
    SUBCASE("verdict") { f.verdict = protocol::Verdict::healed; }
    SUBCASE("id") { f.request_id = "id-2"; }
    SUBCASE("since") { f.since = WallTime{Micros(1'000'001)}; }
    SUBCASE("until") { f.until = WallTime{Micros(1'000'000)}; }
    CHECK_FALSE(matches(f, s));
}

TEST_CASE("a filter matches what agrees in every member") {
    Filter f;
    f.event = EventType::decision;
    f.action = "restart_service";
    f.caller = "monitor";
    f.code = protocol::Code::rate_limited;
    f.allowed = false;
    f.request_id = "id-1";
    f.since = WallTime{Micros(1'000'000)};
    f.until = WallTime{Micros(1'000'001)};
    CHECK(matches(f, denied()));
}

TEST_CASE("a record is shown on one line that cannot drive a terminal") {
    StoredRecord s = denied();
    CHECK(render(s) ==
          "1970-01-01T00:00:01.000000Z #7 decision deny rate_limited restart_service by monitor "
          "(uid 998, pid 42, /bin/x) id id-1");
    s.record.reason = "a\nb\x1b[31m\xE2\x80\xAE";
    CHECK(render(s).ends_with("reason: a b[31m"));
}

TEST_CASE("stats count requests once and know the median of the durations") {
    Stats stats;
    CHECK_FALSE(stats.median_ms());
    CHECK_FALSE(stats.longest_ms());
    for (const std::int64_t ms : {10, 20, 30, 40, 123'456}) stats.add(outcome(ms));
    stats.add(denied());
    StoredRecord folded = denied();
    folded.record.event = EventType::suppressed;
    folded.record.count = 500;
    stats.add(folded);
    CHECK(stats.records() == 7);
    CHECK(stats.suppressed() == 500);
    CHECK(stats.actions().at("restart_service") == 1);
    CHECK(stats.callers().at("monitor") == 1);
    CHECK(stats.codes().at("ok") == 5);
    CHECK(stats.codes().at("rate_limited") == 2);
    CHECK(stats.verdicts().at("healed") == 5);
    CHECK(stats.events().at("outcome") == 5);
    CHECK(stats.median_ms() == 30);
    CHECK(stats.longest_ms() == 123'456);
}

TEST_CASE("names that a log invents do not grow the stats without bound") {
    Stats stats;
    for (int i = 0; i < 3000; ++i) {
        StoredRecord s = denied();
        s.record.caller = "caller-" + std::to_string(i);
        stats.add(s);
    }
    CHECK(stats.callers().size() <= Stats::kMaxNames + 1);
    CHECK(stats.callers().at("(others)") == 2000);
}
