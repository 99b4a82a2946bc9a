// bench_floors WHAT: the least that the kernel asks for each part of a request, and what peers cost.
//   relay SOCKET ANSWER-FILE              serves until standard input ends (bench/relay.h)
//   … signing CALLERS-FILE                reads and checks each request and signs each answer (bench/signing.h)
//   … LOG RECORD-FILE                     makes a record durable before each answer
//   … fork, or PROGRAM [ARGUMENT…]        and then does that, and makes another record durable
//   … confined HIDDEN kill_process,       and then does that as a worker of ours does (bench/confined.h), and makes
//     or confined HIDDEN USER PROGRAM…    another record durable
//   sync FILE RECORD-FILE COUNT           appends the record and makes it durable, again and again
//   spawn COUNT PROGRAM [ARGUMENT…]       posix_spawn(3) of a program and waiting for its end
//   fork COUNT                            fork(2) of a child that ends at once, and waiting for it
// All but relay print one line of JSON (bench/times.h).

#include "base/file.h"
#include "base/text.h"
#include "base/unique_fd.h"
#include "bench/confined.h"
#include "bench/relay.h"
#include "bench/signing.h"
#include "bench/turns.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <memory>
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

/// What is done between two records.
std::function<void(std::string_view frame)> step_of(char** words) {
    const std::string_view what = words[0];
    if (what == "fork") return [](std::string_view) { fork_and_wait(); };
    if (what != "confined") return [words](std::string_view) { spawn_and_wait(words); };
    if (words[1] == nullptr || words[2] == nullptr) give_up("confined HIDDEN WHAT");
    const auto confined = std::make_shared<Confined>(words[1], words + 2);
    return [confined](std::string_view frame) { confined->run(frame); };
}

/// The words from SOCKET on.
void relay(char** words) {
    const std::string path = words[0];
    const std::string given = content(words[1]);
    words += 2;
    std::unique_ptr<Signing> signing;
    if (words[0] != nullptr && words[1] != nullptr && words[0] == std::string_view("signing")) {
        signing = std::make_unique<Signing>(content(words[1]), given);
        words += 2;
    }
    std::unique_ptr<Log> log;
    std::function<void(std::string_view frame)> step;
    if (words[0] != nullptr && words[1] != nullptr) {
        log = std::make_unique<Log>(words[0], content(words[1]));
        if (words[2] != nullptr) step = step_of(words + 2);
    }
    std::string answer = given;
    serve_relay(path, [&](std::string_view frame) -> std::string_view {
        if (signing) answer = signing->answer(frame);
        if (log) log->append();
        if (step) {
            step(frame);
            log->append();
        }
        return answer;
    });
}

}  // namespace

int main(int argc, char** argv) {
    const std::string_view what = argc > 1 ? argv[1] : "";
    if (what == "relay" && argc >= 4) {
        relay(argv + 2);
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
            "usage: bench_floors relay SOCKET ANSWER-FILE [signing CALLERS-FILE] [LOG RECORD-FILE [fork | PROGRAM… | "
            "confined HIDDEN (kill_process | USER PROGRAM…)]] | "
            "sync FILE RECORD-FILE COUNT | spawn COUNT PROGRAM… | fork COUNT");
    }
    return 0;
}
