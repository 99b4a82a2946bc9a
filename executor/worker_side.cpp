#include "executor/worker_side.h"

#include "base/file.h"
#include "executor/report.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace luminous_healing::executor {

int away(int fd) { return fd < 0 ? -1 : ::fcntl(fd, F_DUPFD_CLOEXEC, 10); }

void give_up(std::string_view why) {
    (void)write_all(kWorkerReport, encode_text(WorkerMessage::Kind::setup, why));
    ::_exit(kSetupFailed);
}

void leave_terminal() {
    const UniqueFd terminal(::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY));
    if (terminal.valid()) (void)::ioctl(terminal.get(), TIOCNOTTY);
}

namespace {

/// Waits for the orders and says how long they are. Until they are there a worker is SCHED_BATCH: woken by them it does
/// not take the processor from the executor, which has the intent to record first (decision 0019).
ssize_t await_orders() {
    const sched_param none{};
    const bool usual = ::sched_getscheduler(0) == SCHED_OTHER;
    if (usual) (void)::sched_setscheduler(0, SCHED_BATCH, &none);
    std::array<char, 1> byte{};
    const ssize_t size = ::recv(kWorkerControl, byte.data(), byte.size(), MSG_PEEK | MSG_TRUNC);
    if (usual) (void)::sched_setscheduler(0, SCHED_OTHER, &none);
    return size;
}

}  // namespace

Letter read_letter() {
    const ssize_t size = await_orders();
    if (size <= 0) ::_exit(kSetupFailed);
    Letter letter;
    letter.message.resize(static_cast<std::size_t>(size));
    iovec part{letter.message.data(), letter.message.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(2 * sizeof(int))> along{};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = along.data();
    header.msg_controllen = along.size();
    if (::recvmsg(kWorkerControl, &header, MSG_CMSG_CLOEXEC) != size) give_up("its orders came in parts");
    std::array<int, 2> fds{-1, -1};
    if (const cmsghdr* const rights = CMSG_FIRSTHDR(&header); rights != nullptr)
        std::memcpy(fds.data(), CMSG_DATA(rights), rights->cmsg_len - CMSG_LEN(0));
    const char flags = letter.message.front();
    letter.message.erase(0, 1);
    letter.fence = (flags & kFence) != 0;
    std::size_t next = 0;
    const auto take = [&](Along what) { return (flags & what) != 0 ? UniqueFd(away(fds.at(next++))) : UniqueFd(); };
    letter.ruleset = take(kRuleset);
    letter.pipe = take(kPipe);
    for (std::size_t i = 0; i < next; ++i) ::close(fds.at(i));
    if (((flags & kRuleset) != 0) != letter.ruleset.valid() || ((flags & kPipe) != 0) != letter.pipe.valid())
        give_up("its orders came without their descriptors");
    return letter;
}

BootTime await_go(pid_t parent) {
    std::int64_t deadline = 0;
    if (::read(kWorkerControl, &deadline, sizeof deadline) != sizeof deadline) ::_exit(kSetupFailed);
    // One of another user that was stopped meanwhile may read the word long after the executor that gave it has ended.
    if (::getppid() != parent) give_up("whoever started it has ended");
    return BootTime{Micros(deadline)};
}

void confine_or_give_up(const WorkerConfinement& row, pid_t parent) {
    if (auto ok = confine_worker(row); !ok) give_up("could not be confined: " + ok.error().message);
    // An executor that was killed before PR_SET_PDEATHSIG was set will not be heard of: prctl(2). Its successor has
    // recorded this request as interrupted, so nothing may run now.
    if (::getppid() != parent) give_up("whoever started it has ended");
    if (row.ruleset >= 0) ::close(row.ruleset);
}

}  // namespace luminous_healing::executor
