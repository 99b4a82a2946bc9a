#include "executor/worker_side.h"

#include "executor/report.h"

#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include <array>
#include <cstdint>
#include <string>

using namespace luminous_healing;
using namespace luminous_healing::executor;

namespace {

enum class Starter { stays, ends };

/// A worker that is given the word to go by its starter, and reads it when that has ended, or not: what it reports.
std::string report_of_worker(Starter starter) {
    std::array<int, 2> report{};
    std::array<int, 2> control{};
    REQUIRE(::pipe(report.data()) == 0);
    REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, control.data()) == 0);
    const pid_t executor = ::fork();
    if (executor == 0) {
        const pid_t parent = ::getpid();
        const pid_t worker = ::fork();
        if (worker == 0) {
            const int mine = away(report[1]);
            const int word = away(control[0]);
            ::dup2(mine, kWorkerReport);
            ::dup2(word, kWorkerControl);
            while (starter == Starter::ends && ::getppid() == parent) ::sched_yield();
            (void)await_go(parent);
            ::_exit(::write(mine, "begun", 5) == 5 ? 0 : 1);
        }
        const std::int64_t word = 0;
        (void)::send(control[1], &word, sizeof word, 0);
        if (starter == Starter::stays) ::waitpid(worker, nullptr, 0);
        ::_exit(0);
    }
    ::close(report[1]);
    std::string said;
    std::array<char, 256> piece{};
    for (ssize_t n = 0; (n = ::read(report[0], piece.data(), piece.size())) > 0;)
        said.append(piece.data(), static_cast<std::size_t>(n));
    ::waitpid(executor, nullptr, 0);
    for (const int fd : {report[0], control[0], control[1]}) ::close(fd);
    return said;
}

}  // namespace

TEST_CASE("a worker begins with the word of an executor that is there") {
    CHECK(report_of_worker(Starter::stays) == "begun");
}

TEST_CASE("a worker that reads the word only when its executor has ended does not begin") {
    ReportReader reader;
    reader.feed(report_of_worker(Starter::ends));
    const auto message = reader.next();
    REQUIRE(message.has_value());
    const bool gave_up = message->kind == WorkerMessage::Kind::setup;
    CHECK(gave_up);
    CHECK(message->text == "whoever started it has ended");
}
