#include "clients/cpp/connection.h"

#include "base/text.h"

#include <grp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

#include <algorithm>
#include <array>

namespace luminous_healing::client {
namespace {

using State = protocol::FrameSplitter::State;

/// The group that may use the socket, by name where it has one.
std::string group_of(const std::string& path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) return "luminous-healing";
    const group* const entry = ::getgrgid(status.st_gid);
    return entry != nullptr ? entry->gr_name : std::to_string(status.st_gid);
}

tl::unexpected<Error> explain_connect(const std::string& path, int code) {
    const std::string shown = printable_line(path, 200);
    switch (code) {
        case ENOENT:
        case ENOTDIR:
            return fail("there is no socket " + shown +
                            ": start the daemon (systemctl start luminous-healing.socket) or name its socket",
                        ENOENT);
        case EACCES:
        case EPERM: {
            const std::string group = group_of(path);
            return fail("no permission to use " + shown + ": add your user to the group " + group + " (usermod -aG " +
                            group + " USER) and log in again",
                        EACCES);
        }
        case ECONNREFUSED:
            return fail("nobody listens at " + shown +
                            ": the daemon is down (systemctl status luminous-healing, then systemctl start it)",
                        ECONNREFUSED);
        case EAGAIN: return fail(shown + " took no connection in time: the daemon is overloaded or stopped", ETIMEDOUT);
        case EPROTOTYPE: return fail(shown + " is a socket of another kind: name the daemon's socket", EPROTOTYPE);
        default: return fail_errno("connect to " + shown, code);
    }
}

/// A blocking connect(2) waits for room in the listener's queue for at most SO_SNDTIMEO, socket(7). A non-blocking one
/// would fail with EAGAIN there, with nothing to poll for.
void limit_connect(int socket, BootTime deadline) {
    const std::int64_t left = std::max<std::int64_t>((deadline - now().boot).count(), 1000);
    const timeval limit{.tv_sec = static_cast<time_t>(left / 1'000'000),
                        .tv_usec = static_cast<suseconds_t>(left % 1'000'000)};
    ::setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

bool is_lost(int code) { return code == EPIPE || code == ECONNRESET || code == ENOTCONN; }

}  // namespace

Expected<Connection> Connection::open(const std::string& socket_path, BootTime deadline) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (socket_path.empty() || socket_path.size() >= sizeof address.sun_path)
        return fail("a socket path has 1 to " + std::to_string(sizeof address.sun_path - 1) + " bytes, this has " +
                        std::to_string(socket_path.size()),
                    ENAMETOOLONG);
    socket_path.copy(address.sun_path, socket_path.size());
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!fd.valid()) return fail_errno("make a socket");
    limit_connect(fd.get(), deadline);
    int result = -1;
    do {
        result = ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    } while (result != 0 && errno == EINTR);
    if (result != 0) return explain_connect(socket_path, errno);
    return Connection(std::move(fd));
}

Expected<void> Connection::wait(short events, BootTime deadline) const {
    for (;;) {
        const std::int64_t left = (deadline - now().boot).count();
        if (left <= 0) return fail("no answer in the time given", ETIMEDOUT);
        pollfd entry{.fd = socket_.get(), .events = events, .revents = 0};
        const std::int64_t left_ms = std::min<std::int64_t>(left / 1000 + 1, 3'600'000);
        const int ready = ::poll(&entry, 1, static_cast<int>(left_ms));
        if (ready > 0) return {};
        if (ready < 0 && errno != EINTR) return fail_errno("poll");
    }
}

Expected<void> Connection::send(std::string_view bytes, BootTime deadline) {
    while (!bytes.empty()) {
        const ssize_t n = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0) {
            bytes.remove_prefix(static_cast<std::size_t>(n));
            continue;
        }
        if (errno == EINTR) continue;
        if (is_lost(errno)) return fail("the daemon closed the connection", ECONNRESET);
        if (errno != EAGAIN) return fail_errno("send");
        if (auto ready = wait(POLLOUT, deadline); !ready) return ready;
    }
    return {};
}

Expected<void> Connection::read_more(BootTime deadline) {
    if (auto ready = wait(POLLIN, deadline); !ready) return ready;
    std::array<char, 16'384> buffer{};
    const ssize_t n = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (n > 0) {
        splitter_.feed({buffer.data(), static_cast<std::size_t>(n)});
        return {};
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return {};
    if (n < 0 && !is_lost(errno)) return fail_errno("receive");
    return fail(splitter_.mid_frame() ? "the connection was lost in the middle of an answer"
                                      : "the connection was lost before an answer",
                ECONNRESET);
}

Expected<std::string> Connection::receive(BootTime deadline) {
    for (;;) {
        switch (splitter_.poll()) {
            case State::frame: return splitter_.take();
            case State::oversize:
                return fail("an answer longer than " + std::to_string(protocol::kMaxFrame) +
                                " bytes: what listens there is not luminous-healingd",
                            EMSGSIZE);
            case State::garbage:
                return fail("an answer that is not JSON: what listens there is not luminous-healingd", EBADMSG);
            case State::incomplete: break;
        }
        if (auto more = read_more(deadline); !more) return tl::unexpected(more.error());
    }
}

}  // namespace luminous_healing::client
