#include "actions/network_state.h"

#include <doctest/doctest.h>

using namespace luminous_healing::actions;
using Lines = std::vector<std::string>;

namespace {

constexpr auto kRoutes =
    "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
    "eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
    "eth0\t000200C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n"
    "wlan0\t000200C0\t00000000\t0001\t0\t0\t600\t00FFFFFF\t0\t0\t0\n"
    "wlan0\t800200C0\t00000000\t0001\t0\t0\t600\tC0FFFFFF\t0\t0\t0\n"
    "down0\t00000000\t010200C0\t0002\t0\t0\t0\t00000000\t0\t0\t0\n"
    "bad0\t00000000\t010200C0\t0203\t0\t0\t0\t00000000\t0\t0\t0\n"
    "nonsense\n";
constexpr std::uint32_t kAddress = 0xC0000281;  // 192.0.2.129

}  // namespace

TEST_CASE("routes of the kernel are read in host order without those that are down or refused") {
    const auto routes = parse_route(kRoutes);
    REQUIRE(routes.size() == 4);
    CHECK(routes[0].device == "eth0");
    CHECK(routes[0].gateway == 0xC0000201);
    CHECK(routes[0].metric == 100);
    CHECK(routes[0].mask == 0);
    CHECK(routes[1].destination == 0xC0000200);
    CHECK(routes[1].mask == 0xFFFFFF00);
}

TEST_CASE("an address gets the prefix of its own device although another device has the same network") {
    const auto routes = parse_route(kRoutes);
    CHECK(place_address(kAddress, "eth0", routes) == "192.0.2.129/24 dev eth0");
    CHECK(place_address(kAddress, "wlan0", routes) == "192.0.2.129/26 dev wlan0");
    CHECK(place_address(kAddress, "tun0", routes) == "192.0.2.129/32 dev tun0");
}

TEST_CASE("of the IPv6 addresses only lasting global ones count") {
    const auto addresses = parse_if_inet6(
        "00000000000000000000000000000001 01 80 10 80       lo\n"
        "fe800000000000000000000000000007 02 40 20 80     eth0\n"
        "fd000000000000000000000000000007 02 40 00 80     eth0\n"
        "fd0000000000000000000000000000aa 02 40 00 01     eth0\n"
        "fd0000000000000000000000000000bb 02 40 00 40     eth0\n"
        "zz000000000000000000000000000007 02 40 00 80     eth0\n");
    CHECK(addresses == Lines{"fd00::7/64 dev eth0"});
}

TEST_CASE("of the IPv6 routes only default ones that are up count") {
    const std::string none(32, '0');
    const std::string gateway = "fe80" + std::string(27, '0') + "1";
    const auto line = [&](const std::string& prefix, const std::string& flags, const std::string& device) {
        return none + " " + prefix + " " + none + " 00 " + gateway + " 00000400 00000001 00000000 " + flags + " " +
               device + "\n";
    };
    CHECK(parse_ipv6_route(line("00", "00000003", "eth0") + line("40", "00000003", "eth1") +
                           line("00", "00200203", "eth2") + line("00", "00000003", "lo")) ==
          Lines{"default via fe80::1 dev eth0 metric 1024"});
}

TEST_CASE("what is lost is told address and route alike and what is new is not") {
    const NetworkState before{{"192.0.2.7/24 dev eth0"}, {"default via 192.0.2.1 dev eth0"}};
    const NetworkState now{{"192.0.2.7/24 dev eth0", "192.0.2.8/24 dev eth0"}, {}};
    CHECK(lost(before, now) == Lines{"default via 192.0.2.1 dev eth0"});
    CHECK(lost(before, before).empty());
}

TEST_CASE("the way back sets links up before addresses and addresses before routes") {
    const NetworkState state{{"192.0.2.7/24 dev eth0", "fd00::7/64 dev eth0"}, {"default via 192.0.2.1 dev eth0"}};
    CHECK(restore_script(state) ==
          "link set dev eth0 up\n"
          "address replace 192.0.2.7/24 dev eth0\n"
          "address replace fd00::7/64 dev eth0\n"
          "route replace default via 192.0.2.1 dev eth0\n");
}

TEST_CASE("a device name that ip could misread is left out of the way back") {
    for (const std::string name : {"a\"b", "a#b", "a\\b", "-force", "a;b"})
        CHECK(restore_script({{"192.0.2.7/24 dev " + name}, {}}).empty());
}

TEST_CASE("a state survives being kept as a fact") {
    const Lines lines{"192.0.2.7/24 dev eth0", "fd00::7/64 dev eth0"};
    CHECK(parted(joined(lines)) == lines);
    CHECK(parted("").empty());
}
