#pragma once
// Keeps the log from being filled by whoever repeats himself: of one kind of event from one peer, the first ten in a
// minute are recorded one by one, the others are counted, and the count is recorded when the minute is over.

#include "audit/record.h"
#include "base/clock.h"
#include "protocol/code.h"

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

namespace luminous_healing::executor {

class Folding {
public:
    static constexpr std::uint32_t kRecorded = 10;  // of one kind in one window
    static constexpr Micros kWindow = 1min;
    static constexpr std::size_t kMaxKinds = 4096;  // beyond it everything new is counted together

    /// True: record it. False: it has been counted.
    [[nodiscard]] bool admit(protocol::Code code, uid_t uid, const std::string& caller, BootTime now);

    struct Suppressed {
        protocol::Code code;
        uid_t uid;
        std::string caller;
        std::int64_t count;
    };
    /// The counts of windows that are over; with `all` of every window.
    [[nodiscard]] std::vector<Suppressed> collect(BootTime now, bool all);

    [[nodiscard]] bool empty() const noexcept { return windows_.empty(); }

private:
    struct Key {
        protocol::Code code;
        uid_t uid;
        std::string caller;
        bool operator==(const Key&) const = default;
    };
    struct Hash {
        std::size_t operator()(const Key& key) const noexcept {
            return std::hash<std::string>{}(key.caller) ^ (std::size_t{key.uid} << 8U) ^
                   static_cast<std::size_t>(key.code);
        }
    };
    struct Window {
        BootTime since;
        std::uint32_t recorded = 0;
        std::int64_t suppressed = 0;
    };
    std::unordered_map<Key, Window, Hash> windows_;
};

}  // namespace luminous_healing::executor
