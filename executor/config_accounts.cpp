#include "executor/config_sections.h"

#include "base/text.h"

#include <grp.h>
#include <pwd.h>

namespace luminous_healing::executor {
namespace {

/// What getpwnam(3) lists as ways to say "no such name".
bool means_not_found(int error) {
    return error == 0 || error == ENOENT || error == ESRCH || error == EBADF || error == EPERM;
}

}  // namespace

Expected<std::optional<uid_t>> find_user(const std::string& name) {
    errno = 0;
    const auto* const found = ::getpwnam(name.c_str());  // getpwnam: this program has no threads
    const int error = errno;
    if (found != nullptr) return std::optional(found->pw_uid);
    if (means_not_found(error)) return std::optional<uid_t>{};
    return fail_errno("looking up user " + name, error);
}

Expected<bool> group_exists(const std::string& name) {
    errno = 0;
    const auto* const found = ::getgrnam(name.c_str());
    const int error = errno;
    if (found != nullptr) return true;
    if (means_not_found(error)) return false;
    return fail_errno("looking up group " + name, error);
}

std::optional<uid_t> require_user(const std::string& name, int line, const std::string& where, Findings& findings) {
    const auto uid = find_user(name);
    if (!uid) {
        findings.problem(line, where + ": " + printable_line(uid.error().message, 200));
        return {};
    }
    if (*uid) return *uid;
    const bool digits = name.find_first_not_of("0123456789") == std::string::npos;
    findings.problem(line, where + ": there is no user " + quoted(name) +
                               (digits ? ". Write a uid without quotes"
                                       : ". Write the name of a user of this machine, or create the user first"));
    return {};
}

}  // namespace luminous_healing::executor
