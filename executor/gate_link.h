#pragma once
// The executor's side of the gate: starts it, feeds it connections and answers, listens to it, and replaces it when it
// dies, falls silent or says what no gate of ours says. Never waits for it.

#include "base/expected.h"
#include "base/unique_fd.h"
#include "executor/channel.h"
#include "executor/event_loop.h"
#include "executor/privileges.h"

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace luminous_healing::executor {

class GateLink {
public:
    struct Listener {
        std::function<bool(const Message&)> on_message;       ///< false: no gate of ours would say that
        std::function<void()> on_turn_end;                    ///< after a batch of messages
        std::function<void(const std::string& why)> on_lost;  ///< its connections are gone; start() it again
    };

    GateLink(EventLoop& loop, Listener listener) : loop_(loop), listener_(std::move(listener)) {}
    GateLink(const GateLink&) = delete;
    GateLink& operator=(const GateLink&) = delete;
    ~GateLink();

    /// Starts the program anew as `--gate` (it never shares memory with us), as `run_as` when we are root.
    [[nodiscard]] Expected<void> start(const std::optional<Credentials>& run_as);

    void add_connection(ConnectionId id, uid_t uid, UniqueFd socket);
    void write(ConnectionId id, std::string_view bytes, std::uint64_t flags);
    /// Asks for a sign of life; lost() if the last one was never answered.
    void ping();
    /// Has it answered the last ping?
    [[nodiscard]] bool answered() const noexcept { return !ping_unanswered_; }
    [[nodiscard]] pid_t pid() const noexcept { return pid_; }
    /// Is there a gate to give connections to?
    [[nodiscard]] bool is_up() const noexcept { return channel_.valid(); }

private:
    void send(const Message& message, UniqueFd fd = {});
    void on_channel(std::uint32_t ready);
    [[nodiscard]] std::size_t take_messages();
    void flush();
    void lost(const std::string& why);
    void end_process();

    EventLoop& loop_;
    Listener listener_;
    pid_t pid_ = -1;
    UniqueFd channel_;
    EventSource io_;
    Inbox inbox_;
    Outbox outbox_;
    bool in_turn_ = false;  // messages are being taken: what they are answered with leaves together
    bool is_full_ = false;  // the channel took no more; we wait until it does
    bool ping_unanswered_ = false;
    EventSource lost_later_;
};

}  // namespace luminous_healing::executor
