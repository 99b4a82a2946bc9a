#include "executor/launch.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <string>

using namespace luminous_healing;
using namespace luminous_healing::executor;

namespace {

const FilterProgram kFilter{{0x20, 1, 2, 0xFFFFFFFF}, {0x06, 0, 0, 0x7FFF0000}};

Launch some_launch() {
    Launch launch;
    launch.executor = 4711;
    launch.credentials = {65534, 100, {4, 4'294'967'294U}};
    launch.capabilities = (CapabilitySet{1} << 40U) | 1U;
    launch.confined = true;
    launch.argv = {"/bin/true", "", std::string("a\0b\xFF", 4)};
    return launch;
}

}  // namespace

TEST_CASE("the launcher is told what to become as it was given, byte for byte") {
    const Launch launch = some_launch();
    const auto read = decode_launch(encode_launch(launch));
    REQUIRE(read.has_value());
    CHECK(read->executor == launch.executor);
    CHECK(read->credentials.uid == 65534);
    CHECK(read->credentials.gid == 100);
    CHECK(read->credentials.groups == launch.credentials.groups);
    CHECK(read->capabilities == launch.capabilities);
    CHECK(read->confined);
    CHECK(read->argv == launch.argv);
}

TEST_CASE("a launcher is fenced in by the filter as it was given, byte for byte, and by nothing cut off or empty") {
    const std::string whole = encode_fence(kFilter);
    const auto read = decode_fence(whole);
    REQUIRE(read.has_value());
    REQUIRE(read->size() == 2);
    CHECK((*read)[0].code == 0x20);
    CHECK((*read)[0].jf == 2);
    CHECK((*read)[0].k == 0xFFFFFFFF);
    CHECK((*read)[1].k == 0x7FFF0000);
    for (std::size_t size = 0; size < whole.size(); ++size)
        CHECK_FALSE(decode_fence(whole.substr(0, size)).has_value());
    CHECK_FALSE(decode_fence(whole + '\0').has_value());
    CHECK_FALSE(decode_fence(encode_fence({})).has_value());
}

TEST_CASE("a launcher's orders that are cut off anywhere, or followed by anything, or name no program, are none") {
    const std::string whole = encode_launch(some_launch());
    for (std::size_t size = 0; size < whole.size(); ++size)
        CHECK_FALSE(decode_launch(whole.substr(0, size)).has_value());
    CHECK_FALSE(decode_launch(whole + '\0').has_value());
    Launch nothing = some_launch();
    nothing.argv.clear();
    CHECK_FALSE(decode_launch(encode_launch(nothing)).has_value());
}

TEST_CASE("a launcher takes no orders and no fence of another version's daemon") {
    const auto of_another = [](std::string orders) {
        orders[sizeof(std::uint32_t)] ^= 1;  // the version stands first, after its length
        return orders;
    };
    const auto orders = decode_launch(of_another(encode_launch(some_launch())));
    const auto fence = decode_fence(of_another(encode_fence(kFilter)));
    REQUIRE_FALSE(orders.has_value());
    REQUIRE_FALSE(fence.has_value());
    CHECK(orders.error().message.find("restart the daemon") != std::string::npos);
    CHECK(fence.error().message == orders.error().message);
}
