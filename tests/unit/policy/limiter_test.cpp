#include "policy/limiter.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <random>
#include <vector>

using namespace luminous_healing;
using namespace luminous_healing::policy;

namespace {

constexpr RateLimit kTenInFiveMinutes{.limit = 10, .window = 5min};
const std::string kBucket = "action:restart_service";

BootTime at(Micros time) { return {time}; }

Limiter with_grants(int count, Micros when) {
    Limiter limiter;
    for (int i = 0; i < count; ++i) limiter.take(kBucket, kTenInFiveMinutes, at(when));
    return limiter;
}

}  // namespace

TEST_CASE("ten requests fit and the eleventh waits until the first leaves the window") {
    Limiter limiter;
    for (int i = 0; i < 10; ++i) {
        CHECK(limiter.remaining(kBucket, kTenInFiveMinutes, at(1s * i)) == 10U - static_cast<unsigned>(i));
        REQUIRE_FALSE(limiter.wait_for(kBucket, kTenInFiveMinutes, at(1s * i)));
        limiter.take(kBucket, kTenInFiveMinutes, at(1s * i));
    }
    CHECK(limiter.remaining(kBucket, kTenInFiveMinutes, at(10s)) == 0);
    CHECK(limiter.wait_for(kBucket, kTenInFiveMinutes, at(10s)) == Micros(290s));
}

TEST_CASE("a caller over its budget is refused until the window slides to the microsecond") {
    const Limiter limiter = with_grants(10, Micros{0});
    const Micros window = 5min;
    CHECK(limiter.wait_for(kBucket, kTenInFiveMinutes, at(window - Micros{1})) == Micros{1});
    CHECK_FALSE(limiter.wait_for(kBucket, kTenInFiveMinutes, at(window)));
    CHECK(limiter.remaining(kBucket, kTenInFiveMinutes, at(window)) == 10);
}

TEST_CASE("asking does not count") {
    Limiter limiter;
    for (int i = 0; i < 100; ++i) CHECK_FALSE(limiter.wait_for(kBucket, kTenInFiveMinutes, at(1s)));
    CHECK(limiter.remaining(kBucket, kTenInFiveMinutes, at(1s)) == 10);
}

TEST_CASE("a limit lowered by a reload counts what was granted before") {
    Limiter limiter;
    for (int i = 0; i < 10; ++i) limiter.take(kBucket, kTenInFiveMinutes, at(1s * i));
    const RateLimit three{.limit = 3, .window = 5min};
    CHECK(limiter.remaining(kBucket, three, at(10s)) == 0);
    // Two may be left in the window, so the eighth, granted at 7 s, must have left.
    CHECK(limiter.wait_for(kBucket, three, at(10s)) == Micros(297s));
    CHECK(limiter.wait_for(kBucket, three, at(306s + Micros{999'999})) == Micros{1});
    CHECK_FALSE(limiter.wait_for(kBucket, three, at(307s)));
}

TEST_CASE("a limit of zero lets nothing through") {
    Limiter limiter;
    const RateLimit none{.limit = 0, .window = 5min};
    CHECK(limiter.wait_for(kBucket, none, at(1s)) == Micros(5min));
    CHECK(limiter.remaining(kBucket, none, at(1s)) == 0);
}

TEST_CASE("what is given back can be taken again") {
    Limiter limiter = with_grants(10, Micros(7s));
    limiter.give_back(kBucket, at(7s));
    CHECK(limiter.remaining(kBucket, kTenInFiveMinutes, at(8s)) == 1);
    limiter.give_back(kBucket, at(9s));  // nothing was granted then
    limiter.give_back("action:other", at(7s));
    CHECK(limiter.remaining(kBucket, kTenInFiveMinutes, at(8s)) == 1);
}

TEST_CASE("A28: names are counted apart even when one begins with the other") {
    Limiter limiter;
    for (int i = 0; i < 10; ++i) limiter.take("action:restart", kTenInFiveMinutes, at(1s));
    CHECK_FALSE(limiter.wait_for("action:restart_network", kTenInFiveMinutes, at(1s)));
    CHECK_FALSE(limiter.wait_for("action:", kTenInFiveMinutes, at(1s)));
    CHECK_FALSE(limiter.wait_for("caller:restart", kTenInFiveMinutes, at(1s)));
    CHECK(limiter.wait_for("action:restart", kTenInFiveMinutes, at(1s)));
}

TEST_CASE("grants read back after a restart count however they are ordered") {
    Limiter limiter;
    for (const Micros when : {Micros(30s), Micros(10s), Micros(20s)})
        limiter.take(kBucket, kTenInFiveMinutes, at(when));
    const RateLimit three{.limit = 3, .window = 5min};
    CHECK(limiter.wait_for(kBucket, three, at(40s)) == Micros(270s));  // the one of 10 s leaves first
}

TEST_CASE("A27: the limiter does what a list of all grants would in four thousand random lives") {
    for (std::uint32_t seed = 0; seed < 4000; ++seed) {
        std::mt19937 random(seed);
        Limiter limiter;
        std::map<std::string, std::vector<Micros>> reference;
        const RateLimit limit{.limit = static_cast<std::uint32_t>(1 + random() % 5),
                              .window = Micros(1 + random() % 40)};
        Micros time{0};
        for (int step = 0; step < 60; ++step) {
            time += Micros(random() % 12);
            const std::string bucket = random() % 2 == 0 ? "a" : "ab";
            auto& grants = reference[bucket];
            const auto inside = std::count_if(grants.begin(), grants.end(),
                                              [&](Micros granted) { return time - granted < limit.window; });
            const bool fits = inside < static_cast<std::int64_t>(limit.limit);
            const auto wait = limiter.wait_for(bucket, limit, at(time));
            REQUIRE(wait.has_value() != fits);
            if (wait) {
                // Exactly then, and not a microsecond before, one more fits.
                const auto inside_at = [&](Micros then) {
                    return std::count_if(grants.begin(), grants.end(),
                                         [&](Micros granted) { return then - granted < limit.window; });
                };
                REQUIRE(inside_at(time + *wait) < static_cast<std::int64_t>(limit.limit));
                REQUIRE(inside_at(time + *wait - Micros{1}) >= static_cast<std::int64_t>(limit.limit));
                continue;
            }
            limiter.take(bucket, limit, at(time));
            grants.push_back(time);
            if (random() % 8 != 0) continue;
            limiter.give_back(bucket, at(time));
            grants.pop_back();
        }
    }
}
