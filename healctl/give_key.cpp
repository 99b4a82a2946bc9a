#include "healctl/give_key.h"

#include "healctl/keys.h"

#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

namespace luminous_healing::healctl {
namespace {

std::vector<gid_t> groups_of(const passwd& entry) {
    std::vector<gid_t> groups(256);
    int count = static_cast<int>(groups.size());
    if (::getgrouplist(entry.pw_name, entry.pw_gid, groups.data(), &count) < 0) return {entry.pw_gid};
    groups.resize(static_cast<std::size_t>(count));
    return groups;
}

bool become(const passwd& entry) {
    if (::geteuid() == entry.pw_uid) return true;
    const auto groups = groups_of(entry);
    return ::setgroups(groups.size(), groups.data()) == 0 &&
           ::setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid) == 0 &&
           ::setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid) == 0;
}

/// In the child. Its exit status is the errno, or 0.
[[noreturn]] void write_as(const passwd& entry, const std::string& folder, std::string_view key) {
    if (!become(entry)) ::_exit(EPERM);
    for (const auto& made : {folder.substr(0, folder.rfind('/')), folder}) {
        if (::mkdir(made.c_str(), 0700) != 0 && errno != EEXIST) ::_exit(errno);
    }
    if (::access((folder + "/key").c_str(), F_OK) == 0) ::_exit(EEXIST);
    ::_exit(write_key_file(folder + "/key", key) ? 0 : EIO);
}

}  // namespace

Expected<std::string> give_key(const std::string& user, std::string_view key) {
    const passwd* const entry = ::getpwnam(user.c_str());
    if (entry == nullptr) return fail("there is no user " + user);
    const std::string folder = std::string(entry->pw_dir) + "/.config/luminous-healing";
    const pid_t child = ::fork();
    if (child < 0) return fail_errno("fork");
    if (child == 0) write_as(*entry, folder, key);
    int ended = 0;
    while (::waitpid(child, &ended, 0) < 0 && errno == EINTR) {
    }
    const int error = WIFEXITED(ended) ? WEXITSTATUS(ended) : EIO;
    if (error == 0) return folder + "/key";
    return fail_errno("write " + folder + "/key as " + user, error);
}

bool is_in_group(const std::string& user, const std::string& group) {
    const passwd* const entry = ::getpwnam(user.c_str());
    if (entry == nullptr || entry->pw_uid == 0) return entry != nullptr;
    const auto groups = groups_of(*entry);
    const auto* const wanted = ::getgrnam(group.c_str());
    return wanted != nullptr && std::find(groups.begin(), groups.end(), wanted->gr_gid) != groups.end();
}

}  // namespace luminous_healing::healctl
