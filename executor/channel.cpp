#include "executor/channel.h"

#include "protocol/limits.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

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

/// What a message header of the kernel points to.
struct Slot {
    iovec piece;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control;

    msghdr header(char* bytes, std::size_t size) {
        piece = {bytes, size};
        msghdr header{};
        header.msg_iov = &piece;
        header.msg_iovlen = 1;
        return header;
    }
    void carry(msghdr& header, int fd) {
        if (fd < 0) return;
        control.fill(0);
        header.msg_control = control.data();
        header.msg_controllen = control.size();
        cmsghdr* const rights = CMSG_FIRSTHDR(&header);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(sizeof(int));
        std::memcpy(CMSG_DATA(rights), &fd, sizeof fd);
    }
};

UniqueFd descriptor_in(msghdr& header) {
    UniqueFd found;
    for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS || c->cmsg_len < CMSG_LEN(sizeof(int))) continue;
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(c), sizeof fd);
        found.reset(fd);
    }
    return found;
}

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

void Outbox::add(std::string bytes, UniqueFd fd) {
    bytes_ += bytes.size();
    queue_.push_back({std::move(bytes), std::move(fd)});
}

void Outbox::clear() {
    queue_.clear();
    bytes_ = 0;
}

Expected<void> Outbox::flush(int socket) {
    std::array<Slot, Inbox::kMost> slots{};
    std::array<mmsghdr, Inbox::kMost> headers{};
    while (!queue_.empty()) {
        const std::size_t count = std::min(queue_.size(), slots.size());
        for (std::size_t i = 0; i < count; ++i) {
            std::string& bytes = queue_[i].bytes;
            headers[i].msg_hdr = slots[i].header(bytes.data(), bytes.size());
            slots[i].carry(headers[i].msg_hdr, queue_[i].fd.get());
        }
        const int sent = ::sendmmsg(socket, headers.data(), static_cast<unsigned>(count), MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0) return fail_errno("sendmmsg");
        for (int i = 0; i < sent; ++i) {
            bytes_ -= queue_.front().bytes.size();
            queue_.pop_front();
        }
    }
    return {};
}

Inbox::Inbox() : buffers_(std::make_unique_for_overwrite<char[]>(kMost * kMaxMessage)) {}

Expected<std::span<Inbox::Received>> Inbox::receive(int socket) {
    std::array<Slot, kMost> slots{};
    std::array<mmsghdr, kMost> headers{};
    for (std::size_t i = 0; i < kMost; ++i) {
        headers[i].msg_hdr = slots[i].header(buffers_.get() + i * kMaxMessage, kMaxMessage);
        headers[i].msg_hdr.msg_control = slots[i].control.data();
        headers[i].msg_hdr.msg_controllen = slots[i].control.size();
    }
    int count = 0;
    while ((count = ::recvmmsg(socket, headers.data(), kMost, MSG_CMSG_CLOEXEC | MSG_DONTWAIT, nullptr)) < 0) {
        if (errno != EINTR) return fail_errno("recvmmsg");
    }
    for (auto& old : received_) old.fd.reset();
    bool cut = false;
    for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
        received_[i].bytes = {buffers_.get() + i * kMaxMessage, headers[i].msg_len};
        received_[i].fd = descriptor_in(headers[i].msg_hdr);
        cut = cut || (headers[i].msg_hdr.msg_flags & MSG_TRUNC) != 0;
    }
    if (cut) return fail("a message longer than any may be", EMSGSIZE);
    return std::span(received_).first(static_cast<std::size_t>(count));
}

}  // namespace luminous_healing::executor
