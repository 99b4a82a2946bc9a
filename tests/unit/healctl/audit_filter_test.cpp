#include "healctl/audit_filter.h"

#include <doctest/doctest.h>

using namespace luminous_healing;
using namespace luminous_healing::healctl;

namespace {

const WallTime kNow{Micros(1'800'000'000'000'000)};

std::string error_of(const FilterWords& words) {
    const auto filter = read_filter(words, kNow);
    return filter ? "" : filter.error().message;
}

}  // namespace

TEST_CASE("a moment is a time or how long ago") {
    CHECK(read_moment("1h", kNow)->since_epoch == kNow.since_epoch - 1h);
    CHECK(read_moment("1970-01-01T00:00:01Z", kNow)->since_epoch == 1s);
    CHECK_FALSE(read_moment("yesterday", kNow));
    CHECK_FALSE(read_moment("2026-11-21", kNow));
}

TEST_CASE("an empty filter matches everything and each word narrows it") {
    const auto empty = read_filter({}, kNow);
    REQUIRE(empty);
    audit::StoredRecord record;
    record.timestamp = kNow;
    record.record.action = "restart_service";
    record.record.allowed = false;
    record.record.code = protocol::Code::rate_limited;
    CHECK(audit::matches(*empty, record));
    FilterWords words;
    words.denied = true;
    words.code = "rate_limited";
    words.since = "1min";
    CHECK(audit::matches(*read_filter(words, kNow), record));
    words.action = "kill_process";
    CHECK_FALSE(audit::matches(*read_filter(words, kNow), record));
}

TEST_CASE("a word that no record can have is refused with the list of those that can") {
    FilterWords words;
    words.event = "denial";
    CHECK(error_of(words).find("decision, outcome, interrupted") != std::string::npos);
    words = {};
    words.code = "limited";
    CHECK(error_of(words).find("rate_limited") != std::string::npos);
    words = {};
    words.verdict = "better";
    CHECK(error_of(words).find("healed, unchanged, worse, unverifiable") != std::string::npos);
    words = {};
    words.denied = words.allowed = true;
    CHECK_FALSE(error_of(words).empty());
}

TEST_CASE("a head is a number and 64 hexadecimal digits") {
    const std::string chain(64, 'a');
    const auto head = read_head("12:" + chain);
    REQUIRE(head);
    CHECK(head->seq == 12);
    CHECK(head->chain == chain);
    for (const std::string& text :
         {std::string("12"), "12:" + std::string(63, 'a'), "x:" + chain, "-1:" + chain, ":" + chain})
        CHECK_FALSE(read_head(text));
}
