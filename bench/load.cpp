#include "bench/load.h"

#include "bench/turns.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>

#include <array>
#include <cerrno>
#include <string>
#include <vector>

namespace luminous_healing::bench {
namespace {

constexpr std::string_view kVictim = "@VICTIM@";  // in parameters: the PID of a process that waits to be killed

/// A child that does nothing until a signal ends it, for actions that kill. Made and reaped outside the timed part.
class Victim {
public:
    Victim() : pid_(::fork()) {
        if (pid_ < 0) give_up("fork");
        if (pid_ == 0) {
            while (true) ::pause();
        }
    }
    ~Victim() {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    Victim(const Victim&) = delete;
    Victim& operator=(const Victim&) = delete;

    [[nodiscard]] std::string put_into(std::string parameters) const {
        return parameters.replace(parameters.find(kVictim), kVictim.size(), std::to_string(pid_));
    }

private:
    pid_t pid_;
};

void receive(int socket, std::string& answer, bool until_end) {
    std::array<char, 65536> buffer;  // NOLINT(*-member-init): recv(2) writes it
    answer.clear();
    while (until_end || answer.empty() || answer.back() != '\n') {
        // Like our clients. Who waits in recv(2) is woken for nothing when the other side has read: poll(2) tells the
        // kernel what it waits for.
        pollfd waiting{socket, POLLIN, 0};
        (void)::poll(&waiting, 1, -1);
        const ssize_t n = ::recv(socket, buffer.data(), buffer.size(), 0);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) give_up("recv");
        if (n == 0) return;
        answer.append(buffer.data(), static_cast<std::size_t>(n));
    }
}

/// unix(7): the peer is who the process effectively was when it called connect(2).
void become(uid_t uid) {
    if (::seteuid(uid) != 0) give_up("seteuid: only root may be others");
}

Clock::duration exchange(const LoadOptions& options, bool until_end, UniqueFd& socket, std::string_view frame,
                         std::string& answer) {
    const auto began = Clock::now();
    if (options.connect_each) socket = connect_to(options.socket);
    send_all(socket.get(), frame);
    receive(socket.get(), answer, until_end);
    return Clock::now() - began;
}

}  // namespace

UniqueFd connect_to(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) give_up("the socket's path is too long");
    path.copy(address.sun_path, path.size());
    UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        give_up(("connect to " + path).c_str());
    return socket;
}

void send_all(int socket, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t n = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR) give_up("send");
        if (n > 0) bytes.remove_prefix(static_cast<std::size_t>(n));
    }
}

void check_answer(const LoadOptions& options, std::string_view answer) {
    const bool right = !answer.empty() && answer.find(options.expect) != std::string_view::npos &&
                       (options.refuse.empty() || answer.find(options.refuse) == std::string_view::npos);
    if (!right) give_up(("not the answer that was to be measured: " + std::string(answer)).c_str());
}

void measure_latency(const LoadOptions& options, const Frames& frames) {
    const bool kills = frames.options().parameters.find(kVictim) != std::string::npos;
    std::vector<std::string> made;
    for (std::size_t i = 0; i < options.warm_up + options.count && !kills; ++i) made.push_back(frames.make(i));
    UniqueFd socket;
    if (!options.connect_each) socket = connect_to(options.socket);
    std::string answer;
    measure(options.warm_up, options.count, [&](std::size_t i) {
        if (options.connect_each) socket.reset();
        Clock::duration taken{};
        if (kills) {
            const Victim victim;
            const auto frame = frames.make(i, victim.put_into(frames.options().parameters));
            taken = exchange(options, frames.options().legacy_v1, socket, frame, answer);
        } else {
            if (options.uids != 0)
                become(options.uids + static_cast<uid_t>((frames.options().skip + i) % options.uid_count));
            taken = exchange(options, frames.options().legacy_v1, socket, made[i], answer);
            if (options.uids != 0) become(0);
        }
        check_answer(options, answer);
        return taken;
    });
}

}  // namespace luminous_healing::bench
