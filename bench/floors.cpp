// bench_floors WHAT: the least that the kernel asks for each part of a request, and what peers cost.
//   relay SOCKET ANSWER-FILE              serves until standard input ends (bench/relay.h)
//   … LOG RECORD-FILE                     and makes a record durable before each answer
//   … fork, or PROGRAM [ARGUMENT…]        and then does that, and makes another record durable
//   sync FILE RECORD-FILE COUNT           appends the record and makes it durable, again and again
//   spawn COUNT PROGRAM [ARGUMENT…]       posix_spawn(3) of a program and waiting for its end
//   fork COUNT                            fork(2) of a child that ends at once, and waiting for it
// All but relay print one line of JSON (bench/times.h).

#include "base/file.h"
#include "base/text.h"
#include "base/unique_fd.h"
#include "bench/relay.h"
#include "bench/turns.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <string_view>

extern char** environ;

using namespace luminous_healing;
using namespace luminous_healing::bench;

namespace {

constexpr std::size_t kMaxBytes = 128 * 1024;
constexpr std::size_t kWarmUp = 2;

std::size_t number(std::string_view text) {
    const auto value = parse_integer<std::size_t>(text);
    if (!value || *value == 0) give_up("COUNT is a number");
    return *value;
}

std::string content(const std::string& path) {
    auto bytes = read_file(path, kMaxBytes);
    if (!bytes) give_up(bytes.error().message.c_str());
    return std::move(*bytes);
}

class Log {
public:
    Log(const char* path, std::string record)
        : file_(::open(path, O_WRONLY | O_APPEND | O_CREAT | O_TRUNC | O_CLOEXEC, 0640)), record_(std::move(record)) {
        if (!file_.valid()) give_up("open");
    }
    void append() const {
        if (::write(file_.get(), record_.data(), record_.size()) != static_cast<ssize_t>(record_.size()))
            give_up("write");
        if (::fdatasync(file_.get()) != 0) give_up("fdatasync");
    }

private:
    UniqueFd file_;
    std::string record_;
};

void spawn_and_wait(char** argv) {
    pid_t pid = 0;
    int status = 0;
    if (::posix_spawnp(&pid, argv[0], nullptr, nullptr, argv, environ) != 0) give_up("posix_spawn");
    if (::waitpid(pid, &status, 0) != pid || status != 0) give_up("the program failed");
}

void fork_and_wait() {
    const pid_t pid = ::fork();
    if (pid < 0) give_up("fork");
    if (pid == 0) ::_exit(0);
    ::waitpid(pid, nullptr, 0);
}

template <typename Work>
void measure_each(std::size_t count, const Work& work) {
    measure(kWarmUp, count, [&](std::size_t) { return time_of(work); });
}

/// What stands behind SOCKET and ANSWER-FILE: nothing; LOG and RECORD-FILE; and what is done between two records.
void relay(int argc, char** argv) {
    if (argc == 4) return serve_relay(argv[2], content(argv[3]));
    const Log log(argv[4], content(argv[5]));
    const std::string_view between = argc > 6 ? argv[6] : "";
    serve_relay(argv[2], content(argv[3]), [&] {
        log.append();
        if (between.empty()) return;
        if (between == "fork") fork_and_wait();
        else spawn_and_wait(argv + 6);
        log.append();
    });
}

}  // namespace

int main(int argc, char** argv) {
    const std::string_view what = argc > 1 ? argv[1] : "";
    if (what == "relay" && (argc == 4 || argc >= 6)) {
        relay(argc, argv);
    } else if (what == "sync" && argc == 5) {
        const Log log(argv[2], content(argv[3]));
        measure_each(number(argv[4]), [&] { log.append(); });
        ::unlink(argv[2]);
    } else if (what == "spawn" && argc >= 4) {
        measure_each(number(argv[2]), [&] { spawn_and_wait(argv + 3); });
    } else if (what == "fork" && argc == 3) {
        measure_each(number(argv[2]), fork_and_wait);
    } else {
        give_up(
            "usage: bench_floors relay SOCKET ANSWER-FILE [LOG RECORD-FILE [fork | PROGRAM…]] | "
            "sync FILE RECORD-FILE COUNT | spawn COUNT PROGRAM… | fork COUNT");
    }
    return 0;
}
