#include "executor/gate.h"

#include "base/clock.h"
#include "base/text.h"
#include "executor/channel.h"
#include "executor/confinement.h"
#include "executor/logging.h"
#include "executor/shares.h"
#include "protocol/envelope.h"
#include "protocol/framing.h"
#include "protocol/json_writer.h"
#include "protocol/limits.h"
#include "protocol/response.h"

#include <sched.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

namespace luminous_healing::executor {
namespace {

using protocol::FrameSplitter;

constexpr std::size_t kReadSize = 32 * 1024;              // bytes taken from a socket at a time
constexpr std::size_t kMaxPendingOutput = 2 * 64 * 1024;  // bytes; above it nothing more is read from that client
constexpr Micros kSweep = 500ms;                          // how often deadlines are looked at
constexpr int kReadyAtOnce = 64;                          // descriptors that are looked after before answers leave
constexpr std::uint64_t kChannelKey = 0;                  // in epoll(7), where others have their connection's id
constexpr unsigned kLivenessBudget = 100;                 // unsigned probes of one uid in kLivenessWindow
constexpr Micros kLivenessWindow = 10s;

struct Client {
    UniqueFd fd;
    std::uint64_t uid = 0;
    FrameSplitter splitter;
    std::uint32_t watched = EPOLLIN;  ///< by epoll(7)
    std::uint32_t wanted = EPOLLIN;   ///< of it; what is watched in vain is given up when it first wakes us
    std::string output;
    std::size_t in_flight = 0;
    bool waiting = false;           ///< with a frame, for its turn among the connections of its uid
    bool no_more_requests = false;  ///< end of input, a version 1 request, or a malformed one
    bool close_when_written = false;
    BootTime last_activity;
    BootTime frame_started;
};

class Gate {
public:
    Gate(UniqueFd epoll, UniqueFd channel) : epoll_(std::move(epoll)), channel_(std::move(channel)) {}
    /// Until the executor is gone; false when waiting for it fails.
    [[nodiscard]] bool run();

private:
    [[nodiscard]] int time_to_sweep() const;
    [[nodiscard]] bool watch(int operation, int fd, std::uint64_t key, std::uint32_t events);
    void on_executor();
    void obey(const Message& message, UniqueFd fd);
    void serve(ConnectionId id);
    void add_client(ConnectionId id, std::uint64_t uid, UniqueFd fd);
    void on_client(ConnectionId id, std::uint32_t ready);
    [[nodiscard]] bool read_some(Client& client);
    void take_frames(ConnectionId id, Client& client, bool its_turn = false);
    void count_request(Client& client);
    void serve_waiting(std::uint64_t uid);
    void forward(ConnectionId id, Client& client, std::string_view frame);
    void malformed(ConnectionId id, Client& client, const std::string& why);
    void answer_liveness(Client& client, std::string_view text);
    [[nodiscard]] bool write_some(Client& client);
    void settle(ConnectionId id, Client& client);
    void wait_for(ConnectionId id, Client& client, std::uint32_t wanted);
    void drop(ConnectionId id);
    void sweep();
    [[nodiscard]] bool has_expired(const Client& client, BootTime now) const;
    void tell(const Message& message) { outbox_.add(message); }
    void flush();

    UniqueFd epoll_;
    UniqueFd channel_;
    bool stopped_ = false;
    BootTime sweep_at_;  // while there are clients
    Inbox inbox_;
    Outbox outbox_;                       // empty at the end of each turn
    std::vector<ConnectionId> answered_;  // in this turn; their bytes leave together
    std::unordered_map<ConnectionId, Client> clients_;
    Shares shares_;
    std::unordered_map<std::uint64_t, unsigned> probes_;  // by uid, in the current window
    BootTime probes_since_;
};

/// Not sd-event: that looks after one descriptor for each look at all of them, and here they all lead to the same
/// executor. What it is told, it is told once for all that were ready.
bool Gate::run() {
    if (!watch(EPOLL_CTL_ADD, channel_.get(), kChannelKey, EPOLLIN)) return false;
    std::array<epoll_event, kReadyAtOnce> ready;  // NOLINT(*-member-init): epoll_wait(2) writes what is read
    while (!stopped_) {
        const int count = ::epoll_wait(epoll_.get(), ready.data(), kReadyAtOnce, time_to_sweep());
        if (count < 0 && errno != EINTR) return false;
        for (const auto& one : std::span(ready).first(static_cast<std::size_t>(std::max(count, 0)))) {
            if (one.data.u64 == kChannelKey) on_executor();
            else on_client(ConnectionId(one.data.u64), one.events);
        }
        if (!clients_.empty() && boot_now() >= sweep_at_) sweep();
        flush();
    }
    return true;
}

/// For epoll_wait(2), in ms.
int Gate::time_to_sweep() const {
    if (clients_.empty()) return -1;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(sweep_at_ - boot_now()).count();
    return static_cast<int>(std::max<std::int64_t>(left, 0));
}

bool Gate::watch(int operation, int fd, std::uint64_t key, std::uint32_t events) {
    epoll_event event{.events = events, .data = {.u64 = key}};
    return ::epoll_ctl(epoll_.get(), operation, fd, &event) == 0;
}

/// Waits for the executor when it is busy. If the executor is gone there is nothing left to do.
void Gate::flush() {
    if (!outbox_.flush(channel_.get())) stopped_ = true;
}

void Gate::on_executor() {
    auto received = inbox_.receive(channel_.get());
    if (!received && received.error().system_error == EAGAIN) return;
    if (!received) {
        stopped_ = true;
        return;
    }
    for (auto& one : *received) {
        const auto message = decode(one.bytes);
        if (!message) {  // that, or its end is closed: the answers before it are still passed on
            stopped_ = true;
            break;
        }
        obey(*message, std::move(one.fd));
    }
    for (const auto id : answered_) serve(id);
    answered_.clear();
}

void Gate::obey(const Message& message, UniqueFd fd) {
    switch (message.type) {
        case MessageType::connection: return add_client(message.connection, message.number, std::move(fd));
        case MessageType::ping: return tell({.type = MessageType::pong});
        case MessageType::write: {
            const auto found = clients_.find(message.connection);
            if (found == clients_.end()) return;
            Client& client = found->second;
            client.output += message.fields[0];
            if ((message.number & kAnswersRequest) != 0 && client.in_flight > 0) {
                --client.in_flight;
                shares_.give_back(client.uid, 1);
            }
            if ((message.number & kCloseAfter) != 0) client.close_when_written = client.no_more_requests = true;
            if (answered_.empty() || answered_.back() != message.connection) answered_.push_back(message.connection);
            return;
        }
        default: return;
    }
}

/// Writes what there is for it, and takes what had to wait for that.
void Gate::serve(ConnectionId id) {
    const auto found = clients_.find(id);
    if (found == clients_.end()) return;
    const auto uid = found->second.uid;
    if (!write_some(found->second)) return drop(id);
    take_frames(id, found->second);
    settle(id, found->second);
    serve_waiting(uid);
}

void Gate::add_client(ConnectionId id, std::uint64_t uid, UniqueFd fd) {
    // Without a free descriptor the kernel drops the one that rode along. Untold, the executor would count it for ever.
    // One that cannot be watched (epoll_ctl(2), ENOSPC) would wait for ever.
    if (!fd.valid() || !watch(EPOLL_CTL_ADD, fd.get(), id.value(), EPOLLIN))
        return tell({.type = MessageType::closed, .connection = id});
    Client client;
    client.uid = uid;
    client.last_activity = boot_now();
    client.fd = std::move(fd);
    if (clients_.empty()) sweep_at_ = client.last_activity + kSweep;
    clients_.insert_or_assign(id, std::move(client));
}

void Gate::on_client(ConnectionId id, std::uint32_t ready) {
    const auto found = clients_.find(id);
    if (found == clients_.end()) return;
    Client& client = found->second;
    if ((ready & EPOLLERR) != 0) return drop(id);
    if ((ready & EPOLLOUT) != 0 && !write_some(client)) return drop(id);
    if ((ready & (EPOLLIN | EPOLLHUP)) != 0 && (client.wanted & EPOLLIN) != 0) {
        if (!read_some(client)) return drop(id);
    } else if ((ready & EPOLLHUP) != 0) {
        return drop(id);  // both directions are gone, and nobody wants to read what may be left
    } else if ((ready & EPOLLIN) != 0) {
        wait_for(id, client, client.wanted);
    }
    take_frames(id, client);
    settle(id, client);
}

/// False when the connection is broken. End of input only ends the requests: answers may still be on their way.
bool Gate::read_some(Client& client) {
    static std::array<char, kReadSize> buffer;
    const ssize_t n = ::recv(client.fd.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    client.last_activity = boot_now();
    if (n == 0) {
        client.no_more_requests = true;
        return !client.splitter.mid_frame();
    }
    if (!client.splitter.mid_frame()) client.frame_started = client.last_activity;
    client.splitter.feed({buffer.data(), static_cast<std::size_t>(n)});
    return true;
}

void Gate::take_frames(ConnectionId id, Client& client, bool its_turn) {
    while (!client.close_when_written && client.in_flight < protocol::kMaxInFlight &&
           client.output.size() < kMaxPendingOutput) {
        switch (client.splitter.poll()) {
            case FrameSplitter::State::incomplete: return;
            case FrameSplitter::State::oversize: return malformed(id, client, "a frame longer than 65536 bytes");
            case FrameSplitter::State::garbage: return malformed(id, client, "a frame that does not begin with {");
            case FrameSplitter::State::frame:
                if (!shares_.admits(client.uid, std::exchange(its_turn, false))) {
                    if (!std::exchange(client.waiting, true)) shares_.wait(client.uid, id);
                    return;
                }
                forward(id, client, client.splitter.next());
                break;
        }
        client.frame_started = client.last_activity;  // the next frame's time begins at the earliest now
    }
}

void Gate::count_request(Client& client) {
    ++client.in_flight;
    shares_.take(client.uid);
}

/// In turn one frame of each connection of that uid that waits, as far as there is room.
void Gate::serve_waiting(std::uint64_t uid) {
    while (const auto id = shares_.next(uid)) {
        const auto found = clients_.find(*id);
        if (found == clients_.end()) continue;
        found->second.waiting = false;
        take_frames(*id, found->second, true);
        settle(*id, found->second);
    }
}

void Gate::forward(ConnectionId id, Client& client, std::string_view frame) {
    const auto envelope = protocol::parse_envelope(frame);
    if (!envelope) return malformed(id, client, envelope.error().message);
    if (std::holds_alternative<protocol::Ping>(*envelope)) {
        protocol::JsonWriter writer;
        writer.begin_object().member("type", "pong").member("service", "luminous-healing");
        writer.member("version", LUMINOUS_VERSION).end_object();
        return answer_liveness(client, writer.take() + "\n");
    }
    if (const auto* const probe = std::get_if<protocol::LegacyProbe>(&*envelope)) {
        protocol::Response alive;
        alive.request_id = printable_line(probe->id, protocol::kMaxIdLength);
        alive.success = true;
        alive.code = protocol::Code::ok;
        alive.output = "luminous-healing " LUMINOUS_VERSION;
        client.close_when_written = client.no_more_requests = true;
        return answer_liveness(client, protocol::write_response_v1(alive, "status"));
    }
    count_request(client);
    if (const auto* const v2 = std::get_if<protocol::EnvelopeV2>(&*envelope)) {
        const std::string_view mac{v2->mac.bytes.data(), v2->mac.bytes.size()};
        return tell({.type = MessageType::request_v2, .connection = id, .fields = {v2->caller, mac, v2->request}});
    }
    const auto& v1 = std::get<protocol::EnvelopeV1>(*envelope);
    client.no_more_requests = true;
    const std::string_view signature{v1.signature.bytes.data(), v1.signature.bytes.size()};
    tell({.type = MessageType::request_v1,
          .connection = id,
          .fields = {v1.id, v1.action, v1.timestamp, signature, v1.parameters}});
}

/// Framing can no longer be trusted after this, so nothing more is read. The executor records it and answers.
void Gate::malformed(ConnectionId id, Client& client, const std::string& why) {
    client.no_more_requests = true;
    count_request(client);
    client.splitter = FrameSplitter();
    const std::string reason = printable_line(why, 200);
    tell({.type = MessageType::malformed, .connection = id, .fields = {reason}});
}

void Gate::answer_liveness(Client& client, std::string_view text) {
    const BootTime t = boot_now();
    if (t - probes_since_ > kLivenessWindow) {
        probes_.clear();
        probes_since_ = t;
    }
    if (++probes_[client.uid] <= kLivenessBudget) client.output += text;
    else client.close_when_written = client.no_more_requests = true;
}

bool Gate::write_some(Client& client) {
    while (!client.output.empty()) {
        const ssize_t n =
            ::send(client.fd.get(), client.output.data(), client.output.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno == EAGAIN;
        client.output.erase(0, static_cast<std::size_t>(n));
        client.last_activity = boot_now();
    }
    return true;
}

/// Decides what to wait for next: back-pressure is simply not waiting for input.
void Gate::settle(ConnectionId id, Client& client) {
    if (!client.output.empty() && !write_some(client)) return drop(id);
    const bool done = client.close_when_written || (client.no_more_requests && client.in_flight == 0 &&
                                                    client.splitter.poll() != FrameSplitter::State::frame);
    if (done && client.output.empty()) return drop(id);
    const bool may_read = !client.no_more_requests && !client.waiting && client.in_flight < protocol::kMaxInFlight &&
                          client.output.size() < kMaxPendingOutput;
    const std::uint32_t wanted = (may_read ? std::uint32_t{EPOLLIN} : 0U) | (client.output.empty() ? 0U : EPOLLOUT);
    client.wanted = wanted;
    const bool watches_more_than_input = (client.watched & ~wanted & ~std::uint32_t{EPOLLIN}) != 0;
    if ((wanted & ~client.watched) != 0 || watches_more_than_input) wait_for(id, client, wanted);
}

void Gate::wait_for(ConnectionId id, Client& client, std::uint32_t wanted) {
    if (client.watched != wanted && watch(EPOLL_CTL_MOD, client.fd.get(), id.value(), wanted)) client.watched = wanted;
}

void Gate::drop(ConnectionId id) {
    const auto dropped = clients_.extract(id);
    if (dropped.empty()) return;
    tell({.type = MessageType::closed, .connection = id});
    shares_.give_back(dropped.mapped().uid, dropped.mapped().in_flight);
    serve_waiting(dropped.mapped().uid);
}

bool Gate::has_expired(const Client& client, BootTime t) const {
    if (!client.output.empty()) return t - client.last_activity > protocol::kWriteTimeout;
    if (client.splitter.mid_frame() && !client.no_more_requests)
        return t - client.frame_started > protocol::kFrameTimeout;
    return client.in_flight == 0 && t - client.last_activity > protocol::kIdleTimeout;
}

void Gate::sweep() {
    const BootTime t = boot_now();
    std::vector<ConnectionId> expired;
    for (const auto& [id, client] : clients_) {
        if (has_expired(client, t)) expired.push_back(id);
    }
    for (const auto id : expired) drop(id);
    sweep_at_ = t + kSweep;
}

/// SCHED_BATCH, sched(7): being woken it takes the processor from nobody, neither from the client whose bytes woke it
/// nor from the executor that has answers for it. Each of them goes on to its own wait, and the next one runs on the
/// same processor, for a fraction of what waking another one costs (decision 0019). Strangers decide how much the gate
/// has to do; a policy that the administrator gave the daemon stays.
void disturb_nobody() {
    const sched_param none{};
    if (::sched_getscheduler(0) == SCHED_OTHER) (void)::sched_setscheduler(0, SCHED_BATCH, &none);
}

}  // namespace

int run_gate() {
    start_logging(false);
    disturb_nobody();
    UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
    if (!epoll.valid()) return 1;
    Gate gate(std::move(epoll), UniqueFd(kGateChannel));
    if (auto confined = confine_gate(); !confined) {
        log_error("the gate could not confine itself: " + confined.error().message);
        return 1;
    }
    return gate.run() ? 0 : 1;
}

}  // namespace luminous_healing::executor
