// step_and_kill PID COUNT: follows a running process from one system call boundary to the next (ptrace(2)) and kills it
// with SIGKILL at the COUNTth; 0 never. A boundary is the entry into a system call and the return from one.
//
// Standard output: "attached"; at its end a line "NAME FIRST-ARGUMENT RESULT" for each call that returned, and "killed
// N" or, when standard input was closed before or the process has ended by itself, "passed N". Not earlier: whoever
// reads it may wait for the process first, and a pipe holds only so much.

#include <elf.h>
#include <poll.h>
#include <sys/ptrace.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>

namespace {

const std::map<std::uint64_t, const char*>& names() {
    static const std::map<std::uint64_t, const char*> known{{SYS_write, "write"},
                                                            {SYS_writev, "writev"},
                                                            {SYS_pwrite64, "pwrite"},
                                                            {SYS_fdatasync, "fdatasync"},
                                                            {SYS_fsync, "fsync"},
                                                            {SYS_ftruncate, "ftruncate"},
                                                            {SYS_clone, "fork"},
                                                            {SYS_clone3, "fork"},
                                                            {SYS_sendmmsg, "sendmmsg"},
                                                            {SYS_sendto, "sendto"},
                                                            {SYS_sendmsg, "sendmsg"},
                                                            {SYS_execveat, "execveat"},
                                                            {SYS_execve, "execve"},
                                                            {SYS_recvmsg, "recvmsg"},
                                                            {SYS_epoll_wait, "epoll_wait"},
                                                            {SYS_epoll_pwait, "epoll_wait"},
                                                            {SYS_fallocate, "fallocate"},
                                                            {SYS_exit_group, "exit"}};
    return known;
}

[[noreturn]] void fail(const char* what) {
    std::fprintf(stderr, "step_and_kill: %s: %s\n", what, std::strerror(errno));
    std::exit(1);
}

struct Stepper {
    pid_t target;
    long limit;
    long boundaries = 0;
    std::uint64_t call = 0;
    std::uint64_t argument = 0;
    std::string calls{};

    [[noreturn]] void end(const char* how) const {
        std::printf("%s%s %ld\n", calls.c_str(), how, boundaries);
        std::exit(0);
    }

    /// One stop for a system call: counts it, and kills where it is due.
    void at_boundary() {
        __ptrace_syscall_info info{};
        if (::ptrace(PTRACE_GET_SYSCALL_INFO, target, sizeof info, &info) <= 0) return;
        if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
            call = info.entry.nr;
            argument = info.entry.args[0];
        } else if (info.op == PTRACE_SYSCALL_INFO_EXIT) {
            const auto name = names().find(call);
            const std::string number = std::to_string(call);
            calls.append(name == names().end() ? number : name->second).append(" ");
            calls += std::to_string(static_cast<long long>(argument)) + " " + std::to_string(info.exit.rval) + "\n";
        }
        if (++boundaries != limit) return;
        ::kill(target, SIGKILL);
        end("killed");
    }

    void go_on(int signal) const { ::ptrace(PTRACE_SYSCALL, target, nullptr, static_cast<long>(signal)); }

    void on_stop(int status) {
        const int signal = WSTOPSIG(status);
        const int event = status >> 16;
        if (signal == (SIGTRAP | 0x80)) {
            at_boundary();
            return go_on(0);
        }
        go_on(event != 0 ? 0 : signal);
    }

    /// Until nothing more has happened.
    void take_all() {
        int status = 0;
        for (pid_t pid = 0; (pid = ::waitpid(-1, &status, WNOHANG | __WALL)) != 0;) {
            if (pid < 0) end("passed");
            if (WIFSTOPPED(status)) on_stop(status);
            else end("passed");
        }
    }
};

}  // namespace

int main(int argc, char** argv) {
    if (argc < 3) {
        std::fputs("Usage: step_and_kill PID COUNT\n", stderr);
        return 2;
    }
    Stepper stepper{static_cast<pid_t>(std::atol(argv[1])), std::atol(argv[2])};
    sigset_t child_signal;
    sigemptyset(&child_signal);
    sigaddset(&child_signal, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child_signal, nullptr);
    const int signals = ::signalfd(-1, &child_signal, 0);
    if (::ptrace(PTRACE_SEIZE, stepper.target, nullptr, PTRACE_O_TRACESYSGOOD) != 0) fail("attach");
    ::ptrace(PTRACE_INTERRUPT, stepper.target, nullptr, nullptr);
    int status = 0;
    ::waitpid(stepper.target, &status, __WALL);
    stepper.go_on(0);
    std::puts("attached");
    std::fflush(stdout);
    while (true) {
        pollfd ready[2] = {{signals, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
        if (::poll(ready, 2, -1) < 0) continue;
        if ((ready[0].revents & POLLIN) != 0) {
            signalfd_siginfo info{};
            if (::read(signals, &info, sizeof info) < 0) fail("signalfd");
        }
        stepper.take_all();
        if (ready[1].revents != 0) stepper.end("passed");
    }
}
