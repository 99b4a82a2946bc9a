#include "executor/channel.h"

#include <doctest/doctest.h>

#include <cerrno>

namespace luminous_healing::executor {
namespace {

const Message kRequest{.type = MessageType::request_v2,
                       .connection = ConnectionId(7),
                       .number = 3,
                       .fields = {"tester", "mac", "{\"id\":\"r1\"}"}};

}  // namespace

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

TEST_CASE("a message arrives whole, and a longer one than any may be is refused") {
    const auto channel = make_channel();
    REQUIRE(channel);
    const auto empty = receive_message(channel->first.get());
    REQUIRE_FALSE(empty);
    CHECK(empty.error().system_error == EAGAIN);
    const std::string bytes = encode(kRequest);
    REQUIRE(send_message(channel->second.get(), bytes));
    const auto received = receive_message(channel->first.get());
    REQUIRE(received);
    CHECK(received->bytes == bytes);
    REQUIRE(send_message(channel->second.get(), std::string(140'000, 'x')));
    const auto too_long = receive_message(channel->first.get());
    REQUIRE_FALSE(too_long);
    CHECK(too_long.error().system_error == EMSGSIZE);
}

}  // namespace luminous_healing::executor
