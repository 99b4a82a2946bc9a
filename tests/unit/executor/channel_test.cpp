#include "executor/channel.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <iterator>

using namespace luminous_healing;
using namespace luminous_healing::executor;

namespace {

const Message kRequest{.type = MessageType::request_v2,
                       .connection = ConnectionId(7),
                       .number = 3,
                       .fields = {"tester", "mac", "{\"id\":\"r1\"}"}};

struct Ends {
    UniqueFd first;  // does not wait
    UniqueFd second;
};

Ends make_ends() {
    auto pair = std::move(make_channel().value());  // throws when there is none
    return {std::move(pair.first), std::move(pair.second)};
}

std::string numbered(std::uint64_t number) { return encode({.type = MessageType::write, .number = number}); }

}  // namespace

TEST_CASE("messages arrive in their order, however many were sent together") {
    const Ends ends = make_ends();
    Inbox inbox;
    Outbox outbox;
    std::uint64_t next = 0;
    for (const std::size_t count : {1U, 2U, 1000U, 3U}) {
        for (std::size_t i = 0; i < count; ++i) outbox.add(numbered(next + i));
        REQUIRE(outbox.flush(ends.second.get()));
        CHECK(outbox.empty());
        CHECK(outbox.bytes() == 0);
        std::size_t taken = 0;
        while (taken < count) {
            const auto received = inbox.receive(ends.first.get());
            REQUIRE(received);
            REQUIRE_FALSE(received->empty());
            for (const auto& one : *received) {
                const auto message = decode(one.bytes);
                REQUIRE(message);
                CHECK(message->number == next + taken++);
            }
        }
        next += count;
    }
    CHECK(inbox.receive(ends.first.get()).error().system_error == EAGAIN);
    CHECK_FALSE(inbox.may_have_more());
}

TEST_CASE("messages that wait together share packets, and none is larger than one packet holds of several") {
    const Ends ends = make_ends();
    Outbox outbox;
    constexpr std::size_t kMessages = 300;
    for (std::size_t i = 0; i < kMessages; ++i) outbox.add(numbered(i));
    REQUIRE(outbox.flush(ends.second.get()));
    std::string packet(1U << 20U, '\0');
    std::size_t packets = 0;
    for (std::size_t bytes = 0; bytes < kMessages * numbered(0).size(); ++packets) {
        const ssize_t n = ::recv(ends.first.get(), packet.data(), packet.size(), 0);
        REQUIRE(n > 0);
        CHECK(n <= 16 * 1024);
        bytes += static_cast<std::size_t>(n);
    }
    CHECK(packets == 1);
}

TEST_CASE("a packet that does not hold whole messages to its end has one that is none") {
    const Ends ends = make_ends();
    const std::string good = encode(kRequest);
    for (const std::size_t cut : {std::size_t{1}, std::size_t{47}, std::size_t{48}, good.size() - 1}) {
        CAPTURE(cut);
        const std::string packet = good + good.substr(0, cut);
        REQUIRE(::send(ends.second.get(), packet.data(), packet.size(), 0) > 0);
        Inbox inbox;
        const auto received = inbox.receive(ends.first.get());
        REQUIRE(received);
        REQUIRE(received->size() == 2);
        CHECK(decode((*received)[0].bytes));
        CHECK_FALSE(decode((*received)[1].bytes));
    }
}

TEST_CASE("a descriptor arrives with its own message") {
    const Ends ends = make_ends();
    Outbox outbox;
    outbox.add(numbered(1));
    UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    outbox.add(numbered(2), std::move(null));
    outbox.add(numbered(3));
    REQUIRE(outbox.flush(ends.second.get()));
    Inbox inbox;
    const auto received = inbox.receive(ends.first.get());
    REQUIRE(received);
    REQUIRE(received->size() == 3);
    CHECK_FALSE((*received)[0].fd.valid());
    CHECK((*received)[1].fd.valid());
    CHECK_FALSE((*received)[2].fd.valid());
    CHECK((::fcntl((*received)[1].fd.get(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("A44: a message with more descriptors than one leaves none of them open") {
    const Ends ends = make_ends();
    const auto open_now = [] {
        return std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                             std::filesystem::directory_iterator());
    };
    const auto before = open_now();
    {
        std::string bytes = numbered(1);
        const std::array<int, 3> fds{0, 1, 2};
        alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof fds)> control{};
        iovec piece{bytes.data(), bytes.size()};
        msghdr header{};
        header.msg_iov = &piece;
        header.msg_iovlen = 1;
        header.msg_control = control.data();
        header.msg_controllen = control.size();
        cmsghdr* const rights = CMSG_FIRSTHDR(&header);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(sizeof fds);
        std::memcpy(CMSG_DATA(rights), fds.data(), sizeof fds);
        REQUIRE(::sendmsg(ends.second.get(), &header, 0) == static_cast<ssize_t>(bytes.size()));
        Inbox inbox;
        const auto received = inbox.receive(ends.first.get());
        REQUIRE(received);
        CHECK((*received)[0].fd.valid());  // and the executor wants no message with one
    }
    CHECK(open_now() == before);
}

TEST_CASE("what does not fit stays, in its order, until there is room") {
    const Ends ends = make_ends();
    Outbox outbox;
    const std::string large(60'000, 'x');
    std::uint64_t sent = 0;
    while (true) {
        outbox.add(encode({.type = MessageType::write, .number = sent++, .fields = {large}}));
        const auto flushed = outbox.flush(ends.first.get());
        if (flushed) continue;
        CHECK(flushed.error().system_error == EAGAIN);
        break;
    }
    CHECK_FALSE(outbox.empty());
    outbox.add(numbered(sent++));
    Inbox inbox;
    std::uint64_t expected = 0;
    while (expected < sent) {
        const auto received = inbox.receive(ends.second.get());
        REQUIRE(received);
        for (const auto& one : *received) CHECK(decode(one.bytes)->number == expected++);
        (void)outbox.flush(ends.first.get());
    }
}

TEST_CASE("an end that is closed is an empty message after what it has said") {
    Ends ends = make_ends();
    Outbox outbox;
    outbox.add(numbered(7));
    REQUIRE(outbox.flush(ends.second.get()));
    ends.second.reset();
    Inbox inbox;
    const auto received = inbox.receive(ends.first.get());
    REQUIRE(received);
    REQUIRE(received->size() >= 1);
    CHECK(decode((*received)[0].bytes)->number == 7);
    if (received->size() > 1) {
        CHECK((*received)[1].bytes.empty());
        return;
    }
    const auto closed = inbox.receive(ends.first.get());
    REQUIRE(closed);
    CHECK((*closed)[0].bytes.empty());
}

TEST_CASE("a message longer than any may be is an error") {
    const Ends ends = make_ends();
    const int size = 1 << 20;
    REQUIRE(::setsockopt(ends.second.get(), SOL_SOCKET, SO_SNDBUF, &size, sizeof size) == 0);
    const std::string long_one(200'000, 'x');
    if (::send(ends.second.get(), long_one.data(), long_one.size(), MSG_DONTWAIT) < 0) return;  // the kernel's limit
    Inbox inbox;
    CHECK(inbox.receive(ends.first.get()).error().system_error == EMSGSIZE);
}

TEST_CASE("a message is understood as it was meant") {
    const std::string bytes = encode(kRequest);
    const auto message = decode(bytes);
    REQUIRE(message);
    CHECK(message->type == MessageType::request_v2);
    CHECK(message->connection == ConnectionId(7));
    CHECK(message->number == 3);
    CHECK(message->fields == kRequest.fields);
}

TEST_CASE("bytes that are not exactly one message are none") {
    const std::string good = encode(kRequest);
    CHECK_FALSE(decode(""));
    CHECK_FALSE(decode(good + "x"));
    for (std::size_t size = 0; size < good.size(); ++size) CHECK_FALSE(decode(std::string_view(good).substr(0, size)));
    // By offset: the type, the reserved bytes after it, the length of a field, the padding after the lengths.
    for (const std::size_t at : {std::size_t{0}, std::size_t{4}, std::size_t{24}, std::size_t{44}}) {
        CAPTURE(at);
        std::string bad = good;
        bad[at] = '\x7F';
        CHECK_FALSE(decode(bad));
    }
    CHECK_FALSE(decode(encode({.type = static_cast<MessageType>(0)})));
    CHECK_FALSE(decode(encode({.type = static_cast<MessageType>(9)})));
}

TEST_CASE("a longer message than any may be is refused") {
    const Ends ends = make_ends();
    Outbox outbox;
    outbox.add(std::string(140'000, 'x'));
    REQUIRE(outbox.flush(ends.second.get()));
    Inbox inbox;
    const auto received = inbox.receive(ends.first.get());
    REQUIRE_FALSE(received);
    CHECK(received.error().system_error == EMSGSIZE);
}
