#include "base/units.h"

#include <doctest/doctest.h>

using namespace luminous_healing;

TEST_CASE("durations are read as people write them") {
    CHECK(parse_duration("1ms") == Micros(1'000));
    CHECK(parse_duration("30s") == Micros(30s));
    CHECK(parse_duration("5min") == Micros(5min));
    CHECK(parse_duration("1h") == Micros(1h));
    CHECK(parse_duration("366d") == Micros(24h * 366));
}

TEST_CASE("a duration without unit or sign or sense is refused") {
    for (const auto* const text : {"", "0s", "-1s", "+1s", "1", "s", "1 s", " 1s", "1s ", "1S", "1m", "1.5s", "1us",
                                   "367d", "9223372036854775807d", "99999999999999999999s", "1min30s", "0x1s"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_duration(text));
    }
}

TEST_CASE("sizes are read in binary units up to one TiB") {
    CHECK(parse_size("1B") == 1);
    CHECK(parse_size("4MiB") == 4ULL << 20U);
    CHECK(parse_size("1024GiB") == 1ULL << 40U);
    for (const auto* const text :
         {"", "0B", "1", "1MB", "1 MiB", "-1B", "1025GiB", "1TiB", "18446744073709551615GiB"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_size(text));
    }
}

TEST_CASE("a duration is written in the largest unit that divides it and read back the same") {
    CHECK(format_duration(5min) == "5min");
    CHECK(format_duration(90s) == "90s");
    CHECK(format_duration(1500ms) == "1500ms");
    CHECK(format_duration(24h) == "1d");
    CHECK(format_duration(Micros(7)) == "7us");
    for (const Micros duration : {Micros(1ms), Micros(61s), Micros(60min), Micros(25h)}) {
        CAPTURE(duration.count());
        CHECK(parse_duration(format_duration(duration)) == duration);
    }
}
