#include "executor/worker.h"

#include "base/file.h"
#include "executor/privileges.h"
#include "executor/report.h"
#include "executor/worker_side.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/socket.h>
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

constexpr int kPatienceMs = 1000;  // for the end of a process that was killed, or has a few system calls to make

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

[[noreturn]] void carry_out(Orders orders, Letter letter, pid_t executor) {
    orders.row.ruleset = letter.ruleset.release();
    if (orders.companion) start_companion(orders.row, *orders.companion, std::move(letter.pipe));
    confine_or_give_up(orders.row, executor);
    const BootTime deadline = await_go(executor);
    if (orders.companion) let_companion_go(deadline);
    orders.body(deadline);
    ::_exit(0);
}

/// What both ends of a worker's pipe and socket begin as.
struct Ends {
    Worker worker;
    UniqueFd report;
    UniqueFd control;
};

Expected<Ends> make_ends() {
    auto report = make_pipe();
    if (!report) return tl::unexpected(report.error());
    std::array<int, 2> control{};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control.data()) != 0) return fail_errno("socketpair");
    Ends ends{{}, std::move(report->write), UniqueFd(control[1])};
    ends.worker.control.reset(control[0]);
    ends.worker.report = std::move(report->read);
    ends.worker.kept = KeptGroup::take();
    return ends;
}

/// In the parent, right after its start: the group must exist before anybody signals it, whoever runs first.
Expected<Worker> adopt(Worker worker, pid_t pid) {
    ::setpgid(pid, pid);
    worker.pid = pid;
    worker.credentials = {::geteuid(), ::getegid(), {}};
    worker.pidfd.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    ::shutdown(worker.control.get(), SHUT_RD);  // its end is for reading only
    if (worker.pidfd.valid()) return worker;
    auto error = fail_errno("pidfd_open");
    end_at_once(worker);
    return error;
}

/// How a launcher starts: leader of its own group, signals as they are by default, nowhere as input and output, and its
/// two descriptors. The executor's own are close-on-exec.
class Starting {
public:
    Starting(const UniqueFd& null, const UniqueFd& report, const UniqueFd& control)
        : null_(away(null.get())), report_(away(report.get())), control_(away(control.get())) {
        ::posix_spawn_file_actions_init(&actions_);
        for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) add(null_, standard);
        add(report_, kWorkerReport);
        add(control_, kWorkerControl);
        ::posix_spawnattr_init(&attributes_);
        sigset_t signals;
        sigemptyset(&signals);
        ::posix_spawnattr_setsigmask(&attributes_, &signals);
        sigaddset(&signals, SIGPIPE);
        sigaddset(&signals, SIGXFSZ);
        ::posix_spawnattr_setsigdefault(&attributes_, &signals);
        ::posix_spawnattr_setpgroup(&attributes_, 0);
        ::posix_spawnattr_setflags(&attributes_,
                                   POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    }
    Starting(const Starting&) = delete;
    Starting& operator=(const Starting&) = delete;
    ~Starting() {
        ::posix_spawn_file_actions_destroy(&actions_);
        ::posix_spawnattr_destroy(&attributes_);
    }

    [[nodiscard]] bool is_ready() const { return null_.valid() && report_.valid() && control_.valid() && whole_; }
    [[nodiscard]] Expected<pid_t> spawn(const std::string& path) const {
        char name[] = "luminous-healing-launcher";
        std::array<char*, 2> arguments{name, nullptr};
        std::array<char*, 1> environment{nullptr};
        pid_t pid = -1;
        errno = ::posix_spawn(&pid, path.c_str(), &actions_, &attributes_, arguments.data(), environment.data());
        if (errno != 0) return fail_errno("the launcher cannot be started");
        return pid;
    }

private:
    void add(const UniqueFd& from, int to) {
        whole_ = ::posix_spawn_file_actions_adddup2(&actions_, from.get(), to) == 0 && whole_;
    }

    UniqueFd null_;  // copies out of the way of the numbers that they get
    UniqueFd report_;
    UniqueFd control_;
    bool whole_ = true;
    posix_spawn_file_actions_t actions_{};
    posix_spawnattr_t attributes_{};
};

}  // namespace

void ignore_signals() {
    for (int signal = 1; signal < NSIG; ++signal) {  // handlers are left alone: only a sanitizer's runtime has any yet
        struct sigaction found {};
        if (::sigaction(signal, nullptr, &found) == 0 && found.sa_handler == SIG_IGN) (void)::signal(signal, SIG_DFL);
    }
    (void)::signal(SIGPIPE, SIG_IGN);
    (void)::signal(SIGXFSZ, SIG_IGN);  // a file size limit is an error of the write, and so of the log, not our end
}

Expected<Worker> hatch(const std::function<Expected<Orders>(std::string_view message)>& read) {
    auto ends = make_ends();
    if (!ends) return tl::unexpected(ends.error());
    const pid_t executor = ::getpid();
    const pid_t pid = ::fork();
    if (pid < 0) return fail_errno("fork");
    if (pid == 0) {
        ::setpgid(0, 0);
        ends->worker.kept.enter();
        take_signals_back();
        leave_terminal();
        arrange_descriptors(ends->report.get(), ends->control.get());
        ::clearenv();
        ::prctl(PR_SET_NAME, "healing-spare", 0, 0, 0);  // as ps(1) shows it until it has orders
        Letter letter = read_letter();
        ::prctl(PR_SET_NAME, "healing-worker", 0, 0, 0);
        auto orders = read(letter.message);
        if (!orders) give_up(orders.error().message);
        carry_out(std::move(*orders), std::move(letter), executor);
    }
    return adopt(std::move(ends->worker), pid);
}

Expected<Worker> hatch_launcher(int program) {
    auto ends = make_ends();
    if (!ends) return tl::unexpected(ends.error());
    const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    const Starting starting(null, ends->report, ends->control);
    if (!starting.is_ready()) return fail_errno("its descriptors");
    const auto pid = [&] {
        const LentCapabilities lent;
        return starting.spawn("/proc/self/fd/" + std::to_string(program));
    }();
    if (!pid) return tl::unexpected(pid.error());
    ends->worker.kept.enter(*pid);
    return adopt(std::move(ends->worker), *pid);
}

namespace {

/// What read_letter() reads.
Expected<void> send_letter(const Worker& worker, char kind, int ruleset, int pipe, std::string_view message) {
    std::vector<int> fds;
    if (ruleset >= 0) fds.push_back(ruleset);
    if (pipe >= 0) fds.push_back(pipe);
    char flags = static_cast<char>(kind | (ruleset >= 0 ? kRuleset : 0) | (pipe >= 0 ? kPipe : 0));
    std::array<iovec, 2> parts{{{&flags, 1}, {const_cast<char*>(message.data()), message.size()}}};  // NOLINT
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
    // The socket has room for some 200 KiB, more than a fence, a frame's parameters and the defaults that a
    // configuration may have. MSG_DONTWAIT all the same: nobody waits for a worker.
    if (::sendmsg(worker.control.get(), &header, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        return fail_errno("orders for a worker");
    return {};
}

}  // namespace

Expected<void> give_fence(const Worker& worker, int ruleset, std::string_view fence) {
    return send_letter(worker, kFence, ruleset, -1, fence);
}

Expected<void> give_orders(Worker& worker, const Errand& errand) {
    auto pipe = errand.command || errand.companion ? make_pipe() : Pipe{};
    if (!pipe) return tl::unexpected(pipe.error());
    worker.credentials = errand.credentials;
    if (auto sent = send_letter(worker, 0, errand.ruleset, pipe->write.get(), errand.message); !sent) return sent;
    (errand.command ? worker.output : worker.beside) = std::move(pipe->read);
    return {};
}

void let_go(const Worker& worker, BootTime deadline) {
    const std::int64_t word = deadline.since_boot.count();
    if (::send(worker.control.get(), &word, sizeof word, MSG_NOSIGNAL | MSG_DONTWAIT) == sizeof word) return;
    signal_group(worker, SIGKILL);  // it would wait for ever; if it has ended, that will be seen
}

void end_at_once(Worker& worker) {
    worker.control.reset();
    signal_group(worker, SIGKILL);
    pollfd ended{worker.pidfd.get(), POLLIN, 0};
    if (worker.pidfd.valid()) (void)::poll(&ended, 1, kPatienceMs);
    ::waitpid(worker.pid, nullptr, worker.pidfd.valid() ? WNOHANG : 0);
}

void signal_group(const Worker& worker, int signal) {
    if (::kill(-worker.pid, signal) == 0 || errno != EPERM) return;
    // A uid other than ours, and we hold no CAP_KILL: somebody of that uid without any capability does it. Of that uid
    // by the effective one only: kill(2) looks at who its target really is and was, so nobody of that user can stop the
    // helper, which would hold us up for ever and still has our capabilities at first.
    const pid_t helper = ::fork();
    if (helper == 0) {
        take_signals_back();
        const bool able = ::setresuid(static_cast<uid_t>(-1), worker.credentials.uid, static_cast<uid_t>(-1)) == 0;
        if (able && set_capabilities(0)) ::kill(-worker.pid, signal);
        ::_exit(0);
    }
    if (helper < 0) return;
    const UniqueFd ended(static_cast<int>(::syscall(SYS_pidfd_open, helper, 0)));
    pollfd waiting{ended.get(), POLLIN, 0};
    if (ended.valid() && ::poll(&waiting, 1, kPatienceMs) != 1) ::kill(helper, SIGKILL);
    ::waitpid(helper, nullptr, 0);
}

bool group_is_empty(const Worker& worker) { return ::kill(-worker.pid, 0) != 0 && errno == ESRCH; }

}  // namespace luminous_healing::executor
