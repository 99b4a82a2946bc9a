#include "executor/channel.h"

#include "protocol/limits.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <cstring>
#include <vector>

namespace luminous_healing::executor {
namespace {

struct Header {
    std::uint32_t type;
    std::uint32_t reserved;
    std::uint64_t connection;
    std::uint64_t number;
    std::array<std::uint32_t, kMaxFields> lengths;
    std::uint32_t padding;
};
static_assert(sizeof(Header) == 48);

// A frame, or a framed response with its envelope; beyond this the message is cut, and so refused.
constexpr std::size_t kMaxMessage = sizeof(Header) + protocol::kMaxFrame * 2;

}  // namespace

Expected<std::pair<UniqueFd, UniqueFd>> make_channel() {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) return fail_errno("socketpair");
    std::pair<UniqueFd, UniqueFd> pair{UniqueFd(ends[0]), UniqueFd(ends[1])};
    if (::fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0) return fail_errno("fcntl O_NONBLOCK");
    return pair;
}

std::string encode(const Message& message) {
    Header header{};
    header.type = static_cast<std::uint32_t>(message.type);
    header.connection = message.connection.value();
    header.number = message.number;
    std::string bytes(sizeof(Header), '\0');
    for (std::size_t i = 0; i < kMaxFields; ++i) {
        header.lengths[i] = static_cast<std::uint32_t>(message.fields[i].size());
        bytes += message.fields[i];
    }
    std::memcpy(bytes.data(), &header, sizeof header);
    return bytes;
}

std::optional<Message> decode(std::string_view bytes) {
    Header header{};
    if (bytes.size() < sizeof header) return {};
    std::memcpy(&header, bytes.data(), sizeof header);
    Message message;
    if (header.type < static_cast<std::uint32_t>(MessageType::connection) ||
        header.type > static_cast<std::uint32_t>(MessageType::pong) || header.reserved != 0 || header.padding != 0)
        return {};
    message.type = static_cast<MessageType>(header.type);
    message.connection = ConnectionId(header.connection);
    message.number = header.number;
    std::string_view rest = bytes.substr(sizeof header);
    for (std::size_t i = 0; i < kMaxFields; ++i) {
        if (header.lengths[i] > rest.size()) return {};
        message.fields[i] = rest.substr(0, header.lengths[i]);
        rest.remove_prefix(header.lengths[i]);
    }
    if (!rest.empty()) return {};
    return message;
}

Expected<void> send_message(int socket, std::string_view bytes, int fd) {
    iovec piece{const_cast<char*>(bytes.data()), bytes.size()};  // NOLINT(*-const-cast): sendmsg(2) does not write
    msghdr header{};
    header.msg_iov = &piece;
    header.msg_iovlen = 1;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    if (fd >= 0) {
        header.msg_control = control.data();
        header.msg_controllen = control.size();
        cmsghdr* const rights = CMSG_FIRSTHDR(&header);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(sizeof(int));
        std::memcpy(CMSG_DATA(rights), &fd, sizeof fd);
    }
    while (::sendmsg(socket, &header, MSG_NOSIGNAL) < 0) {
        if (errno != EINTR) return fail_errno("sendmsg");
    }
    return {};
}

Expected<ReceivedMessage> receive_message(int socket) {
    static std::vector<char> buffer(kMaxMessage);
    iovec piece{buffer.data(), buffer.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr header{};
    header.msg_iov = &piece;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    ssize_t length = 0;
    while ((length = ::recvmsg(socket, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT)) < 0) {
        if (errno != EINTR) return fail_errno("recvmsg");
    }
    ReceivedMessage received;
    for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS || c->cmsg_len < CMSG_LEN(sizeof(int))) continue;
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(c), sizeof fd);
        received.fd.reset(fd);
    }
    if ((header.msg_flags & MSG_TRUNC) != 0) return fail("a message longer than any may be", EMSGSIZE);
    received.bytes.assign(buffer.data(), static_cast<std::size_t>(length));
    return received;
}

}  // namespace luminous_healing::executor
