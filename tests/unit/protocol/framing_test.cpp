#include "protocol/framing.h"

#include <doctest/doctest.h>

using namespace luminous_healing::protocol;
using State = FrameSplitter::State;

namespace {

std::string frame_of(std::size_t size) {
    const std::string before = R"({"id":")";
    const std::string after = R"("})";
    return before + std::string(size - before.size() - after.size(), 'x') + after;
}

}  // namespace

TEST_CASE("a frame that comes byte by byte is complete at its last byte and not before") {
    const std::string frame = R"({"a":{"b":["}",{"c":"\"}\\"}]}})";
    FrameSplitter splitter;
    CHECK(splitter.poll() == State::incomplete);
    for (std::size_t i = 0; i < frame.size(); ++i) {
        CHECK(splitter.mid_frame() == (i > 0));
        splitter.feed(frame.substr(i, 1));
        CHECK(splitter.poll() == (i + 1 < frame.size() ? State::incomplete : State::frame));
    }
    CHECK(splitter.take() == frame);
    CHECK(splitter.poll() == State::incomplete);
    CHECK_FALSE(splitter.mid_frame());
    CHECK(splitter.buffered() == 0);
}

TEST_CASE("two frames in one write are two frames with or without white space between them") {
    for (const auto* const between : {"", "\n", " \t\r\n\n "}) {
        CAPTURE(between);
        FrameSplitter splitter;
        splitter.feed(std::string(between) + R"({"a":1})" + between + R"({"b":2})" + between);
        REQUIRE(splitter.poll() == State::frame);
        CHECK(splitter.poll() == State::frame);  // announced again until it is taken
        CHECK(splitter.take() == R"({"a":1})");
        REQUIRE(splitter.poll() == State::frame);
        CHECK(splitter.take() == R"({"b":2})");
        CHECK(splitter.poll() == State::incomplete);
        CHECK(splitter.buffered() == 0);
    }
}

TEST_CASE("a frame of 65536 bytes is taken and one byte more is oversize") {
    FrameSplitter fits;
    fits.feed(frame_of(65'536));
    REQUIRE(fits.poll() == State::frame);
    CHECK(fits.take().size() == 65'536);
    FrameSplitter too_long;
    too_long.feed(frame_of(65'537));
    CHECK(too_long.poll() == State::oversize);
    CHECK(too_long.poll() == State::oversize);
}

TEST_CASE("a frame without an end is oversize as soon as the bound is passed") {
    FrameSplitter splitter;
    splitter.feed("{\"");
    for (int i = 0; i < 65'534; ++i) {
        splitter.feed("x");
        if (splitter.poll() != State::incomplete) FAIL("too early at " << i);
    }
    splitter.feed("x");
    CHECK(splitter.poll() == State::oversize);
}

TEST_CASE("white space before a frame does not count and does not pile up") {
    FrameSplitter splitter;
    for (int i = 0; i < 100; ++i) {
        splitter.feed(std::string(4096, ' '));
        REQUIRE(splitter.poll() == State::incomplete);
        REQUIRE(splitter.buffered() == 0);
    }
    splitter.feed(frame_of(65'536));
    CHECK(splitter.poll() == State::frame);
}

TEST_CASE("a frame begins with a brace or the connection is garbage") {
    for (const auto* const bytes : {"[", "x", "\"", "}", "1", "\xef\xbb\xbf{}", "\x01", "\v{}"}) {
        CAPTURE(bytes);
        FrameSplitter splitter;
        splitter.feed(bytes);
        CHECK(splitter.poll() == State::garbage);
    }
    FrameSplitter after_a_frame;
    after_a_frame.feed("{}x");
    REQUIRE(after_a_frame.poll() == State::frame);
    CHECK(after_a_frame.take() == "{}");
    CHECK(after_a_frame.poll() == State::garbage);
}

TEST_CASE("brackets and quotes inside strings do not end a frame") {
    for (const auto* const frame :
         {R"({"a":"}"})", R"({"a":"{"})", R"({"a":"\""})", R"({"a":"\\"})", R"({"a":"\\\"}"})", R"({"}":"]"})"}) {
        CAPTURE(frame);
        FrameSplitter splitter;
        splitter.feed(frame);
        REQUIRE(splitter.poll() == State::frame);
        CHECK(splitter.take() == frame);
    }
}
