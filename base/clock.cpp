#include "base/clock.h"

#include <array>
#include <ctime>

namespace luminous_healing {
namespace {

Micros read_clock(clockid_t id) {
    timespec ts{};
    clock_gettime(id, &ts);
    return std::chrono::seconds(ts.tv_sec) + std::chrono::duration_cast<Micros>(std::chrono::nanoseconds(ts.tv_nsec));
}

/// Takes what it reads off the front of the text; any failure makes every later step fail too.
struct Cursor {
    std::string_view rest;
    bool ok = true;

    int digits(std::size_t count) {
        int value = 0;
        if (rest.size() < count) ok = false;
        for (std::size_t i = 0; ok && i < count; ++i) {
            if (rest[i] < '0' || rest[i] > '9') ok = false;
            value = value * 10 + (rest[i] - '0');
        }
        if (ok) rest.remove_prefix(count);
        return value;
    }
    char one_of(std::string_view allowed) {
        if (!ok || rest.empty() || allowed.find(rest[0]) == std::string_view::npos) {
            ok = false;
            return '\0';
        }
        const char c = rest[0];
        rest.remove_prefix(1);
        return c;
    }
    Micros fraction() {
        Micros result{0};
        if (!ok || rest.empty() || rest[0] != '.') return result;
        rest.remove_prefix(1);
        std::int64_t unit = 100'000;
        std::size_t count = 0;
        for (; !rest.empty() && rest[0] >= '0' && rest[0] <= '9'; rest.remove_prefix(1), ++count) {
            result += Micros((rest[0] - '0') * unit);
            unit /= 10;
        }
        if (count == 0 || count > 9) ok = false;
        return result;
    }
};

constexpr WallTime kYear0{std::chrono::sys_days(std::chrono::year(0) / 1 / 1).time_since_epoch()};
constexpr WallTime kYear10000{std::chrono::sys_days(std::chrono::year(10000) / 1 / 1).time_since_epoch()};

struct CivilTime {
    std::tm fields{};
    Micros fraction{};
    std::chrono::sys_days day;
};

std::optional<CivilTime> parse_civil(Cursor& cursor) {
    CivilTime t;
    t.fields.tm_year = cursor.digits(4) - 1900;
    cursor.one_of("-");
    t.fields.tm_mon = cursor.digits(2) - 1;
    cursor.one_of("-");
    t.fields.tm_mday = cursor.digits(2);
    cursor.one_of("Tt ");
    t.fields.tm_hour = cursor.digits(2);
    cursor.one_of(":");
    t.fields.tm_min = cursor.digits(2);
    cursor.one_of(":");
    t.fields.tm_sec = cursor.digits(2);
    t.fraction = cursor.fraction();
    const auto& f = t.fields;
    if (!cursor.ok || f.tm_mon < 0 || f.tm_mon > 11 || f.tm_hour > 23 || f.tm_min > 59 || f.tm_sec > 60) return {};
    const std::chrono::year_month_day day{std::chrono::year(f.tm_year + 1900),
                                          std::chrono::month(static_cast<unsigned>(f.tm_mon + 1)),
                                          std::chrono::day(static_cast<unsigned>(f.tm_mday))};
    if (!day.ok()) return {};
    t.day = day;
    return t;
}

}  // namespace

Instant now() { return {{read_clock(CLOCK_REALTIME)}, boot_now()}; }
BootTime boot_now() { return {read_clock(CLOCK_BOOTTIME)}; }

// Both directions by arithmetic: every record and every request has a timestamp, and gmtime(3), strftime(3) and
// timegm(3) cost more than most of what else is done with them.

std::string format_rfc3339(WallTime time) {
    const auto day = std::chrono::floor<std::chrono::days>(std::chrono::sys_time<Micros>(time.since_epoch));
    const std::chrono::year_month_day date(day);
    const std::chrono::hh_mm_ss clock(std::chrono::sys_time<Micros>(time.since_epoch) - day);
    std::string text = std::to_string(static_cast<int>(date.year()));
    if (text.size() < 4) text.insert(0, 4 - text.size(), '0');
    text.reserve(text.size() + sizeof "-11-21T10:00:00.000000Z");
    const auto put = [&text](char before, std::int64_t number, std::size_t digits) {
        std::array<char, 7> piece{before};
        for (std::size_t at = digits; at > 0; --at, number /= 10) piece[at] = static_cast<char>('0' + number % 10);
        text.append(piece.data(), digits + 1);
    };
    put('-', static_cast<unsigned>(date.month()), 2);
    put('-', static_cast<unsigned>(date.day()), 2);
    put('T', clock.hours().count(), 2);
    put(':', clock.minutes().count(), 2);
    put(':', clock.seconds().count(), 2);
    put('.', clock.subseconds().count(), 6);
    return text += 'Z';
}

std::optional<WallTime> parse_rfc3339(std::string_view text) {
    Cursor cursor{text};
    auto civil = parse_civil(cursor);
    if (!civil) return {};
    const char zone = cursor.one_of("Zz+-");
    std::chrono::minutes offset{0};
    if (zone == '+' || zone == '-') {
        const int hours = cursor.digits(2);
        cursor.one_of(":");
        const int minutes = cursor.digits(2);
        if (hours > 23 || minutes > 59) return {};
        offset = std::chrono::hours(hours) + std::chrono::minutes(minutes);
        if (zone == '-') offset = -offset;
    }
    if (!cursor.ok || !cursor.rest.empty()) return {};
    const auto& f = civil->fields;
    const Micros of_day =
        std::chrono::hours(f.tm_hour) + std::chrono::minutes(f.tm_min) + std::chrono::seconds(f.tm_sec);
    const WallTime time{civil->day.time_since_epoch() + of_day + civil->fraction - offset};
    // A zone or a leap second may carry it out of the years that have four digits: then it could not be written again.
    return time < kYear0 || time >= kYear10000 ? std::nullopt : std::optional(time);
}

std::optional<WallTime> parse_naive_local(std::string_view text) {
    Cursor cursor{text};
    auto civil = parse_civil(cursor);
    if (!civil || !cursor.rest.empty()) return {};
    civil->fields.tm_isdst = -1;  // mktime(3) looks it up
    const std::time_t t = std::mktime(&civil->fields);
    return WallTime{std::chrono::seconds(t) + civil->fraction};
}

}  // namespace luminous_healing
