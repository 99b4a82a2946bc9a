#include "base/clock.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <ctime>

using namespace luminous_healing;

namespace {

/// The local time zone of this process while it lives.
class Zone {
public:
    explicit Zone(const char* name) {
        ::setenv("TZ", name, 1);
        ::tzset();
    }
    ~Zone() {
        ::unsetenv("TZ");
        ::tzset();
    }
    Zone(const Zone&) = delete;
    Zone& operator=(const Zone&) = delete;
};

constexpr Micros at(std::int64_t seconds, std::int64_t micros = 0) {
    return std::chrono::seconds(seconds) + Micros(micros);
}

}  // namespace

TEST_CASE("a wall time is written in UTC with microseconds") {
    CHECK(format_rfc3339({Micros{0}}) == "1970-01-01T00:00:00.000000Z");
    CHECK(format_rfc3339({at(1'795'255'200, 123'456)}) == "2026-11-21T10:00:00.123456Z");
    CHECK(format_rfc3339({at(951'782'399, 999'999)}) == "2000-02-28T23:59:59.999999Z");
    CHECK(format_rfc3339({Micros{-1}}) == "1969-12-31T23:59:59.999999Z");
    CHECK(format_rfc3339({at(-61'662'297'600)}) == "0016-01-01T00:00:00.000000Z");
}

TEST_CASE("what is written as a wall time is read back the same") {
    for (const std::int64_t micros : {-62'167'219'200'000'000LL, -61'662'297'599'999'999LL, 253'402'300'799'999'999LL,
                                      0LL, 1LL, 1'795'255'200'123'456LL, 4'102'444'799'999'999LL, -1LL}) {
        CAPTURE(micros);
        CHECK(parse_rfc3339(format_rfc3339({Micros{micros}})) == WallTime{Micros{micros}});
    }
}

TEST_CASE("an RFC 3339 time is read with any zone and fraction") {
    const std::pair<const char*, Micros> cases[] = {
        {"2026-11-21T10:00:00Z", at(1'795'255'200)},
        {"2026-11-21t10:00:00z", at(1'795'255'200)},
        {"2026-11-21 10:00:00Z", at(1'795'255'200)},
        {"2026-11-21T10:00:00.1Z", at(1'795'255'200, 100'000)},
        {"2026-11-21T10:00:00.123456789Z", at(1'795'255'200, 123'456)},
        {"2026-11-21T12:00:00+02:00", at(1'795'255'200)},
        {"2026-11-21T04:30:00-05:30", at(1'795'255'200)},
        {"2026-11-21T10:00:00-00:00", at(1'795'255'200)},
        {"2024-02-29T00:00:00Z", at(1'709'164'800)},
        {"2016-12-31T23:59:60Z", at(1'483'228'800)},
        {"0001-01-01T00:00:00Z", at(-62'135'596'800)},
        {"9999-12-31T23:59:59Z", at(253'402'300'799)},
    };
    for (const auto& [text, expected] : cases) {
        CAPTURE(text);
        const auto parsed = parse_rfc3339(text);
        REQUIRE(parsed);
        CHECK(parsed->since_epoch == expected);
    }
}

TEST_CASE("anything else is no RFC 3339 time") {
    for (const auto* const text : {"",
                                   "2026-11-21",
                                   "2026-11-21T10:00:00",
                                   "2026-11-21T10:00Z",
                                   "2026-11-21T10:00:00.Z",
                                   "2026-11-21T10:00:00.1234567890Z",
                                   "2026-11-21T10:00:00,5Z",
                                   "2026-11-21T10:00:00+0200",
                                   "2026-11-21T10:00:00+02",
                                   "2026-11-21T10:00:00+24:00",
                                   "2026-11-21T10:00:00+02:60",
                                   "2026-02-29T10:00:00Z",
                                   "2026-13-01T10:00:00Z",
                                   "2026-00-01T10:00:00Z",
                                   "2026-11-00T10:00:00Z",
                                   "2026-11-31T10:00:00Z",
                                   "2026-11-21T24:00:00Z",
                                   "2026-11-21T10:60:00Z",
                                   "2026-11-21T10:00:61Z",
                                   " 2026-11-21T10:00:00Z",
                                   "2026-11-21T10:00:00Z ",
                                   "2026-11-21T10:00:00ZZ",
                                   "+2026-11-21T10:00:00Z",
                                   "26-11-21T10:00:00Z",
                                   "2026-1-21T10:00:00Z",
                                   "2026-11-21T-1:00:00Z",
                                   "2026/11/21T10:00:00Z",
                                   "0000-01-01T00:00:00+00:01",
                                   "9999-12-31T23:59:60Z",
                                   "1795255200"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_rfc3339(text));
    }
    CHECK_FALSE(parse_rfc3339(std::string_view("2026-11-21T10:00:00Z\0", 21)));
}

TEST_CASE("the local time of the prototype has no zone and follows that of the machine") {
    const Zone zone("UTC-2");  // POSIX counts westwards: this is two hours east
    REQUIRE(parse_naive_local("2026-11-21T12:00:00.5"));
    CHECK(parse_naive_local("2026-11-21T12:00:00.5")->since_epoch == at(1'795'255'200, 500'000));
    CHECK(parse_naive_local("2026-11-21T12:00:00")->since_epoch == at(1'795'255'200));
    CHECK_FALSE(parse_naive_local("2026-11-21T12:00:00Z"));
    CHECK_FALSE(parse_naive_local("2026-11-21T12:00:00+02:00"));
    CHECK_FALSE(parse_naive_local("2026-11-21T12:00"));
    CHECK_FALSE(parse_naive_local(""));
}

TEST_CASE("neither clock runs backwards while it is looked at") {
    const Instant first = now();
    const Instant second = now();
    CHECK(second.boot >= first.boot);
    CHECK(first.boot.since_boot > Micros{0});
    CHECK(first.wall.since_epoch > at(1'600'000'000));
}
