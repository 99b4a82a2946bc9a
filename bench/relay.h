#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace luminous_healing::bench {

/// The answer to a frame; it stays until the next one is asked for.
using Answer = std::function<std::string_view(std::string_view frame)>;

/// The floor of every request: client -> relay -> server -> relay -> client, over a stream socket and a SOCK_SEQPACKET
/// pair as gate and executor use them. The first process parses nothing but newlines; the second does what `answer`
/// does. Serves on `path` until standard input ends; writes "ready" when it listens.
void serve_relay(const std::string& path, const Answer& answer);

}  // namespace luminous_healing::bench
