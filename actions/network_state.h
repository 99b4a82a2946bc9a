#pragma once
// The machine's addresses and default routes, from /proc/net (proc_net(5)) and, for IPv4 addresses, from SIOCGIFCONF,
// which any socket may ask (netdevice(7)): a worker needs neither a netlink nor an IP socket. Loopback, link-local and
// temporary addresses are left out: they come and go by themselves.

#include "base/expected.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace luminous_healing::actions {

/// Each line is an argument list of ip(8): "192.0.2.7/24 dev eth0", "default via 192.0.2.1 dev eth0 metric 100".
/// Sorted, without repetitions.
struct NetworkState {
    std::vector<std::string> addresses;
    std::vector<std::string> routes;
    [[nodiscard]] bool operator==(const NetworkState&) const = default;
};

/// A route of /proc/net/route, numbers in host order.
struct Route4 {
    std::string device;
    std::uint32_t destination = 0;
    std::uint32_t gateway = 0;  ///< zero: on the link
    std::uint32_t mask = 0;
    std::uint32_t metric = 0;
};

// Parsers, each of the whole text of one file; lines that are not understood are skipped.
[[nodiscard]] std::vector<Route4> parse_route(std::string_view text);            ///< /proc/net/route, those that are up
[[nodiscard]] std::vector<std::string> parse_if_inet6(std::string_view text);    ///< as NetworkState::addresses
[[nodiscard]] std::vector<std::string> parse_ipv6_route(std::string_view text);  ///< as NetworkState::routes

/// An IPv4 address of a device, host order, with the prefix of that device's most specific on-link route which holds
/// it, or /32 when there is none: "192.0.2.7/24 dev eth0".
[[nodiscard]] std::string place_address(std::uint32_t address, std::string_view device,
                                        const std::vector<Route4>& routes);

/// `any_socket` is only asked by ioctl(2); a worker can make none of its own.
[[nodiscard]] Expected<NetworkState> read_network_state(int any_socket);

/// What of `before` is not there `now`, in words of ip(8).
[[nodiscard]] std::vector<std::string> lost(const NetworkState& before, const NetworkState& now);

/// Lines for `ip -batch -` that bring `state` back. Lines whose device has a name that ip(8) could misread are left
/// out.
[[nodiscard]] std::string restore_script(const NetworkState& state);

/// For facts: "a; b; c", and back.
[[nodiscard]] std::string joined(const std::vector<std::string>& lines);
[[nodiscard]] std::vector<std::string> parted(std::string_view text);

}  // namespace luminous_healing::actions
