#include "executor/connections.h"

#include "base/file.h"
#include "base/text.h"
#include "protocol/limits.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

namespace luminous_healing::executor {
namespace {

constexpr int kSoPeerPidfd = 77;  // SO_PEERPIDFD, asm-generic/socket.h since Linux 6.5

/// The last path component of the peer's control group that is a unit, from /proc/PID/cgroup (cgroups(7)).
std::string unit_of(pid_t pid) {
    const auto groups = read_file("/proc/" + std::to_string(pid) + "/cgroup", 64 * 1024);
    if (!groups) return {};
    std::string_view rest(*groups);
    std::string unit;
    while (!rest.empty()) {
        const auto line = rest.substr(0, rest.find('\n'));
        rest.remove_prefix(std::min(rest.size(), line.size() + 1));
        const bool systemd = line.starts_with("0::") || line.find(":name=systemd:") != std::string_view::npos;
        if (!systemd) continue;
        auto path = line.substr(line.rfind(':') + 1);
        while (!path.empty() && unit.empty()) {
            const auto slash = path.rfind('/');
            const auto name = path.substr(slash + 1);
            if (name.ends_with(".service") || name.ends_with(".scope")) unit = printable_line(name, 256);
            path = slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
        }
    }
    return unit;
}

std::string executable_of(pid_t pid) {
    std::array<char, 1024> path{};
    const ssize_t n = ::readlink(("/proc/" + std::to_string(pid) + "/exe").c_str(), path.data(), path.size());
    return n > 0 ? printable_line({path.data(), static_cast<std::size_t>(n)}, 512) : std::string();
}

bool still_lives(int pidfd) {
    pollfd waiting{pidfd, POLLIN, 0};
    return pidfd >= 0 && ::poll(&waiting, 1, 0) == 0;
}

}  // namespace

Expected<Connection> Connections::identify(int socket) {
    ucred credentials{0, static_cast<uid_t>(-1), static_cast<gid_t>(-1)};  // not root, should nothing be filled in
    socklen_t length = sizeof credentials;
    if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0 || length != sizeof credentials)
        return fail_errno("getsockopt SO_PEERCRED");
    if (credentials.uid == static_cast<uid_t>(-1)) return fail("the kernel does not know the peer");
    Connection connection;
    connection.peer = {credentials.uid, credentials.gid, credentials.pid};
    int pidfd = -1;
    length = sizeof pidfd;
    if (::getsockopt(socket, SOL_SOCKET, kSoPeerPidfd, &pidfd, &length) == 0) connection.pidfd.reset(pidfd);
    return connection;
}

bool Connections::is_full_for(uid_t uid) const {
    if (connections_.size() >= protocol::kMaxConnections) return true;
    const auto found = per_uid_.find(uid);
    if (uid == 0 || found == per_uid_.end()) return false;
    const bool crowded = connections_.size() >= protocol::kMaxConnections - protocol::kSpareConnections;
    return found->second >= (crowded ? protocol::kMaxConnectionsInCrowd : protocol::kMaxConnectionsPerUid);
}

ConnectionId Connections::add(Connection connection) {
    const ConnectionId id(next_id_++);
    ++per_uid_[connection.peer.uid];
    connections_.emplace(id, std::move(connection));
    return id;
}

Connection* Connections::find(ConnectionId id) {
    const auto found = connections_.find(id);
    return found == connections_.end() ? nullptr : &found->second;
}

void Connections::remove(ConnectionId id) {
    const auto found = connections_.find(id);
    if (found == connections_.end()) return;
    const auto uid = per_uid_.find(found->second.peer.uid);
    if (--uid->second == 0) per_uid_.erase(uid);
    connections_.erase(found);
}

void Connections::clear() {
    connections_.clear();
    per_uid_.clear();
}

const audit::PeerFields& shown_peer(Connection& connection) {
    if (connection.shown) return *connection.shown;
    audit::PeerFields fields{connection.peer.uid, connection.peer.gid, connection.peer.pid, {}, {}};
    if (connection.peer.pid > 0 && connection.pidfd.valid()) {
        fields.exe = executable_of(connection.peer.pid);
        fields.unit = unit_of(connection.peer.pid);
        if (!still_lives(connection.pidfd.get())) fields.exe = fields.unit = std::string();
    }
    connection.shown = std::move(fields);
    return *connection.shown;
}

}  // namespace luminous_healing::executor
