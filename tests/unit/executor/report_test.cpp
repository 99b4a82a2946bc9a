#include "executor/report.h"

#include <doctest/doctest.h>

using namespace luminous_healing::executor;

TEST_CASE("what the bus proxy refused reaches the executor apart from what the worker says, on one line") {
    ReportReader reader;
    reader.feed(encode_text(WorkerMessage::Kind::progress, "restarting"));
    reader.feed(encode_text(WorkerMessage::Kind::refused, "StopUnit of\nother.service"));
    const auto said = reader.next();
    const auto refused = reader.next();
    REQUIRE(said.has_value());
    REQUIRE(refused.has_value());
    const bool said_is_progress = said->kind == WorkerMessage::Kind::progress;
    const bool refused_is_refused = refused->kind == WorkerMessage::Kind::refused;
    CHECK(said_is_progress);
    CHECK(refused_is_refused);
    CHECK(refused->text.find('\n') == std::string::npos);
    CHECK_FALSE(reader.broken());
}

TEST_CASE("a message of a kind that nobody knows ends what is believed of a worker") {
    ReportReader reader;
    reader.feed(std::string("x\0\0\0\0", 5));
    reader.feed(encode_text(WorkerMessage::Kind::progress, "more"));
    CHECK_FALSE(reader.next().has_value());
    CHECK(reader.broken());
    CHECK_FALSE(reader.next().has_value());
}
