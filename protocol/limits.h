#pragma once
// Every bound of the wire in one place (docs: luminous-healing-protocol(7), "LIMITS").

#include "base/clock.h"

#include <cstddef>

namespace luminous_healing::protocol {

inline constexpr std::size_t kMaxFrame = 65'536;      // bytes, each way
inline constexpr std::size_t kMaxDepth = 32;          // of nested objects and arrays
inline constexpr std::size_t kMaxIdLength = 128;      // characters
inline constexpr std::size_t kMaxReason = 512;        // bytes
inline constexpr std::size_t kMaxOutput = 16 * 1024;  // bytes of `output`, before escaping
inline constexpr std::size_t kMaxError = 1024;        // bytes of `error`
inline constexpr std::size_t kMaxResult =
    12 * 1024;  // bytes of `result` as JSON; with the two above one frame holds it
inline constexpr std::size_t kMaxConnections = 256;
inline constexpr std::size_t kMaxConnectionsPerUid = 32;  // root is exempt
inline constexpr std::size_t kSpareConnections = 64;      // the last of them, for uids with few and for root
inline constexpr std::size_t kMaxConnectionsInCrowd = 4;  // of a uid, where only those are left
inline constexpr std::size_t kMaxInFlight = 32;           // requests of one connection
inline constexpr std::size_t kMaxInFlightPerUid = 32;     // requests of all its connections; root is exempt
inline constexpr Micros kFrameTimeout = 5s;               // from a frame's first byte to its last
inline constexpr Micros kIdleTimeout = 5min;
inline constexpr Micros kWriteTimeout = 30s;  // a client that does not take its answers

}  // namespace luminous_healing::protocol
