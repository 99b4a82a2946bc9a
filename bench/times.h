#pragma once
// How long single operations took, and the one line of JSON that run.py reads.

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

namespace luminous_healing::bench {

using Clock = std::chrono::steady_clock;  // CLOCK_MONOTONIC

class Times {
public:
    explicit Times(std::size_t expected) { taken_.reserve(expected); }

    void add(Clock::duration taken) { taken_.push_back(taken); }

    /// One line. At least one has been added.
    [[nodiscard]] std::string as_json() {
        std::sort(taken_.begin(), taken_.end());
        Clock::duration sum{};
        for (const auto taken : taken_) sum += taken;
        std::array<char, 256> line{};
        std::snprintf(line.data(), line.size(),
                      "{\"count\":%zu,\"p50_us\":%.3f,\"p99_us\":%.3f,\"mean_us\":%.3f,\"least_us\":%.3f}\n",
                      taken_.size(), us(at(0.5)), us(at(0.99)), us(sum) / static_cast<double>(taken_.size()),
                      us(taken_.front()));
        return line.data();
    }

private:
    static double us(Clock::duration taken) { return std::chrono::duration<double, std::micro>(taken).count(); }
    [[nodiscard]] Clock::duration at(double share) const {
        return taken_[static_cast<std::size_t>(share * static_cast<double>(taken_.size() - 1) + 0.5)];
    }

    std::vector<Clock::duration> taken_;
};

/// Says what went wrong and ends: a benchmark that did not do what it says has no figure.
[[noreturn]] inline void give_up(const char* what) {
    std::fprintf(stderr, "%s\n", what);
    std::exit(1);
}

}  // namespace luminous_healing::bench
