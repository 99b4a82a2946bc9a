#pragma once
// Who is at the other end, as the kernel said when the connection was accepted (SO_PEERCRED, unix(7)). Never looked
// up again later by PID.

#include <sys/types.h>

namespace luminous_healing::protocol {

struct Peer {
    uid_t uid = static_cast<uid_t>(-1);  ///< the invalid id: an unknown peer is nobody, and never root
    gid_t gid = static_cast<gid_t>(-1);
    pid_t pid = 0;  ///< for the record only; it may have been reused since
};

}  // namespace luminous_healing::protocol
