#pragma once
// Two clocks, two types. WallTime is for people and for signed timestamps; BootTime (CLOCK_BOOTTIME, it counts
// suspend) is for windows and deadlines, because nobody can step it. See clock_gettime(2).

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace luminous_healing {

using Micros = std::chrono::microseconds;
using namespace std::chrono_literals;

/// Microseconds since 1970-01-01T00:00:00Z (CLOCK_REALTIME).
struct WallTime {
    Micros since_epoch{};
    auto operator<=>(const WallTime&) const = default;
};

/// Microseconds since the machine booted, suspend included (CLOCK_BOOTTIME).
struct BootTime {
    Micros since_boot{};
    auto operator<=>(const BootTime&) const = default;
};
inline Micros operator-(BootTime a, BootTime b) { return a.since_boot - b.since_boot; }
inline BootTime operator+(BootTime a, Micros b) { return {a.since_boot + b}; }
inline Micros operator-(WallTime a, WallTime b) { return a.since_epoch - b.since_epoch; }

/// One reading of both clocks; what policy is given instead of a clock.
struct Instant {
    WallTime wall;
    BootTime boot;
};

[[nodiscard]] Instant now();
/// Of the second alone, for half the time.
[[nodiscard]] BootTime boot_now();

/// "2026-11-21T10:00:00.123456Z": RFC 3339, UTC, always microseconds.
[[nodiscard]] std::string format_rfc3339(WallTime time);

/// RFC 3339 section 5.6 with a mandatory zone ("Z" or "+02:00"); at most nine digits of fraction. A leap second
/// (":60") is read as the following second. Nothing else is accepted, nor a moment outside the years 0000 to 9999 UTC.
[[nodiscard]] std::optional<WallTime> parse_rfc3339(std::string_view text);

/// The prototype's form, Python's datetime.isoformat() without a zone, read as this machine's local time.
[[nodiscard]] std::optional<WallTime> parse_naive_local(std::string_view text);

}  // namespace luminous_healing
