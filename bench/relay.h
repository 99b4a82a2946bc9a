#pragma once

#include <functional>
#include <string>

namespace luminous_healing::bench {

/// The floor of every request: client -> relay -> server -> relay -> client, over a stream socket and a SOCK_SEQPACKET
/// pair as gate and executor use them, with our requests' and answers' bytes. Nothing is parsed but newlines, nothing
/// is decided, checked or recorded. Serves on `path` until standard input ends; writes "ready" when it listens. The
/// server does `work` before each answer.
void serve_relay(const std::string& path, const std::string& answer, const std::function<void()>& work = {});

}  // namespace luminous_healing::bench
