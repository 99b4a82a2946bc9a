#pragma once
// The gate: the only process that reads bytes of unknown origin. It holds no key, no capability, no path of the file
// system, and may make only the system calls listed in seccomp.cpp. It cuts the stream into frames, parses envelopes,
// enforces size, time and count, and hands what looks like a request to the executor. Whoever takes it over can send
// the executor rubbish, and can read and answer the connections of the moment, no more: answers need a key.

namespace luminous_healing::executor {

/// The gate's main; the program is started again as `luminous-healingd --gate` with the channel as descriptor 3, so
/// that it never shared memory with the executor. Returns the exit status.
[[nodiscard]] int run_gate();

inline constexpr int kGateChannel = 3;  // descriptor number

}  // namespace luminous_healing::executor
