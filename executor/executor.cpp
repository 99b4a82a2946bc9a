#include "executor/executor.h"

#include "actions/registry.h"
#include "executor/landlock.h"
#include "executor/logging.h"
#include "executor/needs.h"
#include "executor/privileges.h"
#include "executor/recovery.h"
#include "protocol/json_writer.h"
#include "protocol/limits.h"
#include "protocol/secret_memory.h"

#include <fcntl.h>
#include <malloc.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

namespace luminous_healing::executor {

using audit::EventType;
using protocol::Code;

namespace {

constexpr Micros kAcceptPause = 100ms;      // after accept(2) failed for want of memory or descriptors
constexpr Micros kGateCheck = 5s;           // how often the gate must give a sign of life
constexpr Micros kGateRestartDelay = 50ms;  // grows with every loss in a row, so that a broken gate does not spin

std::string object_with(protocol::JsonName name, std::string_view value) {
    protocol::JsonWriter writer;
    return writer.begin_object().member(name, value).end_object().take();
}

std::string start_detail(const Recovered& recovered) {
    protocol::JsonWriter writer;
    writer.begin_object().member("version", LUMINOUS_VERSION);
    if (recovered.damaged > 0) writer.member("unreadable_lines", static_cast<std::int64_t>(recovered.damaged));
    return writer.end_object().take();
}

/// What no worker may read, whatever its uid: keys, and the folder of the log with the key of its chain.
std::vector<std::string> secret_folders(const policy::Config& config, const ConfigSources& sources) {
    std::vector<std::string> folders{config.audit.path.substr(0, config.audit.path.rfind('/'))};
    folders.push_back(sources.key_directory);
    for (const auto& [name, caller] : config.callers) {  // where daemon.key_directory is set, keys are whole paths
        for (const auto& key : caller.keys) {
            if (key.starts_with('/')) folders.push_back(key.substr(0, key.rfind('/')));
        }
    }
    if (sources.credentials_directory) folders.push_back(*sources.credentials_directory);
    for (auto& folder : folders) {
        std::error_code error;
        auto real = std::filesystem::canonical(folder, error);
        if (!error) folder = real.string();
    }
    return folders;
}

}  // namespace

Executor::Executor(EventLoop loop, ListeningSocket socket, ExecutorSetup setup)
    : loop_(std::move(loop)),
      socket_(std::move(socket)),
      setup_(std::move(setup)),
      gate_(loop_, {[this](const Message& message) { return on_gate_message(message); }, [this] { end_turn(); },
                    [this](const std::string& why) { on_gate_lost(why); }}),
      spare_(::open("/dev/null", O_RDONLY | O_CLOEXEC)) {}

Expected<void> Executor::start_gate() { return gate_.start(setup_.gate_user); }

int Executor::run(Keyring keyring, std::unique_ptr<audit::Log> log, bool bounding_limited) {
    facts_.host = setup_.host;
    facts_.started = started_;
    facts_.pid = ::getpid();
    facts_.uid = ::geteuid();
    facts_.capabilities = capability_names(permitted_capabilities());
    facts_.bounding_limited = bounding_limited;
    facts_.landlock_abi = landlock_abi();
    facts_.inherited_socket = socket_.inherited();
    log_ = std::move(log);
    log_->set_config_digest(setup_.config->digest);
    recorder_.emplace(loop_, *log_, setup_.config->audit.sync);
    make_pipeline();
    auto runner = Runner::create(loop_,
                                 {[this](RunId id, protocol::EventKind kind, const std::string& text) {
                                      pipeline_->on_progress(id, kind, text);
                                  },
                                  [this](RunId id, const actions::Report& report) {
                                      pipeline_->on_done(id, report);
                                      stop_when_idle();
                                  }},
                                 setup_.launcher.get(), secret_folders(*setup_.config, setup_.sources));
    if (!runner) {
        log_error("system call filters: " + runner.error().message);
        return 1;
    }
    runner_ = std::move(*runner);
    pipeline_->set_runner(*runner_);
    witness_ = std::make_unique<Witness>(loop_, setup_.launcher.get(), secret_folders(*setup_.config, setup_.sources));
    take_authority(setup_.config, std::move(keyring));
    if (!take_up_state()) return 1;
    end_turn();
    watch_signals();
    accept_ = loop_.on_io(socket_.fd(), EPOLLIN, [this](std::uint32_t) { on_accept(); });
    on_watchdog();
    log_info("ready on " +
             (socket_.inherited() ? std::string("the socket from systemd") : setup_.config->daemon.socket));
    sd_notify(0, "READY=1\nSTATUS=Waiting for requests");
    ::malloc_trim(0);  // what reading the log back took: idle it is of no use, and every fork(2) would copy its tables
    runner_->prepare(*setup_.config);
    const auto ended = loop_.run();
    if (!ended) log_error(ended.error().message);
    return ended ? 0 : 1;
}

void Executor::make_pipeline() {
    pipeline_.emplace(*recorder_, setup_.host,
                      Pipeline::Ports{
                          [this](ConnectionId id, std::string_view bytes) {
                              if (auto* const connection = connections_.find(id);
                                  connection != nullptr && connection->in_flight > 0)
                                  --connection->in_flight;
                              gate_.write(id, bytes, kAnswersRequest);
                          },
                          [this](ConnectionId id, std::string_view bytes) { gate_.write(id, bytes, 0); },
                          [this](const policy::CallerPolicy& caller, const std::string& detail) {
                              return describe_status(caller, detail);
                          },
                      });
}

/// What the log says that is still to be known: budgets, answers, what was interrupted, what still runs.
bool Executor::take_up_state() {
    const auto recovered =
        recover_state(*setup_.config, setup_.host.boot_id, pipeline_->limiter(), pipeline_->journal(), *recorder_);
    if (!recovered) {
        log_error("the audit log cannot be read back: " + recovered.error().message);
        return false;
    }
    if (recovered->damaged > 0)
        log_warning("the audit log has lines that are no records of ours (" + std::to_string(recovered->damaged) +
                    " were left out; the newest: " + recovered->damage +
                    "). Somebody else wrote to it: see healctl audit verify");
    if (recovered->interrupted > 0)
        log_warning(std::to_string(recovered->interrupted) +
                    " requests were interrupted when the daemon last ended; they are not run again");
    record_event(EventType::start, start_detail(*recovered));
    witness_->tell(log_->head(), "start");
    recorder_->on_epoch([this] { witness_->tell(log_->head(), "epoch"); });
    for (const auto& intent : recovered->gone_on) pipeline_->adopt(intent);
    return true;
}

void Executor::take_authority(std::shared_ptr<const policy::Config> config, Keyring keyring) {
    Authority authority{config, std::move(keyring), {}};
    const auto machine = look_at_machine();
    for (const auto& [name, action] : config->actions) {
        auto why = actions::unavailable(row_of(action), machine);
        if (!why) continue;
        log_warning(name.str() + " is unavailable: " + *why);
        authority.unavailable.emplace(name, std::move(*why));
    }
    for (const auto& warning : config->warnings) log_warning(warning);
    witness_->set_command(config->audit.witness);
    pipeline_->set_authority(std::move(authority));
    setup_.config = std::move(config);
}

void Executor::record_event(EventType event, std::string detail, std::optional<std::string> error) {
    audit::Record record;
    record.event = event;
    record.success = !error;
    record.error = std::move(error);
    record.detail = std::move(detail);
    recorder_->record(record, Urgency::before_effects);
    recorder_->flush();
}

void Executor::watch_signals() {
    signals_.push_back(loop_.on_signal(SIGTERM, [this] { shut_down(); }));
    signals_.push_back(loop_.on_signal(SIGINT, [this] { shut_down(); }));
    signals_.push_back(loop_.on_signal(SIGHUP, [this] { reload(); }));
    signals_.push_back(loop_.on_signal(SIGUSR1, [this] { reopen(); }));
}

// --- connections -----------------------------------------------------------------------------------------------------

/// One in each turn: a flood of them is not all there is to do, and to look for a second one costs a call that fails.
void Executor::on_accept() {
    if (!gate_.is_up()) return loop_.set_io_events(accept_, 0);  // until there is a gate to read them
    UniqueFd socket(::accept4(socket_.fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (socket.valid()) accept_one(std::move(socket));
    else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) on_out_of_descriptors();
    end_turn();
}

void Executor::accept_one(UniqueFd socket) {
    auto connection = Connections::identify(socket.get());
    if (!connection) {
        log_warning("a connection was refused: " + connection.error().message);
        return;
    }
    if (connections_.is_full_for(connection->peer.uid)) return refuse_connection(socket, *connection);
    const uid_t uid = connection->peer.uid;
    gate_.add_connection(connections_.add(std::move(*connection)), uid, std::move(socket));
}

/// One line that needs no key, and away.
void Executor::refuse_connection(const UniqueFd& socket, const Connection& peer) {
    protocol::Response busy;
    busy.request_id = "unknown";
    busy.code = Code::busy;
    busy.error = "busy";
    busy.retry_after_ms = 1000;
    const std::string line = protocol::frame_response(protocol::write_response(busy), nullptr, {});
    (void)::send(socket.get(), line.data(), line.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    audit::Record record;
    record.allowed = false;
    record.success = false;
    record.duration_ms = 0;
    record.code = Code::busy;
    record.error = "too many connections";
    record.peer = audit::PeerFields{peer.peer.uid, peer.peer.gid, peer.peer.pid, {}, {}};
    recorder_->record_folded(record, Urgency::denial);
}

/// Without a descriptor to accept with, the connection would stay in the queue and wake us for ever: the spare one
/// is given up to take it and send it away. Then a pause, since others may be waiting.
void Executor::on_out_of_descriptors() {
    const int error = errno;
    log_warning(std::string("accept: ") + std::strerror(error));
    if (error == EMFILE || error == ENFILE) {
        spare_.reset();
        const UniqueFd dropped(::accept4(socket_.fd(), nullptr, nullptr, SOCK_CLOEXEC));
    }
    if (!spare_.valid()) spare_.reset(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    loop_.set_io_events(accept_, 0);
    accept_pause_ = loop_.after(kAcceptPause, [this] { loop_.set_io_events(accept_, EPOLLIN); });
}

// --- the gate --------------------------------------------------------------------------------------------------------

bool Executor::on_gate_message(const Message& message) {
    if (message.type == MessageType::closed) {
        connections_.remove(message.connection);
        pipeline_->forget(message.connection);
        return true;
    }
    Connection* const connection = connections_.find(message.connection);
    if (connection == nullptr) return false;  // not one we gave it, or one it has closed
    if (++connection->in_flight > protocol::kMaxInFlight) return false;
    if (message.type == MessageType::malformed) {
        pipeline_->refuse_malformed(message.fields[0], message.connection, *connection);
        return true;
    }
    return on_request(message, *connection);
}

bool Executor::on_request(const Message& message, Connection& connection) {
    SignedFrame frame;
    std::string_view mac;
    if (message.type == MessageType::request_v2) {
        frame.caller = message.fields[0];
        mac = message.fields[1];
        frame.request = message.fields[2];
    } else if (message.type == MessageType::request_v1) {
        frame.legacy_v1 = true;
        frame.id = message.fields[0];
        frame.action = message.fields[1];
        frame.timestamp = message.fields[2];
        mac = message.fields[3];
        frame.parameters = message.fields[4];
    } else {
        return false;
    }
    if (mac.size() != frame.mac.bytes.size()) return false;
    mac.copy(frame.mac.bytes.data(), mac.size());
    pipeline_->handle(frame, message.connection, connection);
    return true;
}

/// Its connections are gone with it; clients connect again and ask with the same bytes. What runs is not disturbed.
void Executor::on_gate_lost(const std::string& why) {
    ++gate_restarts_;
    connections_.clear();
    if (pipeline_) pipeline_->forget_connections();
    log_error("the gate was lost: " + why);
    if (recorder_) record_event(EventType::gate_lost, object_with("why", why), why);
    // A gate that was lost soon after its start may be lost again: each time a little later, at most after a second.
    const bool soon = boot_now() - gate_started_ < kGateCheck;
    gate_delay_ = soon ? std::min<Micros>(gate_delay_ * 2, 1s) : kGateRestartDelay;
    gate_restart_ = loop_.after(gate_delay_, [this] {
        gate_started_ = boot_now();
        loop_.set_io_events(accept_, EPOLLIN);
        if (auto started = start_gate(); !started) {
            log_error("the gate could not be started again: " + started.error().message);
            on_gate_lost(started.error().message);
        }
    });
}

void Executor::end_turn() {
    if (recorder_) recorder_->flush();
}

/// Proof of progress: our loop turns, and the gate's does. systemd hears of it only then.
void Executor::on_watchdog() {
    if (!watchdog_interval_) {
        std::uint64_t usec = 0;
        watched_ = sd_watchdog_enabled(0, &usec) > 0;
        watchdog_interval_ =
            watched_ ? std::min<Micros>(Micros(static_cast<std::int64_t>(usec)) / 3, kGateCheck) : kGateCheck;
    } else if (watched_ && gate_.answered()) {  // unasked for, the datagrams may pile up until we wait for their reader
        sd_notify(0, "WATCHDOG=1");
    }
    gate_.ping();
    watchdog_ = loop_.after(*watchdog_interval_, [this] { on_watchdog(); });
}

// --- reload and the end ----------------------------------------------------------------------------------------------

void Executor::reload() {
    sd_notify(0, "RELOADING=1");
    auto config = read_config(setup_.config_path, setup_.sources);
    tl::expected<CallerKeys, std::vector<ConfigProblem>> keys;
    if (config) keys = read_keys(*config, setup_.sources);
    const auto* const problems = !config ? &config.error() : !keys ? &keys.error() : nullptr;
    if (problems != nullptr) {
        for (const auto& problem : *problems) log_error(problem.where + ": " + problem.what);
        log_error("the configuration is not reloaded; the old one stays in force");
        record_event(EventType::reload, {}, problems->front().where + ": " + problems->front().what);
    } else {
        auto ring = Keyring::create(std::move(*keys));
        if (setup_.socket_override) config->daemon.socket = *setup_.socket_override;
        if (config->daemon.socket != setup_.config->daemon.socket || config->audit.path != setup_.config->audit.path)
            log_warning("daemon.socket and audit.path change with the next start only");
        if (!ring) {
            record_event(EventType::reload, {}, ring.error().message);
        } else {
            log_->set_config_digest(config->digest);
            recorder_->set_sync(config->audit.sync);
            take_authority(std::make_shared<const policy::Config>(std::move(*config)), std::move(*ring));
            runner_->prepare(*setup_.config);
            record_event(EventType::reload, object_with("config_digest", setup_.config->digest));
            log_info("the configuration was reloaded");
        }
    }
    sd_notify(0, "READY=1");
}

void Executor::reopen() {
    if (auto reopened = log_->reopen(now()); !reopened) log_error("reopen the audit log: " + reopened.error().message);
    else log_info("the audit log was reopened");
}

/// The first TERM lets running actions end, up to their deadlines, and refuses new ones; a second one ends them.
void Executor::shut_down() {
    if (shutting_down_) {
        log_info("ending what still runs");
        runner_->cancel_all();
        return;
    }
    shutting_down_ = true;
    pipeline_->set_shutting_down();
    pipeline_->leave_to_successor();
    sd_notify(0, "STOPPING=1");
    if (runner_->running() > 0) log_info("waiting for " + std::to_string(runner_->running()) + " running actions");
    stop_when_idle();
}

void Executor::stop_when_idle() {
    if (!shutting_down_ || runner_->running() > 0) return;
    recorder_->close();
    record_event(EventType::stop, {});
    witness_->tell(log_->head(), "stop");
    log_info("stopped");
    loop_.stop();
}

std::string Executor::describe_status(const policy::CallerPolicy& caller, const std::string& detail) {
    if (detail == "actions") return describe_actions(caller, pipeline_->authority(), pipeline_->limiter());
    facts_.memory_locked = protocol::secret_memory_is_locked();
    facts_.connections = connections_.count();
    facts_.running = runner_->running();
    facts_.gate_restarts = gate_restarts_;
    return describe_daemon(facts_, *setup_.config, *log_);
}

}  // namespace luminous_healing::executor
