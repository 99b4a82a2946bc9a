#pragma once
// The messages between executor and gate, over one SOCK_SEQPACKET pair: whole messages or none, and a descriptor may
// ride along (SCM_RIGHTS, unix(7)). The executor takes nothing of a message for granted but its length.

#include "base/expected.h"
#include "base/strong.h"
#include "base/unique_fd.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace luminous_healing::executor {

enum class MessageType : std::uint32_t {
    // executor to gate
    connection = 1,  ///< a descriptor rides along; number = the peer's uid
    write,           ///< field 0 = bytes for the connection; number = WriteFlags
    ping,
    // gate to executor
    request_v2,  ///< fields: caller, mac (32 bytes), signed request bytes
    request_v1,  ///< fields: id, action, timestamp, signature (32 bytes), parameters
    malformed,   ///< field 0 = why, for the journal; the gate has stopped reading the connection
    closed,      ///< the connection is gone
    pong,
};

enum WriteFlags : std::uint64_t {
    kAnswersRequest = 1,  ///< one request less in flight
    kCloseAfter = 2,      ///< close when these bytes are written
};

inline constexpr std::size_t kMaxFields = 5;

struct Message {
    MessageType type{};
    ConnectionId connection{};
    std::uint64_t number = 0;
    std::array<std::string_view, kMaxFields> fields{};
};

/// Both ends of a new pair, close-on-exec, non-blocking at the first (the executor's) only: the gate may wait for the
/// executor, never the other way round.
[[nodiscard]] Expected<std::pair<UniqueFd, UniqueFd>> make_channel();

[[nodiscard]] std::string encode(const Message& message);

/// The views point into `bytes`. Nothing for anything but exactly one well-formed message.
[[nodiscard]] std::optional<Message> decode(std::string_view bytes);

/// Sends one encoded message, with a descriptor when `fd` >= 0. The error's system_error is EAGAIN when it would block.
[[nodiscard]] Expected<void> send_message(int socket, std::string_view bytes, int fd = -1);

struct ReceivedMessage {
    std::string bytes;  ///< empty: the other end is closed
    UniqueFd fd;
};
/// Receives one message; the error's system_error is EAGAIN when there is none. Never waits.
[[nodiscard]] Expected<ReceivedMessage> receive_message(int socket);

}  // namespace luminous_healing::executor
