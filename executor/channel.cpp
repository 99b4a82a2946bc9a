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
constexpr std::size_t kPacket = 16 * 1024;  // bytes of several messages in a packet; a longer message has its own
constexpr std::size_t kSpare = 4;           // packets whose memory is kept

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

/// The space for one descriptor has room for two, for alignment: the kernel gives as many as fit. All are taken, so
/// that none is left open by whoever sends too many, and the last is kept.
UniqueFd descriptor_in(msghdr& header) {
    UniqueFd found;
    for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
        for (std::size_t at = 0; CMSG_LEN(at + sizeof(int)) <= c->cmsg_len; at += sizeof(int)) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(c) + at, sizeof fd);
            found.reset(fd);
        }
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

namespace {

std::size_t encoded_size(const Message& message) {
    std::size_t size = sizeof(Header);
    for (const auto field : message.fields) size += field.size();
    return size;
}

void encode_to(std::string& bytes, const Message& message) {
    Header header{};
    header.type = static_cast<std::uint32_t>(message.type);
    header.connection = message.connection.value();
    header.number = message.number;
    for (std::size_t i = 0; i < kMaxFields; ++i)
        header.lengths[i] = static_cast<std::uint32_t>(message.fields[i].size());
    bytes.append(reinterpret_cast<const char*>(&header), sizeof header);
    for (const auto field : message.fields) bytes += field;
}

/// How many bytes at the front of a packet are its first message, as that says; all of them where it cannot be so.
std::size_t first_message(std::string_view packet) {
    Header header{};
    if (packet.size() < sizeof header) return packet.size();
    std::memcpy(&header, packet.data(), sizeof header);
    std::size_t size = sizeof header;
    for (const auto length : header.lengths) size += length;
    return std::min(size, packet.size());
}

}  // namespace

std::string encode(const Message& message) {
    std::string bytes;
    bytes.reserve(encoded_size(message));
    encode_to(bytes, message);
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

std::string Outbox::empty_packet() {
    if (spare_.empty()) return {};
    std::string packet = std::move(spare_.back());
    spare_.pop_back();
    return packet;
}

void Outbox::drop_first() {
    std::string& sent = packets_.front().bytes;
    bytes_ -= sent.size();
    if (spare_.size() < kSpare && sent.capacity() <= 2 * kPacket) {
        sent.clear();
        spare_.push_back(std::move(sent));
    }
    packets_.pop_front();
}

/// The last packet, while it has room, else a new one. A descriptor's message has a packet to itself.
std::string& Outbox::room_for(std::size_t size, UniqueFd fd) {
    bytes_ += size;
    const bool fits = !packets_.empty() && !fd.valid() && !packets_.back().fd.valid() &&
                      packets_.back().bytes.size() + size <= kPacket;
    if (!fits) packets_.push_back({empty_packet(), std::move(fd)});
    return packets_.back().bytes;
}

void Outbox::add(const Message& message, UniqueFd fd) {
    encode_to(room_for(encoded_size(message), std::move(fd)), message);
}

void Outbox::add(std::string_view encoded, UniqueFd fd) { room_for(encoded.size(), std::move(fd)) += encoded; }

void Outbox::clear() {
    packets_.clear();
    bytes_ = 0;
}

Expected<void> Outbox::flush(int socket) {
    std::array<Slot, Inbox::kMost> slots;       // NOLINT(*-member-init): those that are used are written below
    std::array<mmsghdr, Inbox::kMost> headers;  // NOLINT(*-member-init): likewise
    while (!packets_.empty()) {
        const std::size_t count = std::min(packets_.size(), slots.size());
        for (std::size_t i = 0; i < count; ++i) {
            std::string& bytes = packets_[i].bytes;
            headers[i].msg_hdr = slots[i].header(bytes.data(), bytes.size());
            slots[i].carry(headers[i].msg_hdr, packets_[i].fd.get());
        }
        const int sent = ::sendmmsg(socket, headers.data(), static_cast<unsigned>(count), MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0) return fail_errno("sendmmsg");
        for (int i = 0; i < sent; ++i) drop_first();
    }
    return {};
}

Inbox::Inbox() : buffers_(std::make_unique_for_overwrite<char[]>(kMost * kMaxMessage)) {}

void Inbox::take_apart(std::string_view packet, UniqueFd fd) {
    do {
        const auto size = first_message(packet);
        received_.push_back({packet.substr(0, size), std::move(fd)});
        fd = UniqueFd();  // it came with the first message
        packet.remove_prefix(size);
    } while (!packet.empty());
}

Expected<std::span<Inbox::Received>> Inbox::receive(int socket) {
    std::array<Slot, kMost> slots;       // NOLINT(*-member-init): written below
    std::array<mmsghdr, kMost> headers;  // NOLINT(*-member-init): likewise
    for (std::size_t i = 0; i < kMost; ++i) {
        headers[i].msg_hdr = slots[i].header(buffers_.get() + i * kMaxMessage, kMaxMessage);
        headers[i].msg_hdr.msg_control = slots[i].control.data();
        headers[i].msg_hdr.msg_controllen = slots[i].control.size();
    }
    was_full_ = false;
    int count = 0;
    while ((count = ::recvmmsg(socket, headers.data(), kMost, MSG_CMSG_CLOEXEC | MSG_DONTWAIT, nullptr)) < 0) {
        if (errno != EINTR) return fail_errno("recvmmsg");
    }
    received_.clear();
    was_full_ = static_cast<std::size_t>(count) == kMost;
    bool cut = false;
    for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
        take_apart({buffers_.get() + i * kMaxMessage, headers[i].msg_len}, descriptor_in(headers[i].msg_hdr));
        cut = cut || (headers[i].msg_hdr.msg_flags & MSG_TRUNC) != 0;
    }
    if (cut) return fail("a message longer than any may be", EMSGSIZE);
    return std::span(received_);
}

}  // namespace luminous_healing::executor
