#include "executor/config_trust.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <deque>

namespace luminous_healing::executor {
namespace {

constexpr int kMostSymlinks = 40;  // as the kernel, path_resolution(7)

void put_in_front(std::deque<std::string>& parts, const std::string& path) {
    std::deque<std::string> new_parts;
    for (std::size_t at = 0; at < path.size();) {
        const auto end = std::min(path.find('/', at), path.size());
        if (end > at) new_parts.push_back(path.substr(at, end - at));
        at = end + 1;
    }
    parts.insert(parts.begin(), new_parts.begin(), new_parts.end());
}

Expected<void> check_owner_and_mode(const std::string& path, const struct stat& found) {
    if (!is_trusted_owner(found.st_uid))
        return fail(path + " belongs to uid " + std::to_string(found.st_uid) + ". Run: chown root " + path);
    const bool sticky_folder = S_ISDIR(found.st_mode) && (found.st_mode & S_ISVTX) != 0;
    if (!S_ISLNK(found.st_mode) && !sticky_folder && (found.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return fail(path + " can be changed by others than its owner. Run: chmod go-w " + path);
    return {};
}

Expected<std::string> read_link(const std::string& path) {
    std::array<char, PATH_MAX> target{};
    const ssize_t n = ::readlink(path.c_str(), target.data(), target.size());
    if (n < 0) return fail_errno("readlink " + path);
    return std::string(target.data(), static_cast<std::size_t>(n));
}

std::string parent_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

/// The file itself, once open: what path it came by no longer matters.
Expected<void> check_opened(int fd, const std::string& path, bool check_owner, struct stat& found) {
    if (::fstat(fd, &found) != 0) return fail_errno("fstat " + path);
    if (!S_ISREG(found.st_mode)) return fail(path + " is not a regular file");
    return check_owner ? check_owner_and_mode(path, found) : Expected<void>{};
}

Expected<UniqueFd> open_checked(const std::string& path, int flags, bool check_owner, struct stat& found) {
    if (check_owner) {
        if (auto way = check_way_to(path); !way) return tl::unexpected(way.error());
    }
    // O_NONBLOCK: opening a FIFO must not wait for a writer, open(2).
    UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
    if (!fd.valid()) return fail_errno("open " + path);
    if (auto good = check_opened(fd.get(), path, check_owner, found); !good) return tl::unexpected(good.error());
    return fd;
}

}  // namespace

bool is_trusted_owner(uid_t uid) { return uid == 0 || uid == ::geteuid(); }

Expected<void> check_way_to(const std::string& path) {
    std::deque<std::string> parts;
    put_in_front(parts, path);
    std::string at;  // empty is the root folder
    int symlinks = 0;
    while (true) {
        struct stat found {};
        const std::string shown = at.empty() ? "/" : at;
        if (::lstat(shown.c_str(), &found) != 0) return fail_errno(shown);
        if (auto good = check_owner_and_mode(shown, found); !good) return good;
        if (S_ISLNK(found.st_mode)) {
            const auto target = read_link(at);
            if (!target) return tl::unexpected(target.error());
            if (++symlinks > kMostSymlinks) return fail(path + " goes through too many symlinks", ELOOP);
            at = target->starts_with('/') ? std::string() : parent_of(at);
            put_in_front(parts, *target);
        }
        while (!parts.empty() && (parts.front() == "." || parts.front() == "..")) {
            if (parts.front() == "..") at = parent_of(at);
            parts.pop_front();
        }
        if (parts.empty()) return {};
        at += "/" + parts.front();
        parts.pop_front();
    }
}

Expected<UniqueFd> open_trusted_file(const std::string& path, bool check_owner) {
    struct stat found {};
    return open_checked(path, O_RDONLY, check_owner, found);
}

Expected<UniqueFd> open_program(const std::string& path, bool check_owner) {
    struct stat found {};
    auto fd = open_checked(path, O_PATH, check_owner, found);
    if (fd && (found.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)) == 0)
        return fail(path + " is not executable. Run: chmod a+x " + path);
    return fd;
}

}  // namespace luminous_healing::executor
