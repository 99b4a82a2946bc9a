// luminous-healingd with a gate that somebody has taken over: as `--gate` it does to the executor what the file beside
// it says, PROGRAM.mode; everything else is the daemon itself (executor/main.cpp, renamed).
//
//   good        the true gate
//   garbage     bytes that are no message         lengths   a message whose fields are longer than itself
//   oversize    a message beyond any limit        backwards a message that only the executor may send
//   descriptor  a descriptor with a message       stranger  a request of a connection that there is not
//   flood       requests without end              silence   nothing, ever
//   unsigned    a request nobody signed, for each connection
//   swapped     the signed request with the id "stolen", as if a client of another user had sent it

#include "base/file.h"
#include "base/text.h"
#include "base/unique_fd.h"
#include "executor/channel.h"
#include "executor/gate.h"
#include "protocol/envelope.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <string>
#include <vector>

int luminous_main(int argc, char** argv);  // main() of executor/main.cpp

namespace {

using namespace luminous_healing;            // NOLINT(google-build-using-namespace): a program, not a header
using namespace luminous_healing::executor;  // NOLINT(google-build-using-namespace)

const std::string kNoMac(32, '\0');
constexpr std::string_view kRequest =
    R"({"id":"forged","action":"restart_service","parameters":{"service":"nginx"},"timestamp":"2026-01-01T00:00:00Z"})";

void send_bytes(std::string_view bytes, UniqueFd fd = {}) {
    Outbox out;
    out.add(std::string(bytes), std::move(fd));
    (void)out.flush(kGateChannel);
}

std::string unsigned_request(ConnectionId connection) {
    return encode({.type = MessageType::request_v2, .connection = connection, .fields = {"mona", kNoMac, kRequest}});
}

[[noreturn]] void wait_for_the_end() {
    while (true) ::pause();
}

/// What needs no connection. False for a mode that does.
bool attack_at_once(const std::string& mode) {
    if (mode == "garbage") send_bytes("\xff\x00garbage");
    else if (mode == "lengths") {
        std::string bytes = unsigned_request(ConnectionId(1));
        std::memset(bytes.data() + 24, 0xff, 4);  // the length of field 0
        send_bytes(bytes);
    } else if (mode == "oversize") {
        const int size = 1 << 20;
        ::setsockopt(kGateChannel, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
        send_bytes(std::string(200000, 'x'));
    } else if (mode == "backwards")
        send_bytes(encode({.type = MessageType::connection, .connection = ConnectionId(1)}));
    else if (mode == "descriptor") send_bytes(encode({.type = MessageType::pong}), UniqueFd(::dup(STDIN_FILENO)));
    else if (mode == "stranger") send_bytes(unsigned_request(ConnectionId(424242)));
    else if (mode != "silence") return false;
    return true;
}

struct Client {
    ConnectionId id;
    UniqueFd socket;
    std::string bytes;  // that it has sent
};

uid_t user_of(const Client& client) {
    ucred peer{};
    socklen_t size = sizeof peer;
    (void)::getsockopt(client.socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size);
    return peer.uid;
}

/// Reads what has come; false when the client has gone.
bool read_more(Client& client) {
    std::array<char, 65536> buffer{};
    const ssize_t n = ::recv(client.socket.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (n > 0) client.bytes.append(buffer.data(), static_cast<std::size_t>(n));
    return n > 0;
}

/// The request with the id "stolen", once it is there, is sent as if a client of another user had.
void swap_the_stolen(const std::vector<Client>& clients) {
    for (const Client& victim : clients) {
        const std::string_view line = std::string_view(victim.bytes).substr(0, victim.bytes.find('\n'));
        if (line.size() == victim.bytes.size() || line.find("stolen") == std::string_view::npos) continue;
        const auto parsed = protocol::parse_envelope(line);
        if (!parsed || !std::holds_alternative<protocol::EnvelopeV2>(*parsed)) continue;
        const auto& envelope = std::get<protocol::EnvelopeV2>(*parsed);
        const std::string_view mac{envelope.mac.bytes.data(), envelope.mac.bytes.size()};
        for (const Client& other : clients)
            if (user_of(other) != user_of(victim))
                return send_bytes(encode({.type = MessageType::request_v2,
                                          .connection = other.id,
                                          .fields = {envelope.caller, mac, envelope.request}}));
    }
}

/// What the executor says: a sign of life is answered, a new client is kept and, by mode, spoken for.
void obey(Inbox::Received& received, const std::string& mode, std::vector<Client>& clients) {
    if (received.bytes.empty()) ::_exit(0);
    const auto message = decode(received.bytes);
    if (!message) ::_exit(1);
    if (message->type == MessageType::ping) send_bytes(encode({.type = MessageType::pong}));
    if (message->type != MessageType::connection) return;
    const ConnectionId id = message->connection;
    clients.push_back({id, std::move(received.fd), {}});
    if (mode == "unsigned") send_bytes(unsigned_request(id));
    while (mode == "flood") send_bytes(unsigned_request(id));
}

void hear_executor(const std::string& mode, std::vector<Client>& clients) {
    static Inbox inbox;
    auto received = inbox.receive(kGateChannel);
    if (!received) ::_exit(0);
    for (auto& one : *received) obey(one, mode, clients);
}

[[noreturn]] void attack_connections(const std::string& mode) {
    std::vector<Client> clients;
    while (true) {
        std::vector<pollfd> waiting{{kGateChannel, POLLIN, 0}};
        for (const Client& client : clients) waiting.push_back({client.socket.get(), POLLIN, 0});
        (void)::poll(waiting.data(), waiting.size(), -1);
        for (std::size_t i = clients.size(); i > 0; --i)
            if (waiting[i].revents != 0 && !read_more(clients[i - 1]))
                clients.erase(clients.begin() + static_cast<std::ptrdiff_t>(i - 1));
        if (waiting[0].revents != 0) hear_executor(mode, clients);
        if (mode == "swapped") swap_the_stolen(clients);
    }
}

int hostile_gate() {
    std::array<char, 4096> self{};
    const ssize_t length = ::readlink("/proc/self/exe", self.data(), self.size());
    if (length <= 0) return 1;
    const auto file = read_file(std::string(self.data(), static_cast<std::size_t>(length)) + ".mode", 64);
    const std::string mode(file ? trim(*file) : std::string_view("good"));
    if (mode == "good") return run_gate();
    if (attack_at_once(mode)) wait_for_the_end();
    attack_connections(mode);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc == 2 && std::string_view(argv[1]) == "--gate") ::_exit(hostile_gate());
    return luminous_main(argc, argv);
}
