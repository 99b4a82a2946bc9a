#include "executor/worker.h"

#include "base/file.h"
#include "executor/report.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <optional>

namespace luminous_healing::executor {
namespace {

constexpr int kWorkerRuleset = 6;  // descriptor, until it is applied
constexpr int kWorkerBeside = 7;   // descriptor, until the companion has it as its kWorkerReport
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

/// The descriptors that a worker starts with: nowhere as input; output to `output` or nowhere; `report` as 3,
/// `control` as 4 when there is one; the Landlock ruleset as 6 and the companion's pipe as 7 until they are used;
/// nothing else. Sources are first moved out of the way of their targets.
void arrange_descriptors(int output, int report, int control, int ruleset, int beside) {
    const auto away = [](int fd) { return fd < 0 ? -1 : ::fcntl(fd, F_DUPFD_CLOEXEC, 10); };
    const auto place = [](int fd, int target) {
        if (fd >= 0) ::dup3(fd, target, O_CLOEXEC);
        else ::close(target);
    };
    const int null = away(::open("/dev/null", O_RDWR | O_CLOEXEC));
    const int error = errno;
    const int out = output < 0 ? null : away(output);
    const int rep = away(report);
    const int con = away(control);
    const int rules = away(ruleset);
    const int side = away(beside);
    ::dup2(null, STDIN_FILENO);
    ::dup2(out, STDOUT_FILENO);
    ::dup2(out, STDERR_FILENO);
    place(rep, kWorkerReport);
    place(con, kWorkerControl);
    ::close(kWorkerBus);
    place(rules, kWorkerRuleset);
    place(side, kWorkerBeside);
    ::close_range(kWorkerBeside + 1, ~0U, 0);
    if (null < 0) give_up(std::string("open /dev/null: ") + std::strerror(error));  // else its input were ours
}

void confine_or_give_up(WorkerConfinement row, pid_t parent) {
    if (row.ruleset >= 0) row.ruleset = kWorkerRuleset;
    if (auto ok = confine_worker(row); !ok) give_up("could not be confined: " + ok.error().message);
    // An executor that was killed before PR_SET_PDEATHSIG was set will not be heard of: prctl(2). Its successor has
    // recorded this request as interrupted, so nothing may run now.
    if (::getppid() != parent) give_up("whoever started it has ended");
    ::close(kWorkerRuleset);
}

/// In the worker, before it is confined: the process beside it, which is its child and so ends with it (PDEATHSIG is
/// set by its confinement; a worker that was faster has closed its end of the pair).
void start_companion(WorkerConfinement row, const Companion& companion) {
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
    if (pid > 0) {
        ::close(kWorkerBeside);
        return keep(ends[0], ends[1]);
    }
    keep(ends[1], ends[0]);
    ::dup3(kWorkerBeside, kWorkerReport, O_CLOEXEC);
    ::close(kWorkerBeside);
    ::close(kWorkerControl);
    row.filter = companion.filter;
    confine_or_give_up(row, worker);
    companion.body();
    ::_exit(0);
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

/// In the parent, right after fork: the group must exist before anybody signals it, whoever runs first.
Expected<Worker> adopt(pid_t pid, const WorkerConfinement& row) {
    ::setpgid(pid, pid);
    Worker worker;
    worker.pid = pid;
    worker.credentials = row.credentials;
    worker.pidfd.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    if (worker.pidfd.valid()) return worker;
    auto error = fail_errno("pidfd_open");
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
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

Expected<Worker> start_builtin(const WorkerConfinement& row, const std::function<void()>& body,
                               const Companion* companion) {
    auto report = make_pipe();
    if (!report) return tl::unexpected(report.error());
    auto beside = companion != nullptr ? make_pipe() : Pipe{};
    if (!beside) return tl::unexpected(beside.error());
    std::array<int, 2> control{};
    if (::pipe2(control.data(), O_CLOEXEC) != 0) return fail_errno("pipe2");
    const UniqueFd control_read(control[0]);
    UniqueFd control_write(control[1]);
    const pid_t executor = ::getpid();
    KeptGroup kept = KeptGroup::take();
    const pid_t pid = ::fork();
    if (pid < 0) return fail_errno("fork");
    if (pid == 0) {
        ::setpgid(0, 0);
        kept.enter();
        take_signals_back();
        leave_terminal();
        arrange_descriptors(-1, report->write.get(), control_read.get(), row.ruleset, beside->write.get());
        ::clearenv();
        if (companion != nullptr) start_companion(row, *companion);
        confine_or_give_up(row, executor);
        body();
        ::_exit(0);
    }
    auto worker = adopt(pid, row);
    if (!worker) return worker;
    worker->kept = std::move(kept);
    worker->report = std::move(report->read);
    worker->beside = std::move(beside->read);
    worker->control = std::move(control_write);
    return worker;
}

Expected<Worker> start_command(const WorkerConfinement& row, const std::vector<std::string>& argv) {
    auto report = make_pipe();
    auto output = make_pipe();
    if (!report || !output) return fail_errno("pipe2");
    const pid_t executor = ::getpid();
    KeptGroup kept = KeptGroup::take();
    const pid_t pid = ::fork();
    if (pid < 0) return fail_errno("fork");
    if (pid == 0) {
        ::setpgid(0, 0);
        kept.enter();
        take_signals_back();
        leave_terminal();
        arrange_descriptors(output->write.get(), report->write.get(), -1, row.ruleset, -1);
        const int program = open_program(argv[0]);
        keep_open_if_script(program);
        confine_or_give_up(row, executor);
        execute(program, argv);
    }
    auto worker = adopt(pid, row);
    if (!worker) return worker;
    worker->kept = std::move(kept);
    worker->report = std::move(report->read);
    worker->output = std::move(output->read);
    return worker;
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
