#pragma once
// Durations and sizes as people write them in the configuration: "30s", "5min", "64MiB".

#include "base/clock.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace luminous_healing {

/// A positive whole number and one of ms, s, min, h, d, without space between. At most 366 days.
[[nodiscard]] std::optional<Micros> parse_duration(std::string_view text);

/// A positive whole number and one of B, KiB, MiB, GiB. At most 1 TiB. In bytes.
[[nodiscard]] std::optional<std::uint64_t> parse_size(std::string_view text);

/// The largest unit that divides it: "5min", "1500ms".
[[nodiscard]] std::string format_duration(Micros duration);

}  // namespace luminous_healing
