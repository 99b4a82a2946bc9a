#pragma once
// One connection to the daemon's Unix stream socket, with deadlines on CLOCK_BOOTTIME. See unix(7), connect(2).
//
// Error::system_error tells what to do about a failure:
//   ENOENT, EACCES, ECONNREFUSED  no connection: the message says what mends it
//   ETIMEDOUT                     the deadline passed
//   ECONNRESET                    the connection was lost, maybe in the middle of a frame
//   EMSGSIZE, EBADMSG             a frame over kMaxFrame, or bytes that are no frame

#include "base/clock.h"
#include "base/expected.h"
#include "base/unique_fd.h"
#include "protocol/framing.h"

#include <string>
#include <string_view>

namespace luminous_healing::client {

class Connection {
public:
    [[nodiscard]] static Expected<Connection> open(const std::string& socket_path, BootTime deadline);

    [[nodiscard]] Expected<void> send(std::string_view bytes, BootTime deadline);

    /// The next whole frame.
    [[nodiscard]] Expected<std::string> receive(BootTime deadline);

private:
    explicit Connection(UniqueFd socket) : socket_(std::move(socket)) {}
    [[nodiscard]] Expected<void> wait(short events, BootTime deadline) const;
    [[nodiscard]] Expected<void> read_more(BootTime deadline);

    UniqueFd socket_;
    protocol::FrameSplitter splitter_;
};

}  // namespace luminous_healing::client
