#pragma once
// Sliding windows, exact to the request: a request counts for exactly `window` after it was granted. Pure: time is an
// argument. One bucket for each exact name; only granted requests count.

#include "base/clock.h"
#include "policy/config.h"

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <unordered_map>

namespace luminous_healing::policy {

class Limiter {
public:
    /// Nothing if a request at `now` fits, else how long until one will.
    [[nodiscard]] std::optional<Micros> wait_for(const std::string& bucket, const RateLimit& limit, BootTime now) const;

    /// How many more fit at `now`.
    [[nodiscard]] std::uint32_t remaining(const std::string& bucket, const RateLimit& limit, BootTime now) const;

    /// Counts one granted request. Forgets what has left the window.
    void take(const std::string& bucket, const RateLimit& limit, BootTime now);

    /// Takes back the newest request of the bucket granted at `when`: its intent could not be recorded, nothing ran.
    void give_back(const std::string& bucket, BootTime when);

private:
    std::unordered_map<std::string, std::deque<BootTime>> granted_;
};

}  // namespace luminous_healing::policy
