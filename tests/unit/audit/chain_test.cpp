#include "audit/chain.h"

#include "base/text.h"

#include <doctest/doctest.h>

using namespace luminous_healing;
using namespace luminous_healing::audit;

namespace {

ChainKey key_of(char byte, std::int64_t epoch = 0) {
    auto key = ChainKey::create(Secret(std::string(kKeyBytes, byte)), epoch);
    REQUIRE(key);
    return std::move(*key);
}

}  // namespace

TEST_CASE("the chain value is the HMAC of the previous value and the record without its chain") {
    const std::string line = chained_line(R"({"a":1})", kGenesis);
    CHECK(line == R"({"a":1,"chain":")" + std::string(kGenesis) + "\"}");
    const auto parts = split_chain(line);
    REQUIRE(parts);
    const auto plain = protocol::MacKey::create(std::string(kKeyBytes, 'k'));
    REQUIRE(plain);
    CHECK(key_of('k').chain_of(kGenesis, parts->record_open) ==
          plain->sign({std::string(kGenesis) + R"({"a":1})"}).hex());
}

TEST_CASE("a chain value depends on key and predecessor and record") {
    const std::string one = key_of('k').chain_of(kGenesis, "{\"a\":1");
    CHECK(one != key_of('l').chain_of(kGenesis, "{\"a\":1"));
    CHECK(one != key_of('k').chain_of(one, "{\"a\":1"));
    CHECK(one != key_of('k').chain_of(kGenesis, "{\"a\":2"));
}

TEST_CASE("each epoch has another key that follows from the one before") {
    const auto first = key_of('k');
    const auto second = first.next();
    REQUIRE(second);
    CHECK(second->epoch() == 1);
    const auto plain = protocol::MacKey::create(std::string(kKeyBytes, 'k'));
    const auto mac = plain->sign({"luminous-healing/2 audit key\n"});
    CHECK(first.next_bytes().bytes() == std::string(mac.bytes.data(), mac.bytes.size()));
    const auto third = step_to(key_of('k'), 2);
    REQUIRE(third);
    CHECK(third->chain_of(kGenesis, "{") == second->next()->chain_of(kGenesis, "{"));
    CHECK_FALSE(step_to(key_of('k', 5), 4));
    CHECK_FALSE(step_to(key_of('k'), kMaxEpoch + 1));
}

TEST_CASE("only a line that ends in a chain member as it is written is taken apart") {
    const std::string good = chained_line(R"({"a":1})", kGenesis);
    CHECK(split_chain(good));
    for (const std::string& bad : {std::string(), good + " ", " " + good, good.substr(0, good.size() - 1),
                                   std::string(R"({"a":1})"), good.substr(1)})
        CHECK_FALSE(split_chain(bad));
    std::string upper = good;
    upper[upper.size() - 5] = 'A';
    CHECK_FALSE(split_chain(upper));
}

TEST_CASE("links and epochs are read from details and nothing else is") {
    const std::string chain(64, 'a');
    const auto link = read_link(R"({"epoch":3,"chain":")" + chain + "\"}");
    REQUIRE(link);
    CHECK(link->epoch == 3);
    CHECK(link->chain == chain);
    CHECK_FALSE(read_link(R"({"epoch":-1,"chain":")" + chain + "\"}"));
    CHECK_FALSE(read_link(R"({"epoch":3,"chain":"abc"})"));
    CHECK_FALSE(read_link(""));
    CHECK(read_epoch(R"({"epoch":4})") == 4);
    CHECK_FALSE(read_epoch(R"({"epoch":99999999999})"));
    CHECK(read_oldest(R"({"oldest":7})") == 7);
    CHECK_FALSE(read_oldest(R"({"oldest":0})"));
}
