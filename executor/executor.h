#pragma once
// The daemon: one thread, one event loop. Accepts connections, keeps the gate alive, feeds the pipeline, reloads and
// ends. What happens to a request stands in pipeline.cpp.

#include "audit/log.h"
#include "base/unique_fd.h"
#include "executor/config_file.h"
#include "executor/connections.h"
#include "executor/event_loop.h"
#include "executor/gate_link.h"
#include "executor/listening_socket.h"
#include "executor/pipeline.h"
#include "executor/recorder.h"
#include "executor/runner.h"
#include "executor/status.h"
#include "executor/witness.h"

#include <memory>
#include <optional>
#include <string>

namespace luminous_healing::executor {

/// What main() has prepared.
struct ExecutorSetup {
    std::string config_path;
    ConfigSources sources;
    std::optional<std::string> socket_override;
    std::shared_ptr<const policy::Config> config;
    Host host;
    std::optional<Credentials> gate_user;  ///< when we are root: who the gate becomes
    UniqueFd launcher;                     ///< the program that becomes commands
};

class Executor {
public:
    Executor(EventLoop loop, ListeningSocket socket, ExecutorSetup setup);

    /// Starts the gate. Before any key is loaded.
    [[nodiscard]] Expected<void> start_gate();

    /// Takes over keys and log, recovers what the log says, and answers requests until TERM. The exit status.
    [[nodiscard]] int run(Keyring keyring, std::unique_ptr<audit::Log> log, bool bounding_limited);

private:
    void watch_signals();
    void on_accept();
    void accept_one(UniqueFd socket);
    void refuse_connection(const UniqueFd& socket, const Connection& peer);
    void on_out_of_descriptors();
    [[nodiscard]] bool on_gate_message(const Message& message);
    [[nodiscard]] bool on_request(const Message& message, Connection& connection);
    void on_gate_lost(const std::string& why);
    void reload();
    void reopen();
    void shut_down();
    void stop_when_idle();
    void on_watchdog();
    void end_turn();
    void record_event(audit::EventType event, std::string detail, std::optional<std::string> error = {});
    void make_pipeline();
    [[nodiscard]] bool take_up_state();
    void take_authority(std::shared_ptr<const policy::Config> config, Keyring keyring);
    [[nodiscard]] std::string describe_status(const policy::CallerPolicy& caller, const std::string& detail);

    EventLoop loop_;
    ListeningSocket socket_;
    ExecutorSetup setup_;
    Connections connections_;
    GateLink gate_;
    std::unique_ptr<audit::Log> log_;
    std::optional<Recorder> recorder_;
    std::optional<Pipeline> pipeline_;
    std::unique_ptr<Runner> runner_;
    std::unique_ptr<Witness> witness_;
    std::size_t gate_restarts_ = 0;
    BootTime gate_started_;
    Micros gate_delay_{10ms};
    BootTime started_ = boot_now();
    bool shutting_down_ = false;
    DaemonFacts facts_;  // what run() found does not change any more; the rest is brought up to date when it is told
    UniqueFd spare_;     // given up for a moment when there is no descriptor left to accept with
    EventSource accept_;
    EventSource accept_pause_;
    EventSource watchdog_;
    EventSource gate_restart_;
    std::vector<EventSource> signals_;
    std::optional<Micros> watchdog_interval_;
    bool watched_ = false;  // WATCHDOG_USEC is set: systemd waits for our signs of life
};

}  // namespace luminous_healing::executor
