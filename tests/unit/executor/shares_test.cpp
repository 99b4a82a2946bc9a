#include "executor/shares.h"

#include <doctest/doctest.h>

using namespace luminous_healing;
using executor::Shares;
using protocol::kMaxInFlightPerUid;

namespace {

constexpr std::uint64_t kUser = 1000, kOther = 1001, kRoot = 0;

void take_all(Shares& shares, std::uint64_t uid) {
    for (std::size_t i = 0; i < kMaxInFlightPerUid; ++i) shares.take(uid);
}

}  // namespace

TEST_CASE("a uid with all its requests unanswered is not admitted, and nobody else is kept out") {
    Shares shares;
    take_all(shares, kUser);
    CHECK_FALSE(shares.admits(kUser, false));
    CHECK_FALSE(shares.admits(kUser, true));
    CHECK(shares.admits(kOther, false));
    shares.give_back(kUser, 1);
    CHECK(shares.admits(kUser, false));
}

TEST_CASE("root is exempt") {
    Shares shares;
    take_all(shares, kRoot);
    shares.take(kRoot);
    CHECK(shares.admits(kRoot, false));
}

TEST_CASE("who waits is served in the order of coming, and before who comes now") {
    Shares shares;
    take_all(shares, kUser);
    shares.wait(kUser, ConnectionId(7));
    shares.wait(kUser, ConnectionId(8));
    CHECK_FALSE(shares.next(kUser));
    shares.give_back(kUser, 1);
    CHECK_FALSE(shares.admits(kUser, false));
    CHECK(shares.admits(kUser, true));
    CHECK(shares.next(kUser) == ConnectionId(7));
    shares.take(kUser);
    CHECK_FALSE(shares.next(kUser));
    shares.give_back(kUser, 5);
    CHECK(shares.next(kUser) == ConnectionId(8));
    CHECK_FALSE(shares.next(kUser));
    CHECK(shares.admits(kUser, false));
}

TEST_CASE("more given back than was taken is not credit") {
    Shares shares;
    shares.take(kUser);
    shares.give_back(kUser, 100);
    shares.give_back(kUser, 1);
    take_all(shares, kUser);
    CHECK_FALSE(shares.admits(kUser, false));
}
