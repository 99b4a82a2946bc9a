#include "executor/connections.h"

#include "base/text.h"
#include "protocol/limits.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

namespace luminous_healing::executor {
namespace {

constexpr int kSoPeerPidfd = 77;  // SO_PEERPIDFD, asm-generic/socket.h since Linux 6.5

constexpr std::size_t kMostGroups = 64 * 1024;  // bytes of /proc/PID/cgroup; more are those of no process that we know

/// The last path component of the peer's control group that is a unit, from /proc/PID/cgroup (cgroups(7)). The kernel
/// writes that file in one go: what a read(2) does not fill is all.
std::string unit_of(pid_t pid) {
    static std::array<char, kMostGroups> groups;
    const UniqueFd fd(::open(("/proc/" + std::to_string(pid) + "/cgroup").c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
    const ssize_t n = fd.valid() ? ::read(fd.get(), groups.data(), groups.size()) : -1;
    if (n <= 0 || static_cast<std::size_t>(n) == groups.size()) return {};
    std::string_view rest(groups.data(), static_cast<std::size_t>(n));
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
    const protocol::Peer peer{credentials.uid, credentials.gid, credentials.pid};
    int pidfd = -1;
    length = sizeof pidfd;
    const bool given = ::getsockopt(socket, SOL_SOCKET, kSoPeerPidfd, &pidfd, &length) == 0;
    return Connection{peer, 0, std::make_shared<ShownPeer>(peer, UniqueFd(given ? pidfd : -1))};
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
    found->second.shown->let_go();
    connections_.erase(found);
}

void Connections::clear() {
    for (const auto& [id, connection] : connections_) connection.shown->let_go();
    connections_.clear();
    per_uid_.clear();
}

const audit::PeerFields& ShownPeer::fields() {
    if (fields_) return *fields_;
    audit::PeerFields fields{peer_.uid, peer_.gid, peer_.pid, {}, {}};
    if (peer_.pid > 0 && pidfd_.valid()) {
        fields.exe = executable_of(peer_.pid);
        fields.unit = unit_of(peer_.pid);
        if (!still_lives(pidfd_.get())) fields.exe = fields.unit = std::string();
    }
    fields_ = std::move(fields);
    return *fields_;
}

}  // namespace luminous_healing::executor
