// luminous-healingd with a gate that somebody has taken over: as `--gate` it does to the executor what the file
// /run/lab-gate says; everything else is the daemon itself (executor/main.cpp, renamed).
//
//   good        the true gate
//   garbage     bytes that are no message         lengths   a message whose fields are longer than itself
//   oversize    a message beyond any limit        backwards a message that only the executor may send
//   descriptor  a descriptor with a message       stranger  a request of a connection that there is not
//   flood       requests without end              silence   nothing, ever
//   unsigned    a request nobody signed, for each connection
//   swapped     the signed request of one of two clients, as if the other had sent it

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
#include <iterator>
#include <map>
#include <string>

int luminous_main(int argc, char** argv);  // main() of executor/main.cpp

namespace {

using namespace luminous_healing;            // NOLINT(google-build-using-namespace): a program, not a header
using namespace luminous_healing::executor;  // NOLINT(google-build-using-namespace)

const std::string kNoMac(32, '\0');
constexpr std::string_view kRequest =
    R"({"id":"forged","action":"restart_service","parameters":{"service":"nginx"},"timestamp":"2026-01-01T00:00:00Z"})";

void send_bytes(std::string_view bytes, int fd = -1) { (void)send_message(kGateChannel, bytes, fd); }

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
    else if (mode == "descriptor") send_bytes(encode({.type = MessageType::pong}), STDIN_FILENO);
    else if (mode == "stranger") send_bytes(unsigned_request(ConnectionId(424242)));
    else if (mode != "silence") return false;
    return true;
}

/// The signed request that waits on a client's socket, once it is there.
protocol::EnvelopeV2 read_request(int socket, std::string& bytes) {
    std::array<char, 65536> buffer{};
    while (bytes.find('\n') == std::string::npos) {
        pollfd waiting{socket, POLLIN, 0};
        (void)::poll(&waiting, 1, -1);
        const ssize_t n = ::recv(socket, buffer.data(), buffer.size(), 0);
        if (n > 0) bytes.append(buffer.data(), static_cast<std::size_t>(n));
        else if (n == 0) break;
    }
    bytes.erase(bytes.find('\n'));
    const auto envelope = protocol::parse_envelope(bytes);
    if (envelope && std::holds_alternative<protocol::EnvelopeV2>(*envelope))
        return std::get<protocol::EnvelopeV2>(*envelope);
    return {};
}

/// Whichever of the two clients asks: its request is sent as if the other one had.
void send_as_the_other(const std::map<ConnectionId, UniqueFd>& clients) {
    const auto& [first, second] = std::pair(clients.begin(), std::next(clients.begin()));
    std::array<pollfd, 2> waiting{pollfd{first->second.get(), POLLIN, 0}, pollfd{second->second.get(), POLLIN, 0}};
    (void)::poll(waiting.data(), waiting.size(), -1);
    const bool first_asks = waiting[0].revents != 0;
    std::string bytes;
    const auto stolen = read_request(waiting[first_asks ? 0 : 1].fd, bytes);
    const std::string_view mac{stolen.mac.bytes.data(), stolen.mac.bytes.size()};
    send_bytes(encode({.type = MessageType::request_v2,
                       .connection = first_asks ? second->first : first->first,
                       .fields = {stolen.caller, mac, stolen.request}}));
}

[[noreturn]] void attack_connections(const std::string& mode) {
    std::map<ConnectionId, UniqueFd> clients;
    while (true) {
        pollfd waiting{kGateChannel, POLLIN, 0};
        (void)::poll(&waiting, 1, -1);
        auto received = receive_message(kGateChannel);
        if (!received || received->bytes.empty()) ::_exit(0);
        const auto message = decode(received->bytes);
        if (!message) ::_exit(1);
        if (message->type == MessageType::ping) send_bytes(encode({.type = MessageType::pong}));
        if (message->type != MessageType::connection) continue;
        const ConnectionId id = message->connection;
        clients[id] = std::move(received->fd);
        if (mode == "unsigned") send_bytes(unsigned_request(id));
        while (mode == "flood") send_bytes(unsigned_request(id));
        if (mode != "swapped" || clients.size() != 2) continue;
        send_as_the_other(clients);
    }
}

int hostile_gate() {
    const auto file = read_file("/run/lab-gate", 64);
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
