#include "actions/network_state.h"

#include "actions/machine_files.h"
#include "base/file.h"
#include "base/text.h"
#include "base/unique_fd.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <net/route.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <iterator>
#include <optional>
#include <utility>

namespace luminous_healing::actions {
namespace {

constexpr std::size_t kMaxFile = 1U << 20U;
constexpr std::string_view kBetween = "; ";

std::vector<std::string_view> words_of(std::string_view line) {
    std::vector<std::string_view> words;
    while (true) {
        const auto first = line.find_first_not_of(" \t");
        if (first == std::string_view::npos) return words;
        line.remove_prefix(first);
        const auto length = std::min(line.find_first_of(" \t"), line.size());
        words.push_back(line.substr(0, length));
        line.remove_prefix(length);
    }
}

std::vector<std::string_view> lines_of(std::string_view text) {
    std::vector<std::string_view> lines;
    while (!text.empty()) {
        const auto length = std::min(text.find('\n'), text.size());
        lines.push_back(text.substr(0, length));
        text.remove_prefix(std::min(length + 1, text.size()));
    }
    return lines;
}

std::optional<std::uint32_t> hex_number(std::string_view word) {
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value, 16);
    if (error != std::errc{} || end != word.data() + word.size()) return {};
    return value;
}

std::string shown4(std::uint32_t address) {
    const in_addr raw{htonl(address)};
    std::array<char, INET_ADDRSTRLEN> text{};
    return ::inet_ntop(AF_INET, &raw, text.data(), text.size());
}

std::optional<std::string> shown6(std::string_view hex) {
    std::string upper_free(hex);
    std::transform(upper_free.begin(), upper_free.end(), upper_free.begin(),
                   [](char c) { return c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c; });
    const auto bytes = from_hex(upper_free);
    if (!bytes || bytes->size() != sizeof(in6_addr)) return {};
    std::array<char, INET6_ADDRSTRLEN> text{};
    return std::string(::inet_ntop(AF_INET6, bytes->data(), text.data(), text.size()));
}

bool is_loopback(std::uint32_t address) { return address >> 24U == 127; }
bool is_link_local(std::uint32_t address) { return address >> 16U == 0xA9FEU; }  // 169.254/16

std::string default_route(std::string_view device, const std::string& gateway, std::uint32_t metric) {
    std::string route = "default";
    if (!gateway.empty()) route += " via " + gateway;
    route += " dev " + std::string(device);
    if (metric != 0) route += " metric " + std::to_string(metric);
    return route;
}

void tidy(std::vector<std::string>& lines) {
    std::sort(lines.begin(), lines.end());
    lines.erase(std::unique(lines.begin(), lines.end()), lines.end());
}

// The word after " dev ".
std::string_view device_of(std::string_view line) {
    const auto at = line.find(" dev ");
    if (at == std::string_view::npos) return {};
    const auto rest = line.substr(at + 5);
    return rest.substr(0, rest.find(' '));
}

// Linux allows almost any byte in a device's name; ip(8) reads quotes, '#' and backslashes.
bool is_plain(std::string_view device) {
    const auto plain = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               std::string_view("._:@-").find(c) != std::string_view::npos;
    };
    return !device.empty() && device[0] != '-' && std::all_of(device.begin(), device.end(), plain);
}

// SIOCGIFCONF gives IPv4 addresses alone. An address may carry a label, "eth0:1", in place of its device.
Expected<std::vector<std::pair<std::string, std::uint32_t>>> addresses4(int any_socket) {
    std::vector<ifreq> requests(1024);
    ifconf asked{};
    asked.ifc_len = static_cast<int>(requests.size() * sizeof(ifreq));
    asked.ifc_req = requests.data();
    if (::ioctl(any_socket, SIOCGIFCONF, &asked) != 0) return fail_errno("SIOCGIFCONF");
    requests.resize(static_cast<std::size_t>(asked.ifc_len) / sizeof(ifreq));
    std::vector<std::pair<std::string, std::uint32_t>> found;
    for (const auto& request : requests) {
        sockaddr_in in{};
        std::memcpy(&in, &request.ifr_addr, sizeof in);
        const std::uint32_t address = ntohl(in.sin_addr.s_addr);
        if (in.sin_family != AF_INET || is_loopback(address) || is_link_local(address)) continue;
        const std::string label(request.ifr_name, ::strnlen(request.ifr_name, IFNAMSIZ));
        found.emplace_back(label.substr(0, label.find(':')), address);
    }
    return found;
}

Expected<std::string> proc_net(const char* name) {
    return read_file(machine_path(std::string("/proc/net/") + name), kMaxFile);
}

// A kernel without IPv6 has no such files.
std::string proc_net6(const char* name) { return proc_net(name).value_or(std::string()); }

}  // namespace

// Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT; addresses as the CPU holds network order.
std::vector<Route4> parse_route(std::string_view text) {
    std::vector<Route4> routes;
    for (const auto line : lines_of(text)) {
        const auto words = words_of(line);
        if (words.size() < 8) continue;
        const auto destination = hex_number(words[1]);
        const auto gateway = hex_number(words[2]);
        const auto flags = hex_number(words[3]);
        const auto metric = parse_integer<std::uint32_t>(words[6]);
        const auto mask = hex_number(words[7]);
        if (!destination || !gateway || !flags || !metric || !mask) continue;
        if ((*flags & RTF_UP) == 0 || (*flags & RTF_REJECT) != 0) continue;
        routes.push_back({std::string(words[0]), ntohl(*destination), ntohl(*gateway), ntohl(*mask), *metric});
    }
    return routes;
}

// address ifindex prefix scope flags device, numbers in hexadecimal. Scope 0 is global (RFC 4291 and net/ipv6.h).
std::vector<std::string> parse_if_inet6(std::string_view text) {
    constexpr std::uint32_t kUseless = 0x01 | 0x08 | 0x40;  // IFA_F_TEMPORARY, IFA_F_DADFAILED, IFA_F_TENTATIVE
    std::vector<std::string> addresses;
    for (const auto line : lines_of(text)) {
        const auto words = words_of(line);
        if (words.size() != 6) continue;
        const auto address = shown6(words[0]);
        const auto prefix = hex_number(words[2]);
        const auto scope = hex_number(words[3]);
        const auto flags = hex_number(words[4]);
        if (!address || !prefix || scope != 0U || !flags || (*flags & kUseless) != 0) continue;
        addresses.push_back(*address + "/" + std::to_string(*prefix) + " dev " + std::string(words[5]));
    }
    tidy(addresses);
    return addresses;
}

// destination prefix source prefix next-hop metric references uses flags device, numbers in hexadecimal.
std::vector<std::string> parse_ipv6_route(std::string_view text) {
    std::vector<std::string> routes;
    for (const auto line : lines_of(text)) {
        const auto words = words_of(line);
        if (words.size() != 10 || words[1] != "00" || words[9] == "lo") continue;
        const auto gateway = shown6(words[4]);
        const auto metric = hex_number(words[5]);
        const auto flags = hex_number(words[8]);
        if (!gateway || !metric || !flags) continue;
        if ((*flags & RTF_UP) == 0 || (*flags & RTF_REJECT) != 0) continue;
        routes.push_back(default_route(words[9], *gateway == "::" ? "" : *gateway, *metric));
    }
    tidy(routes);
    return routes;
}

std::string place_address(std::uint32_t address, std::string_view device, const std::vector<Route4>& routes) {
    std::uint32_t mask = 0;
    for (const auto& route : routes) {
        const bool holds = route.device == device && route.gateway == 0 && (address & route.mask) == route.destination;
        if (holds) mask = std::max(mask, route.mask);
    }
    const int prefix = mask == 0 ? 32 : std::popcount(mask);
    return shown4(address) + "/" + std::to_string(prefix) + " dev " + std::string(device);
}

Expected<NetworkState> read_network_state(int any_socket) {
    const auto route = proc_net("route");
    const auto held = addresses4(any_socket);
    if (!route) return tl::unexpected(route.error());
    if (!held) return tl::unexpected(held.error());
    NetworkState state;
    const auto routes = parse_route(*route);
    for (const auto& [device, address] : *held) state.addresses.push_back(place_address(address, device, routes));
    for (const auto& each : routes) {
        if (each.mask == 0 && each.destination == 0)
            state.routes.push_back(
                default_route(each.device, each.gateway == 0 ? "" : shown4(each.gateway), each.metric));
    }
    const auto addresses6 = parse_if_inet6(proc_net6("if_inet6"));
    const auto routes6 = parse_ipv6_route(proc_net6("ipv6_route"));
    state.addresses.insert(state.addresses.end(), addresses6.begin(), addresses6.end());
    state.routes.insert(state.routes.end(), routes6.begin(), routes6.end());
    tidy(state.addresses);
    tidy(state.routes);
    return state;
}

std::vector<std::string> lost(const NetworkState& before, const NetworkState& now) {
    std::vector<std::string> gone;
    std::set_difference(before.addresses.begin(), before.addresses.end(), now.addresses.begin(), now.addresses.end(),
                        std::back_inserter(gone));
    std::set_difference(before.routes.begin(), before.routes.end(), now.routes.begin(), now.routes.end(),
                        std::back_inserter(gone));
    return gone;
}

std::string restore_script(const NetworkState& state) {
    std::vector<std::string> links;
    std::string changes;
    const auto add = [&](const char* command, const std::string& line) {
        const auto device = device_of(line);
        if (!is_plain(device)) return;
        links.push_back("link set dev " + std::string(device) + " up\n");
        changes += command + line + "\n";
    };
    for (const auto& address : state.addresses) add("address replace ", address);
    for (const auto& route : state.routes) add("route replace ", route);
    tidy(links);
    std::string script;
    for (const auto& link : links) script += link;
    return script + changes;
}

std::string joined(const std::vector<std::string>& lines) {
    std::string text;
    for (const auto& line : lines) text += (text.empty() ? std::string_view() : kBetween), text += line;
    return text;
}

std::vector<std::string> parted(std::string_view text) {
    std::vector<std::string> lines;
    while (!text.empty()) {
        const auto length = std::min(text.find(kBetween), text.size());
        lines.emplace_back(text.substr(0, length));
        text.remove_prefix(std::min(length + kBetween.size(), text.size()));
    }
    return lines;
}

}  // namespace luminous_healing::actions
