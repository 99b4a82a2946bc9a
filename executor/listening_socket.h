#pragma once
// The socket that callers connect to: adopted from systemd (sd_listen_fds(3)), or bound by us.

#include "base/expected.h"
#include "base/unique_fd.h"
#include "policy/config.h"

#include <cstdint>
#include <string>

namespace luminous_healing::executor {

class ListeningSocket {
public:
    /// Adopts the one socket that systemd passed, or binds `daemon.socket` with mode 0660 and its group. Refuses a
    /// folder in which others could exchange the socket, a passed socket that every user can open or that another
    /// user owns, a path that is no socket, and one that somebody serves.
    [[nodiscard]] static Expected<ListeningSocket> open(const policy::DaemonSettings& settings);
    ListeningSocket(ListeningSocket&&) noexcept = default;
    ListeningSocket& operator=(ListeningSocket&&) = delete;
    ListeningSocket(const ListeningSocket&) = delete;
    ListeningSocket& operator=(const ListeningSocket&) = delete;
    /// Removes the path of a socket that we bound, unless another has taken its place; never that of an inherited one.
    ~ListeningSocket();

    [[nodiscard]] int fd() const noexcept { return fd_.get(); }
    [[nodiscard]] bool inherited() const noexcept { return own_path_.empty(); }

private:
    explicit ListeningSocket(UniqueFd fd, std::string own_path);
    UniqueFd fd_;
    std::string own_path_;
    std::uint64_t own_device_ = 0;  // of what we bound there
    std::uint64_t own_inode_ = 0;
};

}  // namespace luminous_healing::executor
