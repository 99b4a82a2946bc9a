// The launcher: a small program that becomes a configured command. The executor starts it ahead of time and tells it
// once what to execute, as whom and with what (launch.h); it confines itself to that for good, waits for the word to
// go, and executes the command. It is a worker like the others (worker.h), but for one thing: not being a fork, it has
// nothing of the executor's memory, which would have to be copied for it and given back when the command begins
// (docs/decisions/0018).

#include "base/file.h"
#include "executor/launch.h"
#include "executor/privileges.h"
#include "executor/worker_side.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

using namespace luminous_healing;
using namespace luminous_healing::executor;

namespace {

/// Opens the program and looks at what was opened, so that it cannot be exchanged between look and use.
int open_program(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a FIFO would wait
    if (fd < 0) give_up("open " + path + ": " + std::strerror(errno));
    struct stat status {};
    if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) give_up(path + " is not a regular file");
    if (status.st_uid != 0 && status.st_uid != ::geteuid())
        give_up(path + " belongs neither to root nor to the daemon's user");
    if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) give_up(path + " can be written by others than its owner");
    return fd;
}

/// An interpreter opens its script by the name /dev/fd/N, which close-on-exec would have taken away (execveat(2)).
void keep_open_if_script(int fd) {
    std::array<char, 2> head{};
    if (::pread(fd, head.data(), head.size(), 0) == 2 && head[0] == '#' && head[1] == '!') ::fcntl(fd, F_SETFD, 0);
}

[[noreturn]] void execute(int program, const std::vector<std::string>& argv) {
    std::vector<char*> arguments;
    arguments.reserve(argv.size() + 1);
    for (const auto& argument : argv)
        arguments.push_back(const_cast<char*>(argument.c_str()));  // NOLINT(*-const-cast): execve(2) copies
    arguments.push_back(nullptr);
    char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin";
    char language[] = "LANG=C.UTF-8";
    std::array<char*, 3> environment{path, language, nullptr};
    ::syscall(SYS_execveat, program, "", arguments.data(), environment.data(), AT_EMPTY_PATH);
    give_up("execute " + argv[0] + ": " + std::strerror(errno));
}

/// glibc's posix_spawn(3) leaves two signals ignored that its threads use and signal(2) refuses to set, and execve(2)
/// keeps that.
void take_signals_back() {
    struct {
        void (*handler)(int) = SIG_DFL;
        unsigned long flags = 0;
        void (*restorer)() = nullptr;
        std::uint64_t mask = 0;
    } usual;  // as the kernel has it: rt_sigaction(2)
    for (const int signal : {32, 33}) ::syscall(SYS_rt_sigaction, signal, &usual, nullptr, sizeof usual.mask);
}

void fence_or_give_up(const Letter& letter) {
    const auto filter = decode_fence(letter.message);
    if (!filter) give_up(filter.error().message);
    if (auto ok = fence_worker(letter.ruleset.get(), *filter); !ok)
        give_up("could not be fenced in: " + ok.error().message);
}

void connect_output(const UniqueFd& output) {
    for (const int standard : {STDOUT_FILENO, STDERR_FILENO}) ::dup2(output.get(), standard);
}

}  // namespace

/// Started by hatch_launcher(): nowhere as input and output, a report and a control, nothing else.
int main() {
    if (::fcntl(kWorkerControl, F_GETFD) < 0) {
        (void)std::fputs("luminous-healing-launcher is started by luminous-healingd, and by nobody else\n", stderr);
        return 2;
    }
    ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);            // until it is another user, it may be what the executor may
    ::prctl(PR_SET_NAME, "healing-spare", 0, 0, 0);  // as ps(1) shows it until it has orders
    ::close_range(kWorkerControl + 1, ~0U, 0);
    for (const int ours : {kWorkerReport, kWorkerControl}) ::fcntl(ours, F_SETFD, FD_CLOEXEC);
    take_signals_back();
    leave_terminal();
    // Drops nothing: what it asks the kernel once, it is to ask before a request waits.
    (void)limit_bounding(~CapabilitySet{0});
    Letter letter = read_letter();
    const bool fenced = letter.fence;
    if (fenced) {
        fence_or_give_up(letter);
        letter = read_letter();
    }
    ::prctl(PR_SET_NAME, "healing-worker", 0, 0, 0);
    auto launch = decode_launch(letter.message);
    if (!launch) give_up(launch.error().message);
    if (launch->confined != fenced) give_up("it was not fenced in as its orders want it");
    connect_output(letter.pipe);
    const int program = open_program(launch->argv[0]);
    keep_open_if_script(program);
    WorkerConfinement row;
    row.credentials = launch->credentials;
    row.capabilities = launch->capabilities;
    row.executes = true;
    row.confined = false;  // it has been fenced in, or is not to be
    confine_or_give_up(row, launch->executor);
    (void)await_go(launch->executor);
    execute(program, launch->argv);
}
