// LD_PRELOAD for a daemon under valgrind 3.19 (tests/memcheck): the seccomp filters are not installed, because
// valgrind makes system calls of its own, and pidfd_open(2), which it does not know, is asked of the process that
// listens at the abstract socket $LUMINOUS_PIDFDS; pidfd_send_signal(2) becomes kill(2).

#include <dlfcn.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>

namespace {

/// Looked at when we are loaded: workers have an environment of their own.
const std::string kAsked = [] {
    const char* const name = std::getenv("LUMINOUS_PIDFDS");
    return std::string(name == nullptr ? "" : name);
}();

/// A descriptor of the process, opened by the one that is asked.
int ask_for_pidfd(pid_t pid) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    kAsked.copy(address.sun_path + 1, sizeof address.sun_path - 1);
    const int asked = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + kAsked.size());
    const std::string text = std::to_string(pid);
    int fd = -1;
    if (::connect(asked, reinterpret_cast<sockaddr*>(&address), length) == 0 &&
        ::send(asked, text.data(), text.size(), MSG_NOSIGNAL) > 0) {
        char byte = 0;
        iovec piece{&byte, 1};
        alignas(cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {};
        msghdr message{};
        message.msg_iov = &piece;
        message.msg_iovlen = 1;
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        if (::recvmsg(asked, &message, MSG_CMSG_CLOEXEC) == 1 && CMSG_FIRSTHDR(&message) != nullptr)
            std::memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
    }
    ::close(asked);
    if (fd < 0) errno = ESRCH;
    return fd;
}

/// pidfd_send_signal(2), which valgrind does not know either, by the number that the descriptor stands for.
int signal_pidfd(int fd, int number) {
    std::ifstream info("/proc/self/fdinfo/" + std::to_string(fd));
    for (std::string word; info >> word;) {
        pid_t pid = -1;
        if (word == "Pid:" && info >> pid && pid > 1) return ::kill(pid, number);
    }
    errno = ESRCH;
    return -1;
}

template <class Function>
Function next(const char* name) {
    return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {

int prctl(int option, ...) {
    va_list list;
    va_start(list, option);
    unsigned long a[4];
    for (auto& argument : a) argument = va_arg(list, unsigned long);
    va_end(list);
    if (option == PR_SET_SECCOMP) return 0;
    return next<int (*)(int, ...)>("prctl")(option, a[0], a[1], a[2], a[3]);
}

long syscall(long number, ...) noexcept {
    va_list list;
    va_start(list, number);
    long a[6];
    for (auto& argument : a) argument = va_arg(list, long);
    va_end(list);
    if (number == SYS_pidfd_open) return ask_for_pidfd(static_cast<pid_t>(a[0]));
    if (number == SYS_pidfd_send_signal) return signal_pidfd(static_cast<int>(a[0]), static_cast<int>(a[1]));
    return next<long (*)(long, ...)>("syscall")(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/// libseccomp asks the kernel, through a call that valgrind does not know either, whether it may kill the process.
scmp_filter_ctx seccomp_init(std::uint32_t action) {
    return next<scmp_filter_ctx (*)(std::uint32_t)>("seccomp_init")(action == SCMP_ACT_KILL_PROCESS ? SCMP_ACT_KILL
                                                                                                    : action);
}

}  // extern "C"
