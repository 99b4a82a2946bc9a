#include "executor/witness.h"

#include "base/text.h"
#include "executor/landlock.h"
#include "executor/launch.h"
#include "executor/logging.h"
#include "executor/report.h"

#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <utility>

namespace luminous_healing::executor {
namespace {

constexpr Micros kTimeout = 30s;

std::string read_what_is_there(int fd) {
    std::array<char, 1024> buffer{};
    const ssize_t n = ::read(fd, buffer.data(), buffer.size());
    return {buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(n, 0))};
}

/// What it had to say, for the journal.
std::string words_of(const Worker& worker) {
    ReportReader reader;
    reader.feed(read_what_is_there(worker.report.get()));
    const auto setup = reader.next();
    const std::string words = setup ? setup->text : printable_line(read_what_is_there(worker.output.get()), 300);
    return words.empty() ? words : ": " + words;
}

}  // namespace

Witness::~Witness() {
    if (!running_) return;
    end_at_once(*running_);
}

void Witness::tell(const audit::Head& head, std::string_view occasion) {
    const std::string text = std::to_string(head.seq) + ":" + head.chain;
    log_info("audit head " + text + " epoch " + std::to_string(head.epoch) + " (" + std::string(occasion) + ")");
    if (command_.empty()) return;
    if (running_) next_ = text;
    else start(text);
}

/// As the daemon's own user without any capability; it may use the network and write nothing.
Expected<Worker> Witness::start_worker(const std::string& head) {
    if (!filter_) {
        auto filter = worker_filter(actions::SyscallClass::command, true);
        if (!filter) return tl::unexpected(filter.error());
        filter_ = std::move(*filter);
    }
    const auto files =
        FileSystemRuleset::build({.read_everything = true, .hidden = hidden_, .writes = {}, .network = true});
    if (!files) return tl::unexpected(files.error());
    Launch launch;
    launch.executor = ::getpid();
    launch.credentials = {::geteuid(), ::getegid(), {}};
    launch.argv = command_;
    for (auto& argument : launch.argv) {
        if (argument == "{head}") argument = head;
    }
    auto worker = hatch_launcher(launcher_);
    if (!worker) return worker;
    const std::string message = encode_launch(launch);
    auto given = give_fence(*worker, files->fd(), encode_fence(*filter_));
    if (given) given = give_orders(*worker, {launch.credentials, -1, true, false, message});
    if (!given) {
        end_at_once(*worker);
        return tl::unexpected(given.error());
    }
    let_go(*worker, now().boot + kTimeout);
    return worker;
}

void Witness::start(const std::string& head) {
    auto worker = start_worker(head);
    telling_ = head;
    if (!worker) return end(false, worker.error().message);
    running_ = std::move(*worker);
    exit_io_ = loop_.on_io(running_->pidfd.get(), EPOLLIN, [this](std::uint32_t) { on_exit(); });
    timer_ = loop_.after(kTimeout, [this] { signal_group(*running_, SIGKILL); });
}

void Witness::on_exit() {
    siginfo_t info{};
    if (::waitid(P_PIDFD, static_cast<id_t>(running_->pidfd.get()), &info, WEXITED | WNOHANG) != 0 || info.si_pid == 0)
        return;
    signal_group(*running_, SIGKILL);  // whoever is left of its group
    const bool told = info.si_code == CLD_EXITED && info.si_status == 0;
    const std::string how = (info.si_code == CLD_EXITED ? "exit status " : "signal ") + std::to_string(info.si_status) +
                            (told ? std::string() : words_of(*running_));
    exit_io_.reset();
    timer_.reset();
    running_.reset();
    end(told, how);
}

void Witness::end(bool told, const std::string& how) {
    if (!told)
        log_warning("audit.witness was not told the head " + telling_ + " (" + how + "); " + command_[0] +
                    " must end with status 0 within 30 s");
    if (const auto head = std::exchange(next_, {}); !head.empty()) start(head);
}

}  // namespace luminous_healing::executor
