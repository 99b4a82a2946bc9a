// bench_floors WHAT: the least that the kernel asks for each part of a request, and what peers cost.
//   relay SOCKET ANSWER-FILE              serves until standard input ends (bench/relay.h)
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

void sync_appends(const char* path, const std::string& record, std::size_t count) {
    const UniqueFd file(::open(path, O_WRONLY | O_APPEND | O_CREAT | O_TRUNC | O_CLOEXEC, 0640));
    if (!file.valid()) give_up("open");
    const auto append = [&] {
        if (::write(file.get(), record.data(), record.size()) != static_cast<ssize_t>(record.size())) give_up("write");
        if (::fdatasync(file.get()) != 0) give_up("fdatasync");
    };
    measure(kWarmUp, count, [&](std::size_t) { return time_of(append); });
    ::unlink(path);
}

void spawn_and_wait(char** argv, std::size_t count) {
    const auto run = [&] {
        pid_t pid = 0;
        int status = 0;
        if (::posix_spawnp(&pid, argv[0], nullptr, nullptr, argv, environ) != 0) give_up("posix_spawn");
        if (::waitpid(pid, &status, 0) != pid || status != 0) give_up("the program failed");
    };
    measure(kWarmUp, count, [&](std::size_t) { return time_of(run); });
}

void fork_and_wait(std::size_t count) {
    const auto run = [] {
        const pid_t pid = ::fork();
        if (pid < 0) give_up("fork");
        if (pid == 0) ::_exit(0);
        ::waitpid(pid, nullptr, 0);
    };
    measure(kWarmUp, count, [&](std::size_t) { return time_of(run); });
}

}  // namespace

int main(int argc, char** argv) {
    const std::string_view what = argc > 1 ? argv[1] : "";
    if (what == "relay" && argc == 4) serve_relay(argv[2], content(argv[3]));
    else if (what == "sync" && argc == 5) sync_appends(argv[2], content(argv[3]), number(argv[4]));
    else if (what == "spawn" && argc >= 4) spawn_and_wait(argv + 3, number(argv[2]));
    else if (what == "fork" && argc == 3) fork_and_wait(number(argv[2]));
    else
        give_up(
            "usage: bench_floors relay SOCKET ANSWER-FILE | sync FILE RECORD-FILE COUNT | spawn COUNT PROGRAM… | "
            "fork COUNT");
    return 0;
}
