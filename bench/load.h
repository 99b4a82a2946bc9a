#pragma once
// The client's side of every measurement on a socket. Daemon, relay and prototype are asked by the same code.

#include "base/unique_fd.h"
#include "bench/frames.h"

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <string_view>

namespace luminous_healing::bench {

struct LoadOptions {
    std::string socket;
    std::size_t count = 1000;   ///< timed requests
    std::size_t warm_up = 50;   ///< before them
    bool connect_each = false;  ///< a connection for each request; version 1 has no other way
    std::string expect;         ///< what every answer must contain …
    std::string refuse;         ///< … and none may
    uid_t uids = 0;             ///< with connect_each: connect as uids, uids + 1, …, in turn; 0: as ourselves
    std::size_t uid_count = 200;
    std::size_t clients = 64;  ///< throughput: connections
    std::size_t window = 16;   ///< throughput: unanswered requests on each
};

/// One request at a time, each timed from its first byte (or from socket(2)) to the last byte of its answer.
void measure_latency(const LoadOptions& options, const Frames& frames);

/// Many connections, each with a window of unanswered requests; timed from the first byte to the last answer.
void measure_throughput(const LoadOptions& options, const Frames& frames);

[[nodiscard]] UniqueFd connect_to(const std::string& path);
void send_all(int socket, std::string_view bytes);
/// Ends the program unless the answer is what it must be.
void check_answer(const LoadOptions& options, std::string_view answer);

}  // namespace luminous_healing::bench
