#include "base/units.h"

#include "base/text.h"

#include <array>
#include <utility>

namespace luminous_healing {
namespace {

using Unit = std::pair<std::string_view, std::int64_t>;

constexpr std::array<Unit, 5> kDurations{
    {{"d", 86'400'000'000}, {"h", 3'600'000'000}, {"min", 60'000'000}, {"s", 1'000'000}, {"ms", 1'000}}};
constexpr std::array<Unit, 4> kSizes{{{"B", 1}, {"KiB", 1LL << 10}, {"MiB", 1LL << 20}, {"GiB", 1LL << 30}}};

template <std::size_t N>
std::optional<std::int64_t> parse_with_unit(std::string_view text, const std::array<Unit, N>& units,
                                            std::int64_t most) {
    const auto digits = text.find_first_not_of("0123456789");
    if (digits == std::string_view::npos) return {};
    const auto number = parse_integer<std::int64_t>(text.substr(0, digits));
    if (!number || *number <= 0) return {};
    for (const auto& [name, factor] : units) {
        if (text.substr(digits) != name) continue;
        return *number > most / factor ? std::optional<std::int64_t>{} : *number * factor;
    }
    return {};
}

}  // namespace

std::optional<Micros> parse_duration(std::string_view text) {
    const auto value = parse_with_unit(text, kDurations, 366LL * 86'400'000'000);
    if (!value) return {};
    return Micros(*value);
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
    const auto value = parse_with_unit(text, kSizes, 1LL << 40);
    if (!value) return {};
    return static_cast<std::uint64_t>(*value);
}

std::string format_duration(Micros duration) {
    for (const auto& [name, factor] : kDurations) {
        if (duration.count() % factor == 0) return std::to_string(duration.count() / factor) + std::string(name);
    }
    return std::to_string(duration.count()) + "us";
}

}  // namespace luminous_healing
