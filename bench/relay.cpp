#include "bench/relay.h"

#include "base/unique_fd.h"
#include "bench/load.h"
#include "bench/times.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <unordered_map>

namespace luminous_healing::bench {
namespace {

constexpr std::size_t kMaxMessage = 65536 + sizeof(std::uint64_t);
constexpr std::size_t kMaxUnanswered = 64;  // keeps both sides from waiting for room in each other's queue

/// A message is the client's number and one frame, or one answer.
void send_message(int channel, std::uint64_t client, std::string_view bytes) {
    std::array<iovec, 2> pieces{{{&client, sizeof client}, {const_cast<char*>(bytes.data()), bytes.size()}}};
    if (::writev(channel, pieces.data(), pieces.size()) < 0) give_up("writev");
}

/// The second process: answers each message, and ends with the channel.
[[noreturn]] void serve(int channel, const Answer& answer) {
    static std::array<char, kMaxMessage> buffer;
    while (true) {
        const ssize_t n = ::read(channel, buffer.data(), buffer.size());
        if (n < static_cast<ssize_t>(sizeof(std::uint64_t))) ::_exit(n == 0 ? 0 : 1);
        std::uint64_t client = 0;
        std::memcpy(&client, buffer.data(), sizeof client);
        send_message(channel, client,
                     answer({buffer.data() + sizeof client, static_cast<std::size_t>(n) - sizeof client}));
    }
}

class Relay {
public:
    Relay(UniqueFd listener, UniqueFd channel)
        : epoll_(::epoll_create1(0)), listener_(std::move(listener)), channel_(std::move(channel)) {
        for (const int fd : {STDIN_FILENO, listener_.get(), channel_.get()}) watch(fd);
    }
    void run();

private:
    struct Client {
        UniqueFd fd;
        std::string partial;
    };

    void watch(int fd) {
        epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
        if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) give_up("epoll_ctl");
    }
    void accept_one();
    void forward_requests(Client& client);
    void forward_one(Client& client, std::string_view frame);
    bool pass_answer_back(int flags);

    UniqueFd epoll_;
    UniqueFd listener_;
    UniqueFd channel_;
    std::unordered_map<int, Client> clients_;
    std::size_t unanswered_ = 0;
};

void Relay::run() {
    while (true) {
        std::array<epoll_event, 64> events{};
        const int ready = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), -1);
        for (int i = 0; i < ready; ++i) {
            const int fd = events[static_cast<std::size_t>(i)].data.fd;
            if (fd == STDIN_FILENO) return;
            if (fd == listener_.get()) accept_one();
            else if (fd == channel_.get())
                while (pass_answer_back(MSG_DONTWAIT)) continue;
            else if (const auto found = clients_.find(fd); found != clients_.end()) forward_requests(found->second);
        }
    }
}

void Relay::accept_one() {
    UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!fd.valid()) return;
    const int key = fd.get();
    clients_.insert_or_assign(key, Client{std::move(fd), {}});
    watch(key);
}

void Relay::forward_requests(Client& client) {
    static std::array<char, 65536> buffer;
    const ssize_t n = ::read(client.fd.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) return;
    if (n <= 0) {
        clients_.erase(client.fd.get());
        return;
    }
    std::string_view rest(buffer.data(), static_cast<std::size_t>(n));
    for (std::size_t end = 0; (end = rest.find('\n')) != std::string_view::npos; rest.remove_prefix(end + 1)) {
        const auto frame = rest.substr(0, end + 1);
        if (client.partial.empty()) forward_one(client, frame);
        else forward_one(client, client.partial.append(frame));
        client.partial.clear();
    }
    client.partial.append(rest);
}

void Relay::forward_one(Client& client, std::string_view frame) {
    while (unanswered_ >= kMaxUnanswered) pass_answer_back(0);
    send_message(channel_.get(), static_cast<std::uint64_t>(client.fd.get()), frame);
    ++unanswered_;
}

bool Relay::pass_answer_back(int flags) {
    static std::array<char, kMaxMessage> buffer;
    const ssize_t n = ::recv(channel_.get(), buffer.data(), buffer.size(), flags);
    if (n < 0 && errno == EAGAIN) return false;
    if (n <= 0) give_up("the relay's server has ended");
    --unanswered_;
    std::uint64_t key = 0;
    std::memcpy(&key, buffer.data(), sizeof key);
    const auto client = clients_.find(static_cast<int>(key));
    if (client == clients_.end()) return true;
    send_all(client->second.fd.get(), {buffer.data() + sizeof key, static_cast<std::size_t>(n) - sizeof key});
    return true;
}

UniqueFd listen_on(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) give_up("the socket's path is too long");
    path.copy(address.sun_path, path.size());
    UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) give_up("bind");
    if (::listen(socket.get(), 128) != 0) give_up("listen");
    return socket;
}

}  // namespace

void serve_relay(const std::string& path, const Answer& answer) {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) give_up("socketpair");
    UniqueFd listener = listen_on(path);
    const pid_t server = ::fork();
    if (server < 0) give_up("fork");
    if (server == 0) {
        ::close(ends[0]);
        serve(ends[1], answer);
    }
    ::close(ends[1]);
    std::puts("ready");
    std::fflush(stdout);
    Relay(std::move(listener), UniqueFd(ends[0])).run();
}

}  // namespace luminous_healing::bench
