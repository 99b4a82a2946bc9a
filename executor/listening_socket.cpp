#include "executor/listening_socket.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>

namespace luminous_healing::executor {
namespace {

constexpr int kBacklog = 256;

Expected<sockaddr_un> address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) return fail("the socket path " + path + " is longer than 107 bytes");
    path.copy(address.sun_path, path.size());
    return address;
}

/// Whoever may write to the folder may put another socket in place of ours.
Expected<void> check_folder(const std::string& path) {
    const std::string folder = path.substr(0, std::max<std::size_t>(path.rfind('/'), 1));
    struct stat status {};
    if (::stat(folder.c_str(), &status) != 0) return fail_errno("the socket's folder " + folder);
    const bool foreign = status.st_uid != 0 && status.st_uid != ::geteuid();
    const bool open = (status.st_mode & (S_IWGRP | S_IWOTH)) != 0 && (status.st_mode & S_ISVTX) == 0;
    if (foreign || open)
        return fail("others can write to the socket's folder " + folder +
                    " and could put their own socket there; choose one that belongs to root, mode 0755");
    return {};
}

/// Removes what a daemon that ended badly has left; an error when the path is anything else or is being served.
Expected<void> clear_path(const std::string& path, const sockaddr_un& address) {
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) return {};
    if (!S_ISSOCK(status.st_mode))
        return fail(path + " exists and is not a socket; remove it or set another daemon.socket");
    const UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
        return fail("another daemon already serves " + path);
    if (::unlink(path.c_str()) != 0) return fail_errno("remove the stale socket " + path);
    return {};
}

/// The path of a socket that somebody else has bound.
Expected<std::string> path_of(int fd) {
    sockaddr_un address{};
    socklen_t length = sizeof address;
    if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) return fail_errno("getsockname");
    if (length <= offsetof(sockaddr_un, sun_path) || address.sun_path[0] != '/')
        return fail(
            "the socket that systemd passed is not a path in the file system, so nothing keeps anybody from "
            "connecting; give the socket unit ListenStream=/run/luminous-healing.sock");
    return std::string(address.sun_path, ::strnlen(address.sun_path, length - offsetof(sockaddr_un, sun_path)));
}

/// Who may connect is the affair of its mode, unix(7), and its owner can change that.
Expected<void> check_passed(int fd) {
    const auto path = path_of(fd);
    if (!path) return tl::unexpected(path.error());
    struct stat status {};
    if (::lstat(path->c_str(), &status) != 0) return fail_errno("the socket that systemd passed, " + *path);
    if (!S_ISSOCK(status.st_mode)) return fail(*path + " is no longer the socket that systemd passed");
    if ((status.st_mode & S_IWOTH) != 0)
        return fail("every user can connect to " + *path + "; give the socket unit SocketMode=0660 and SocketGroup=");
    if (status.st_uid != 0 && status.st_uid != ::geteuid())
        return fail(*path + " belongs to uid " + std::to_string(status.st_uid) +
                    ", who could open it to others; give the socket unit SocketUser=root");
    return check_folder(*path);
}

Expected<void> give_to_group(const std::string& path, const std::string& group) {
    const ::group* const entry = ::getgrnam(group.c_str());
    if (entry == nullptr)
        return fail("there is no group \"" + group + "\" for daemon.socket_group; groupadd --system " + group);
    if (::chown(path.c_str(), static_cast<uid_t>(-1), entry->gr_gid) != 0)
        return fail_errno("give the socket to group " + group);
    return {};
}

}  // namespace

Expected<ListeningSocket> ListeningSocket::open(const policy::DaemonSettings& settings) {
    const int passed = sd_listen_fds(1);
    if (passed > 1)
        return fail("systemd passed " + std::to_string(passed) +
                    " sockets; the socket unit must have one ListenStream");
    if (passed == 1) {
        if (sd_is_socket_unix(SD_LISTEN_FDS_START, SOCK_STREAM, 1, nullptr, 0) <= 0)
            return fail("the socket that systemd passed is not a listening Unix stream socket");
        if (auto ok = check_passed(SD_LISTEN_FDS_START); !ok) return tl::unexpected(ok.error());
        ::fcntl(SD_LISTEN_FDS_START, F_SETFL, O_NONBLOCK);
        return ListeningSocket(UniqueFd(SD_LISTEN_FDS_START), {});
    }
    const auto address = address_of(settings.socket);
    if (!address) return tl::unexpected(address.error());
    if (auto ok = check_folder(settings.socket); !ok) return tl::unexpected(ok.error());
    if (auto ok = clear_path(settings.socket, *address); !ok) return tl::unexpected(ok.error());
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd.valid()) return fail_errno("socket");
    const mode_t old = ::umask(0117);
    const int bound = ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address);
    const int error = errno;
    ::umask(old);
    if (bound != 0) return fail_errno("bind " + settings.socket, error);
    ListeningSocket socket(std::move(fd), settings.socket);
    if (settings.socket_group) {
        if (auto ok = give_to_group(settings.socket, *settings.socket_group); !ok) return tl::unexpected(ok.error());
    }
    if (::listen(socket.fd(), kBacklog) != 0) return fail_errno("listen on " + settings.socket);
    return socket;
}

ListeningSocket::ListeningSocket(UniqueFd fd, std::string own_path)
    : fd_(std::move(fd)), own_path_(std::move(own_path)) {
    struct stat status {};
    if (own_path_.empty() || ::lstat(own_path_.c_str(), &status) != 0) return;
    own_device_ = status.st_dev;
    own_inode_ = status.st_ino;
}

ListeningSocket::~ListeningSocket() {
    struct stat status {};
    if (!fd_.valid() || own_path_.empty() || ::lstat(own_path_.c_str(), &status) != 0) return;
    if (status.st_dev == own_device_ && status.st_ino == own_inode_) ::unlink(own_path_.c_str());
}

}  // namespace luminous_healing::executor
