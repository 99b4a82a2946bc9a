#pragma once
// The messages between executor and gate, over one SOCK_SEQPACKET pair: whole messages or none, and a descriptor may
// ride along (SCM_RIGHTS, unix(7)). A packet carries one message or, where several wait, as many as it has room for: to
// the kernel each packet is memory to get, to queue and to give back. The executor takes nothing of a message for
// granted but its length.

#include "base/expected.h"
#include "base/strong.h"
#include "base/unique_fd.h"

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

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

/// Messages on their way out, sent in order and together: one sendmmsg(2) for all that are there.
class Outbox {
public:
    /// Takes a message, with a descriptor that rides along or none.
    void add(const Message& message, UniqueFd fd = {});
    /// The same for one that is encoded.
    void add(std::string_view encoded, UniqueFd fd = {});

    /// Sends them. The error's system_error is EAGAIN when it would block; what was not sent stays.
    [[nodiscard]] Expected<void> flush(int socket);

    [[nodiscard]] bool empty() const noexcept { return packets_.empty(); }
    [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
    void clear();

private:
    struct Packet {
        std::string bytes;
        UniqueFd fd;  // of its only message
    };
    [[nodiscard]] std::string& room_for(std::size_t size, UniqueFd fd);
    [[nodiscard]] std::string empty_packet();
    void drop_first();

    std::deque<Packet> packets_;
    std::vector<std::string> spare_;  // the memory of packets that were sent
    std::size_t bytes_ = 0;
};

/// Takes messages in, one recvmmsg(2) for all that are there.
class Inbox {
public:
    static constexpr std::size_t kMost = 16;  // packets at a time

    Inbox();
    struct Received {
        std::string_view bytes;  ///< of one message, or what is none; empty: the other end is closed
        UniqueFd fd;
    };
    /// At least one message. The views hold until the next call. The error's system_error is EAGAIN when there is none.
    /// Never waits.
    [[nodiscard]] Expected<std::span<Received>> receive(int socket);
    /// May there be more than the last call returned?
    [[nodiscard]] bool may_have_more() const noexcept { return was_full_; }

private:
    void take_apart(std::string_view packet, UniqueFd fd);

    std::unique_ptr<char[]> buffers_;  // of kMost packets; the kernel gives memory only to those that are used
    std::vector<Received> received_;
    bool was_full_ = false;
};

}  // namespace luminous_healing::executor
