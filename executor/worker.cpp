#include "executor/worker.h"

#include "base/file.h"
#include "executor/report.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstring>
#include <optional>
#include <utility>

namespace luminous_healing::executor {
namespace {

constexpr int kSetupFailed = 125;  // exit status, as env(1) uses it

struct Pipe {
    UniqueFd read;
    UniqueFd write;
};

Expected<Pipe> make_pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail_errno("pipe2");
    ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
    return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

/// As ignore_signals() found them: an ignored signal stays ignored over execve(2).
void take_signals_back() {
    (void)::signal(SIGPIPE, SIG_DFL);
    (void)::signal(SIGXFSZ, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
}

[[noreturn]] void give_up(std::string_view why) {
    (void)write_all(kWorkerReport, encode_text(WorkerMessage::Kind::setup, why));
    ::_exit(kSetupFailed);
}

/// An executor that somebody started from a terminal has it for its controlling one, and so has each fork: what a
/// worker runs could read there, or type for whoever sits before it (tty_ioctl(4), TIOCSTI).
void leave_terminal() {
    const UniqueFd terminal(::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY));
    if (terminal.valid()) (void)::ioctl(terminal.get(), TIOCNOTTY);
}

int away(int fd) { return fd < 0 ? -1 : ::fcntl(fd, F_DUPFD_CLOEXEC, 10); }

/// The descriptors that a worker starts with: nowhere as input and output, `report` as 3, `control` as 4, and nothing
/// else. Sources are first moved out of the way of their targets.
void arrange_descriptors(int report, int control) {
    const int null = away(::open("/dev/null", O_RDWR | O_CLOEXEC));
    const int away_report = null < 0 ? -1 : away(report);
    const int away_control = away_report < 0 ? -1 : away(control);
    if (away_control < 0) {  // else what lies at their numbers now, which is the executor's, would be used as theirs
        const std::string why = std::string("its descriptors: ") + std::strerror(errno);
        (void)write_all(report, encode_text(WorkerMessage::Kind::setup, why));
        ::_exit(kSetupFailed);
    }
    for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(null, standard);
    ::dup3(away_report, kWorkerReport, O_CLOEXEC);
    ::dup3(away_control, kWorkerControl, O_CLOEXEC);
    ::close_range(kWorkerControl + 1, ~0U, 0);
}

/// What rides along with the orders, in the order of these bits.
enum Along : char { kRuleset = 1, kPipe = 2 };

struct Letter {
    std::string message;
    UniqueFd ruleset;
    UniqueFd pipe;  // a command's output, or a companion's report
};

/// In the worker: waits for its orders. One whose executor has ended, or has no use for it, ends here.
Letter read_letter() {
    std::array<char, 1> none{};
    const ssize_t size = ::recv(kWorkerControl, none.data(), none.size(), MSG_PEEK | MSG_TRUNC);
    if (size <= 0) ::_exit(0);
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
    std::size_t next = 0;
    const auto take = [&](Along what) { return (flags & what) != 0 ? UniqueFd(away(fds.at(next++))) : UniqueFd(); };
    letter.ruleset = take(kRuleset);
    letter.pipe = take(kPipe);
    for (std::size_t i = 0; i < next; ++i) ::close(fds.at(i));
    if (((flags & kRuleset) != 0) != letter.ruleset.valid() || ((flags & kPipe) != 0) != letter.pipe.valid())
        give_up("its orders came without their descriptors");
    return letter;
}

/// In the worker, confined: nothing is done before this has returned. Without the word it ends.
BootTime await_go() {
    std::int64_t deadline = 0;
    if (::read(kWorkerControl, &deadline, sizeof deadline) != sizeof deadline) ::_exit(0);
    return BootTime{Micros(deadline)};
}

void confine_or_give_up(const WorkerConfinement& row, pid_t parent) {
    if (auto ok = confine_worker(row); !ok) give_up("could not be confined: " + ok.error().message);
    // An executor that was killed before PR_SET_PDEATHSIG was set will not be heard of: prctl(2). Its successor has
    // recorded this request as interrupted, so nothing may run now.
    if (::getppid() != parent) give_up("whoever started it has ended");
    if (row.ruleset >= 0) ::close(row.ruleset);
}

/// In the worker, before it is confined: the process beside it, which is its child and so ends with it (PDEATHSIG is
/// set by its confinement; a worker that was faster has closed its end of the pair). It too waits for the word to go,
/// from the worker.
void start_companion(WorkerConfinement row, const Companion& companion, UniqueFd report) {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
        give_up(std::string("socketpair: ") + std::strerror(errno));
    const auto keep = [&](int mine, int other) {
        ::close(other);
        if (mine == kWorkerBus) return;
        ::dup3(mine, kWorkerBus, O_CLOEXEC);
        ::close(mine);
    };
    const pid_t worker = ::getpid();
    const pid_t pid = ::fork();
    if (pid < 0) give_up(std::string("fork: ") + std::strerror(errno));
    if (pid > 0) return keep(ends[0], ends[1]);
    keep(ends[1], ends[0]);
    ::dup3(report.get(), kWorkerReport, O_CLOEXEC);
    report.reset();
    ::close(kWorkerControl);
    row.filter = companion.filter;
    confine_or_give_up(row, worker);
    std::int64_t deadline = 0;
    if (::read(kWorkerBus, &deadline, sizeof deadline) == sizeof deadline) companion.body(BootTime{Micros(deadline)});
    ::_exit(0);
}

void let_companion_go(BootTime deadline) {
    const std::int64_t word = deadline.since_boot.count();
    (void)::send(kWorkerBus, &word, sizeof word, MSG_NOSIGNAL);  // ended? Then the worker's first call will say so
}

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

[[noreturn]] void carry_out(Orders orders, Letter letter, pid_t executor) {
    orders.row.ruleset = letter.ruleset.release();
    if (orders.argv.empty()) {
        if (orders.companion) start_companion(orders.row, *orders.companion, std::move(letter.pipe));
        confine_or_give_up(orders.row, executor);
        const BootTime deadline = await_go();
        if (orders.companion) let_companion_go(deadline);
        orders.body(deadline);
        ::_exit(0);
    }
    ::dup2(letter.pipe.get(), STDOUT_FILENO);
    ::dup2(letter.pipe.get(), STDERR_FILENO);
    letter.pipe.reset();
    const int program = open_program(orders.argv[0]);
    keep_open_if_script(program);
    confine_or_give_up(orders.row, executor);
    (void)await_go();
    execute(program, orders.argv);
}

/// In the parent, right after fork: the group must exist before anybody signals it, whoever runs first.
Expected<void> adopt(Worker& worker, pid_t pid) {
    ::setpgid(pid, pid);
    worker.pid = pid;
    worker.credentials = {::geteuid(), ::getegid(), {}};
    worker.pidfd.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    if (worker.pidfd.valid()) return {};
    auto error = fail_errno("pidfd_open");
    end_at_once(worker);
    return error;
}

}  // namespace

void ignore_signals() {
    for (int signal = 1; signal < 32; ++signal) {  // handlers are left alone: only a sanitizer's runtime has any yet
        struct sigaction found {};
        if (::sigaction(signal, nullptr, &found) == 0 && found.sa_handler == SIG_IGN) (void)::signal(signal, SIG_DFL);
    }
    (void)::signal(SIGPIPE, SIG_IGN);
    (void)::signal(SIGXFSZ, SIG_IGN);  // a file size limit is an error of the write, and so of the log, not our end
}

Expected<Worker> hatch(const std::function<Expected<Orders>(std::string_view message)>& read) {
    auto report = make_pipe();
    if (!report) return tl::unexpected(report.error());
    std::array<int, 2> control{};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control.data()) != 0) return fail_errno("socketpair");
    Worker worker;
    worker.control.reset(control[0]);
    const UniqueFd its_control(control[1]);
    const pid_t executor = ::getpid();
    worker.kept = KeptGroup::take();
    const pid_t pid = ::fork();
    if (pid < 0) return fail_errno("fork");
    if (pid == 0) {
        ::setpgid(0, 0);
        worker.kept.enter();
        take_signals_back();
        leave_terminal();
        arrange_descriptors(report->write.get(), its_control.get());
        ::clearenv();
        ::prctl(PR_SET_NAME, "healing-spare", 0, 0, 0);  // as ps(1) shows it until it has orders
        Letter letter = read_letter();
        ::prctl(PR_SET_NAME, "healing-worker", 0, 0, 0);
        auto orders = read(letter.message);
        if (!orders) give_up(orders.error().message);
        carry_out(std::move(*orders), std::move(letter), executor);
    }
    if (auto ok = adopt(worker, pid); !ok) return tl::unexpected(ok.error());
    ::shutdown(worker.control.get(), SHUT_RD);  // its end is for reading only
    worker.report = std::move(report->read);
    return worker;
}

Expected<void> give_orders(Worker& worker, const Errand& errand) {
    const bool piped = errand.command || errand.companion;
    auto pipe = piped ? make_pipe() : Pipe{};
    if (!pipe) return tl::unexpected(pipe.error());
    worker.credentials = errand.credentials;
    std::vector<int> fds;
    if (errand.ruleset >= 0) fds.push_back(errand.ruleset);
    if (piped) fds.push_back(pipe->write.get());
    char flags = static_cast<char>((errand.ruleset >= 0 ? kRuleset : 0) | (piped ? kPipe : 0));
    std::array<iovec, 2> parts{
        {{&flags, 1}, {const_cast<char*>(errand.message.data()), errand.message.size()}}};  // NOLINT
    alignas(cmsghdr) std::array<char, CMSG_SPACE(2 * sizeof(int))> along{};
    msghdr header{};
    header.msg_iov = parts.data();
    header.msg_iovlen = parts.size();
    if (!fds.empty()) {
        header.msg_control = along.data();
        header.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
        cmsghdr* const rights = CMSG_FIRSTHDR(&header);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
        std::memcpy(CMSG_DATA(rights), fds.data(), fds.size() * sizeof(int));
    }
    // The socket is empty and has room for some 200 KiB, more than a frame's parameters and the defaults that a
    // configuration may have. MSG_DONTWAIT all the same: nobody waits for a worker.
    if (::sendmsg(worker.control.get(), &header, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        return fail_errno("orders for a worker");
    (errand.command ? worker.output : worker.beside) = std::move(pipe->read);
    return {};
}

void let_go(const Worker& worker, BootTime deadline) {
    const std::int64_t word = deadline.since_boot.count();
    if (::send(worker.control.get(), &word, sizeof word, MSG_NOSIGNAL | MSG_DONTWAIT) == sizeof word) return;
    signal_group(worker, SIGKILL);  // it would wait for ever; if it has ended, that will be seen
}

Expected<Worker> start(const Orders& orders, BootTime deadline) {
    auto worker = hatch([&orders](std::string_view) { return orders; });
    if (!worker) return worker;
    const Errand errand{
        orders.row.credentials, orders.row.ruleset, !orders.argv.empty(), orders.companion.has_value(), {}};
    if (auto given = give_orders(*worker, errand); !given) {
        end_at_once(*worker);
        return tl::unexpected(given.error());
    }
    let_go(*worker, deadline);
    return worker;
}

void end_at_once(Worker& worker) {
    constexpr int kPatienceMs = 1000;
    worker.control.reset();
    signal_group(worker, SIGKILL);
    pollfd ended{worker.pidfd.get(), POLLIN, 0};
    if (worker.pidfd.valid()) (void)::poll(&ended, 1, kPatienceMs);
    ::waitpid(worker.pid, nullptr, worker.pidfd.valid() ? WNOHANG : 0);
}

void signal_group(const Worker& worker, int signal) {
    if (::kill(-worker.pid, signal) == 0 || errno != EPERM) return;
    // A uid other than ours, and we hold no CAP_KILL: somebody of that uid without any capability does it.
    const pid_t helper = ::fork();
    if (helper == 0) {
        take_signals_back();
        if (become(worker.credentials, 0)) ::kill(-worker.pid, signal);
        ::_exit(0);
    }
    if (helper > 0) ::waitpid(helper, nullptr, 0);  // it makes a handful of system calls, none of which waits
}

bool group_is_empty(const Worker& worker) { return ::kill(-worker.pid, 0) != 0 && errno == ESRCH; }

}  // namespace luminous_healing::executor
