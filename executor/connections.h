#pragma once
// Who is connected. The executor accepted each connection itself and took the peer from the kernel, so nothing that
// the gate says can change it.

#include "audit/record.h"
#include "base/strong.h"
#include "base/unique_fd.h"
#include "protocol/peer.h"

#include <cstddef>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>

namespace luminous_healing::executor {

/// The peer as the log shows it: ids from the kernel, executable and unit from /proc as far as it may be read, looked
/// up when a record first needs them. What /proc says is left out unless the pidfd proves that the process still lives
/// after it was read.
class ShownPeer {
public:
    ShownPeer(const protocol::Peer& peer, UniqueFd pidfd) : peer_(peer), pidfd_(std::move(pidfd)) {}
    /// One that was looked up before.
    explicit ShownPeer(audit::PeerFields fields) : fields_(std::move(fields)) {}

    [[nodiscard]] const audit::PeerFields& fields();
    /// Its connection has ended: whoever still waits for an answer keeps no descriptor.
    void let_go() { pidfd_.reset(); }

private:
    protocol::Peer peer_;
    UniqueFd pidfd_;  // where the kernel has SO_PEERPIDFD (6.5)
    std::optional<audit::PeerFields> fields_;
};

struct Connection {
    protocol::Peer peer;
    std::size_t in_flight = 0;
    std::shared_ptr<ShownPeer> shown;
};

class Connections {
public:
    /// SO_PEERCRED of an accepted socket. An error is a denial: an unknown peer is never taken for anybody.
    [[nodiscard]] static Expected<Connection> identify(int socket);

    /// Has this uid, or everybody together, as many connections as there may be? Root is exempt from the first.
    [[nodiscard]] bool is_full_for(uid_t uid) const;
    ConnectionId add(Connection connection);
    [[nodiscard]] Connection* find(ConnectionId id);
    void remove(ConnectionId id);
    void clear();
    [[nodiscard]] std::size_t count() const noexcept { return connections_.size(); }

private:
    std::unordered_map<ConnectionId, Connection> connections_;
    std::unordered_map<uid_t, std::size_t> per_uid_;
    std::uint64_t next_id_ = 1;
};

}  // namespace luminous_healing::executor
