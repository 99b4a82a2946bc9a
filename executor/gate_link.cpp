#include "executor/gate_link.h"

#include "executor/gate.h"
#include "executor/logging.h"
#include "executor/privileges.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>

namespace luminous_healing::executor {
namespace {

constexpr std::size_t kMaxQueued = 32U << 20U;  // bytes; a gate that lets more pile up is not reading
constexpr int kFarewell = 1000;                 // ms that the gate has to write the last answers
constexpr std::size_t kSentAtOnce = 64 * 1024;  // bytes of answers that wait for the end of the turn
constexpr std::size_t kBatch = 256;  // messages after which a turn takes no more, so that their records are committed

[[noreturn]] void become_gate(int program, int channel, const std::optional<Credentials>& run_as) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    const int moved = ::fcntl(channel, F_DUPFD_CLOEXEC, 10);
    const int executable = ::fcntl(program, F_DUPFD_CLOEXEC, 10);
    const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    ::dup2(null, STDIN_FILENO);
    ::dup2(null, STDOUT_FILENO);
    ::dup2(moved, kGateChannel);
    ::syscall(SYS_close_range, kGateChannel + 1, ~0U, 4U /* CLOSE_RANGE_CLOEXEC */);
    limit_bounding(0);  // here, while CAP_SETPCAP is held: the gate itself comes too late
    if (run_as && !become(*run_as, 0)) ::_exit(1);
    if (!run_as && !set_capabilities(0)) ::_exit(1);
    char name[] = "luminous-healingd";
    char mode[] = "--gate";
    char journal[] = "JOURNAL_STREAM=1";
    std::array<char*, 3> arguments{name, mode, nullptr};
    std::array<char*, 2> environment{std::getenv("JOURNAL_STREAM") != nullptr ? journal : nullptr, nullptr};
    ::syscall(SYS_execveat, executable, "", arguments.data(), environment.data(), AT_EMPTY_PATH);
    ::_exit(1);
}

/// The channel is full, or as many descriptors as a process may have are under way in it (unix(7), ETOOMANYREFS).
bool must_wait(const Error& error) { return error.system_error == EAGAIN || error.system_error == ETOOMANYREFS; }

}  // namespace

/// The last answers are in the channel: the gate passes them on, meets its end, and ends. One that does not is killed.
GateLink::~GateLink() {
    io_.reset();
    channel_.reset();
    if (pid_ <= 0) return;
    const UniqueFd ended(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
    pollfd waiting{ended.get(), POLLIN, 0};
    (void)::poll(&waiting, 1, kFarewell);
    end_process();
}

Expected<void> GateLink::start(const std::optional<Credentials>& run_as) {
    auto channel = make_channel();
    if (!channel) return tl::unexpected(channel.error());
    const UniqueFd program(::open("/proc/self/exe", O_PATH | O_CLOEXEC));
    if (!program.valid()) return fail_errno("open /proc/self/exe");
    pid_ = ::fork();
    if (pid_ < 0) return fail_errno("fork the gate");
    if (pid_ == 0) become_gate(program.get(), channel->second.get(), run_as);
    channel_ = std::move(channel->first);
    io_ = loop_.on_io(channel_.get(), EPOLLIN, [this](std::uint32_t ready) { on_channel(ready); });
    ping_unanswered_ = false;
    return {};
}

void GateLink::end_process() {
    if (pid_ <= 0) return;
    channel_.reset();  // at its end the gate ends by itself, should it be beyond our reach
    if (::kill(pid_, SIGKILL) == 0) ::waitpid(pid_, nullptr, 0);  // it is ours and killed: it ends at once
    else log_error("the gate (process " + std::to_string(pid_) + ") cannot be killed: " + std::strerror(errno));
    pid_ = -1;
}

/// Forgets the gate and all it held. Told to the listener from a turn of its own, since whoever noticed may be in the
/// middle of something.
void GateLink::lost(const std::string& why) {
    if (lost_later_.active()) return;
    io_.reset();
    channel_.reset();
    outbox_.clear();
    is_full_ = false;
    end_process();
    lost_later_ = loop_.after(1ms, [this, why] {
        lost_later_.reset();
        listener_.on_lost(why);
    });
}

void GateLink::add_connection(ConnectionId id, uid_t uid, UniqueFd socket) {
    send({.type = MessageType::connection, .connection = id, .number = uid}, std::move(socket));
}

void GateLink::write(ConnectionId id, std::string_view bytes, std::uint64_t flags) {
    send({.type = MessageType::write, .connection = id, .number = flags, .fields = {bytes}});
}

void GateLink::ping() {
    if (ping_unanswered_) return lost("it did not answer");
    ping_unanswered_ = true;
    send({.type = MessageType::ping});
}

void GateLink::send(const Message& message, UniqueFd fd) {
    if (!channel_.valid()) return;
    outbox_.add(message, std::move(fd));
    if (outbox_.bytes() > kMaxQueued) return lost("it does not take what it is sent");
    if (!is_full_ && (!in_turn_ || outbox_.bytes() >= kSentAtOnce)) flush();
}

void GateLink::flush() {
    if (!channel_.valid()) return;
    const auto sent = outbox_.flush(channel_.get());
    if (!sent && !must_wait(sent.error())) return lost(sent.error().message);
    if (is_full_ == !sent) return;
    is_full_ = !sent;
    loop_.set_io_events(io_, is_full_ ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

void GateLink::on_channel(std::uint32_t ready) {
    if ((ready & EPOLLOUT) != 0) flush();
    in_turn_ = true;
    for (std::size_t taken = 0; taken < kBatch && channel_.valid();) {
        taken += take_messages();
        if (!inbox_.may_have_more()) break;
    }
    listener_.on_turn_end();
    in_turn_ = false;
    if (!is_full_) flush();
}

/// How many there were.
std::size_t GateLink::take_messages() {
    const auto received = inbox_.receive(channel_.get());
    if (!received) {
        if (received.error().system_error != EAGAIN) lost(received.error().message);
        return 0;
    }
    for (const auto& one : *received) {
        if (!channel_.valid()) break;
        const auto message = one.fd.valid() ? std::nullopt : decode(one.bytes);
        if (one.bytes.empty()) lost("it ended");
        else if (message && message->type == MessageType::pong) ping_unanswered_ = false;
        else if (!message || !listener_.on_message(*message)) lost("it sent what no gate of ours sends");
    }
    return received->size();
}

}  // namespace luminous_healing::executor
