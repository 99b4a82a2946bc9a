#include "executor/launch.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <string>

using namespace luminous_healing;
using namespace luminous_healing::executor;

namespace {

Launch some_launch() {
    Launch launch;
    launch.executor = 4711;
    launch.credentials = {65534, 100, {4, 4'294'967'294U}};
    launch.capabilities = (CapabilitySet{1} << 40U) | 1U;
    launch.confined = true;
    launch.filter = {{0x20, 1, 2, 0xFFFFFFFF}, {0x06, 0, 0, 0x7FFF0000}};
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
    REQUIRE(read->filter.size() == 2);
    CHECK(read->filter[0].code == 0x20);
    CHECK(read->filter[0].jf == 2);
    CHECK(read->filter[0].k == 0xFFFFFFFF);
    CHECK(read->filter[1].k == 0x7FFF0000);
    CHECK(read->argv == launch.argv);
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

TEST_CASE("a launcher takes no orders of another version's daemon") {
    std::string orders = encode_launch(some_launch());
    orders[sizeof(std::uint32_t)] ^= 1;  // the version stands first, after its length
    const auto read = decode_launch(orders);
    REQUIRE_FALSE(read.has_value());
    CHECK(read.error().message.find("restart the daemon") != std::string::npos);
}
