#include "executor/runner.h"

#include "base/text.h"
#include "executor/privileges.h"
#include "protocol/limits.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <utility>

namespace luminous_healing::executor {

using protocol::Code;
using protocol::EventKind;
using protocol::Verdict;

namespace {

constexpr Micros kTermGrace = 2s;          // between TERM and KILL
constexpr Micros kLeftoverCheck = 1ms;     // between looks at a killed group
constexpr Micros kAuxiliaryTimeout = 30s;  // for a command's verify and undo, each

actions::Report make_report(Code code, std::optional<std::string> error, std::optional<Verdict> verdict) {
    actions::Report report;
    report.code = code;
    report.error = std::move(error);
    report.verdict = verdict;
    return report;
}

}  // namespace

struct Runner::Run {
    Run(RunId run_id, Job what)
        : id(run_id), job(std::move(what)), stage(job.grant.action().command ? Stage::command : Stage::builtin) {}

    RunId id;
    Job job;
    Stage stage;
    Worker worker;
    ReportReader reader;
    ReportReader beside_reader;
    std::optional<actions::Report> report;  // of a built-in action; of a command once it has ended
    std::string setup_error;
    std::string refused;  // the first call that the bus proxy did not let pass
    std::int64_t refused_calls = 0;
    std::string output;
    int status = 0;  // of waitid(2): the exit status, or the signal
    bool exited_normally = false;
    bool confirmed = false;  // by its caller, at most once
    Code killed = Code::ok;  // timeout or cancelled, once we have decided to end it
    BootTime deadline;       // of the present stage
    EventSource report_io;
    EventSource beside_io;
    EventSource output_io;
    EventSource exit_io;
    EventSource timer;

    [[nodiscard]] const policy::ActionPolicy& policy() const { return job.grant.action(); }
};

Runner::Runner(EventLoop& loop, Listener listener, std::unique_ptr<Workforce> workforce)
    : loop_(loop), listener_(std::move(listener)), workforce_(std::move(workforce)) {}

Runner::~Runner() {
    for (auto& [id, run] : runs_) end_at_once(run->worker);
}

Expected<std::unique_ptr<Runner>> Runner::create(EventLoop& loop, Listener listener, int launcher,
                                                 std::vector<std::string> hidden) {
    auto workforce = Workforce::create(loop, launcher, std::move(hidden));
    if (!workforce) return tl::unexpected(workforce.error());
    return std::unique_ptr<Runner>(new Runner(loop, std::move(listener), std::move(*workforce)));
}

Expected<void> Runner::make_ready(RunId id, Job job) {
    auto run = std::make_unique<Run>(id, std::move(job));
    if (auto assigned = assign_worker(*run); !assigned) return assigned;
    runs_.emplace(id, std::move(run));
    return {};
}

void Runner::begin(RunId id) {
    Run& run = *runs_.at(id);
    run.deadline = now().boot + run.job.grant.timeout();
    begin_stage(run);
}

void Runner::call_off(RunId id) {
    const auto run = runs_.extract(id);
    if (!run.empty()) end_at_once(run.mapped()->worker);
}

Expected<void> Runner::assign_worker(Run& run) {
    const Duty duty{run.stage,          run.job.plan, run.job.adopted,          run.policy().name,
                    run.job.request_id, {},           run.job.grant.arguments()};
    auto worker = workforce_->assign(run.job.config, duty);
    if (!worker) return tl::unexpected(worker.error());
    run.setup_error.clear();
    run.reader = ReportReader();
    run.beside_reader = ReportReader();
    run.worker = std::move(*worker);
    watch(run);
    return {};
}

void Runner::begin_stage(Run& run) {
    let_go(run.worker, run.deadline);
    run.timer = loop_.after(run.deadline - now().boot, [this, &run] { on_deadline(run); });
    if (!shutting_down_) workforce_->keep_spare(run.job.config, run.stage);
}

void Runner::watch(Run& run) {
    // A command has nothing to report but that it could not be started; that is read when it has ended.
    if (run.stage == Stage::builtin)
        run.report_io =
            loop_.on_io(run.worker.report.get(), EPOLLIN, [this, &run](std::uint32_t) { (void)read_report(run); });
    if (run.worker.beside.valid())
        run.beside_io =
            loop_.on_io(run.worker.beside.get(), EPOLLIN, [this, &run](std::uint32_t) { (void)read_beside(run); });
    if (run.worker.output.valid())
        run.output_io =
            loop_.on_io(run.worker.output.get(), EPOLLIN, [this, &run](std::uint32_t) { (void)read_output(run); });
    run.exit_io = loop_.on_io(run.worker.pidfd.get(), EPOLLIN, [this, &run](std::uint32_t) { on_exit(run); });
}

namespace {

/// Reads once. False: there is no more, for now or for good.
bool feed(ReportReader& reader, const UniqueFd& from, EventSource& io) {
    std::array<char, 16384> buffer;  // NOLINT(*-member-init): read(2) writes it
    const ssize_t n = ::read(from.get(), buffer.data(), buffer.size());
    if (n <= 0) {
        if (n == 0 || (errno != EAGAIN && errno != EINTR)) io.reset();
        return false;
    }
    reader.feed({buffer.data(), static_cast<std::size_t>(n)});
    return true;
}

}  // namespace

/// False, here and below: there is no more, for now or for good.
bool Runner::read_report(Run& run) {
    if (!feed(run.reader, run.worker.report, run.report_io)) return false;
    while (auto message = run.reader.next()) {
        if (message->kind == WorkerMessage::Kind::setup) run.setup_error = message->text;
        else if (message->kind == WorkerMessage::Kind::report) run.report = std::move(message->report);
        else if (message->kind == WorkerMessage::Kind::progress)
            listener_.on_progress(run.id, EventKind::progress, message->text);
    }
    if (run.reader.broken()) run.report_io.reset();
    return !run.reader.broken();
}

/// The companion speaks for itself only: it has no part in the report.
bool Runner::read_beside(Run& run) {
    if (!feed(run.beside_reader, run.worker.beside, run.beside_io)) return false;
    while (auto message = run.beside_reader.next()) {
        if (message->kind == WorkerMessage::Kind::setup) run.setup_error = message->text;
        else if (message->kind == WorkerMessage::Kind::refused) note_refused(run, message->text);
    }
    if (run.beside_reader.broken()) run.beside_io.reset();
    return !run.beside_reader.broken();
}

/// A worker that asks for what its row does not declare has a defect, or is somebody else's by now: the record says so.
void Runner::note_refused(Run& run, const std::string& call) {
    if (run.refused_calls++ == 0) run.refused = call;
    listener_.on_progress(run.id, EventKind::progress, "refused by the bus proxy: " + call);
}

/// Keeps the first kMaxOutput bytes; reads on past them so that the command does not block on a full pipe.
bool Runner::read_output(Run& run) {
    std::array<char, 16384> buffer;  // NOLINT(*-member-init): read(2) writes it
    const ssize_t n = ::read(run.worker.output.get(), buffer.data(), buffer.size());
    if (n <= 0) {
        if (n == 0 || (errno != EAGAIN && errno != EINTR)) run.output_io.reset();
        return false;
    }
    const std::string_view text(buffer.data(), static_cast<std::size_t>(n));
    if (run.output.size() <= protocol::kMaxOutput) {
        run.output += text.substr(0, protocol::kMaxOutput + 1 - std::min(run.output.size(), protocol::kMaxOutput));
        listener_.on_progress(run.id, EventKind::output, printable(text, 4096));
    }
    return true;
}

void Runner::on_exit(Run& run) {
    siginfo_t info{};
    if (::waitid(P_PIDFD, static_cast<id_t>(run.worker.pidfd.get()), &info, WEXITED | WNOHANG) != 0 || info.si_pid == 0)
        return;
    run.exit_io.reset();
    run.exited_normally = info.si_code == CLD_EXITED;
    run.status = info.si_status;
    while ((run.stage != Stage::builtin || !run.report) && read_report(run)) {
    }
    end_leftovers(run);
}

/// A worker that has ended leaves nothing behind: whoever is still in its group is killed, and only when the group is
/// empty does the run go on.
void Runner::end_leftovers(Run& run) {
    if (group_is_empty(run.worker)) return on_gone(run);
    signal_group(run.worker, SIGKILL);
    run.timer = loop_.after(kLeftoverCheck, [this, &run] { end_leftovers(run); });
}

void Runner::on_gone(Run& run) {
    while (run.output_io.active() && read_output(run)) {
    }
    while (run.beside_io.active() && read_beside(run)) {
    }
    run.report_io.reset();
    run.beside_io.reset();
    run.output_io.reset();
    run.timer.reset();
    next_stage(run);
}

void Runner::on_deadline(Run& run) { kill(run, Code::timeout); }

void Runner::kill(Run& run, Code why) {
    if (run.killed == Code::ok) {
        run.killed = why;
        signal_group(run.worker, SIGTERM);
        run.timer = loop_.after(kTermGrace, [this, &run] { kill(run, run.killed); });
        return;
    }
    signal_group(run.worker, SIGKILL);
    run.timer = loop_.after(kTermGrace, [this, &run] { kill(run, run.killed); });  // until it is seen to be gone
}

void Runner::cancel_all() {
    shutting_down_ = true;
    workforce_->dismiss();
    for (auto& [id, run] : runs_) {
        if (run->killed == Code::ok) kill(*run, Code::cancelled);
    }
}

namespace {

std::string how_it_ended(bool normally, int status) {
    return normally ? "ended with exit status " + std::to_string(status)
                    : "was ended by signal " + std::to_string(status);
}

}  // namespace

/// A process of the run is gone with its whole group. What next?
void Runner::next_stage(Run& run) {
    conclude_stage(run);
    if (run.stage == Stage::builtin || run.stage == Stage::undo) return finish(run);
    const auto& command = *run.policy().command;
    const bool verify = run.stage == Stage::command && run.report->code == Code::ok && !command.verify.empty();
    const bool undo = run.report->code != Code::ok && !command.undo.empty();
    if (!verify && !undo) return finish(run);
    run.stage = verify ? Stage::verify : Stage::undo;
    run.killed = Code::ok;
    run.deadline = now().boot + kAuxiliaryTimeout;
    const std::string what = verify ? "verify" : "undo";
    listener_.on_progress(run.id, EventKind::progress, "running the " + what + " command");
    if (assign_worker(run)) return begin_stage(run);
    if (verify) run.report->code = Code::not_healed;
    run.report->error = "the " + what + " command could not be started";
    finish(run);
}

/// What the stage that has just ended means for the report.
void Runner::conclude_stage(Run& run) {
    const bool succeeded = run.exited_normally && run.status == 0 && run.setup_error.empty();
    const std::string how = run.setup_error.empty() ? how_it_ended(run.exited_normally, run.status) : run.setup_error;
    if (run.stage == Stage::undo) {
        run.report->facts.set("undone", succeeded);
    } else if (run.killed != Code::ok) {
        const bool late = run.killed == Code::timeout;
        run.report = make_report(run.killed,
                                 late ? "it did not end in time and was stopped; nothing of it is left"
                                      : "it was stopped because the daemon is stopping; nothing of it is left",
                                 Verdict::unverifiable);
    } else if (run.stage == Stage::builtin) {
        if (!run.report) run.report = make_report(Code::action_failed, "the worker " + how, Verdict::unverifiable);
    } else if (run.stage == Stage::command) {
        run.report = succeeded ? make_report(Code::ok, {}, Verdict::unverifiable)
                               : make_report(Code::action_failed, "the command " + how, Verdict::unverifiable);
        run.report->facts.set(run.exited_normally ? "exit_status" : "signal", std::int64_t{run.status});
    } else {
        const auto facts = run.report->facts;
        run.report = succeeded ? make_report(Code::ok, {}, Verdict::healed)
                               : make_report(Code::not_healed, "the verify command " + how, Verdict::unchanged);
        run.report->facts = facts;
    }
}

void Runner::finish(Run& run) {
    actions::Report report = std::move(*run.report);
    if (run.refused_calls > 0) {
        report.facts.set("bus_calls_refused", run.refused_calls);
        report.facts.set("bus_call_refused", run.refused);
    }
    if (report.output.empty()) report.output = std::move(run.output);
    const RunId id = run.id;
    const auto owner = std::move(runs_.at(id));  // `run` lives until the listener has returned
    runs_.erase(id);
    listener_.on_done(id, std::move(report));
}

/// Once for each run, and never waiting: a caller that confirms again and again must not fill the worker's socket.
bool Runner::confirm(RunId id) {
    const auto found = runs_.find(id);
    if (found == runs_.end()) return false;
    Run& run = *found->second;
    if (run.stage != Stage::builtin || run.job.plan || std::exchange(run.confirmed, true)) return false;
    return ::send(run.worker.control.get(), "y", 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1;
}

bool Runner::is_busy(const std::string& target) const {
    for (const auto& [id, run] : runs_) {
        if (!run->job.plan && run->job.grant.target() == target) return true;
    }
    return false;
}

}  // namespace luminous_healing::executor
