// Files and accounts: what a look at the machine says, without asking the daemon.

#include "base/text.h"
#include "healctl/configuration.h"
#include "healctl/looks.h"
#include "protocol/mac.h"

#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

namespace luminous_healing::healctl {
namespace {

constexpr const char* kFolder = "/etc/luminous-healing";
constexpr const char* kKeyFolder = "/etc/luminous-healing/keys";
constexpr const char* kTemplate = LUMINOUS_DATADIR "/luminous-healing/config.toml";
constexpr const char* kLogLink = "/var/log/luminous-healing-audit.json";
constexpr const char* kMakeFolders = "systemd-tmpfiles --create luminous-healing.conf";

std::optional<struct stat> stat_of(const std::string& path) {
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) return {};
    return status;
}

std::optional<uid_t> uid_of(const std::string& user) {
    const passwd* const entry = ::getpwnam(user.c_str());
    return entry != nullptr ? std::optional(entry->pw_uid) : std::nullopt;
}

/// A folder of the package: there, with its owner, and closed to whom it must be.
Finding look_at_folder(const std::string& name, const std::string& path, const std::string& owner, mode_t refused) {
    const auto status = stat_of(path);
    if (!status && errno == EACCES) return unknown(name, path + " cannot be seen by you", "sudo healctl doctor");
    if (!status) return bad(name, path + " does not exist", kMakeFolders);
    if (!S_ISDIR(status->st_mode)) return bad(name, path + " is not a folder. Move it away", "");
    const auto uid = uid_of(owner);
    if (uid && status->st_uid != *uid) return bad(name, path + " does not belong to " + owner, kMakeFolders);
    if ((status->st_mode & refused) != 0) return bad(name, path + " is open to others", kMakeFolders);
    return good(name, path);
}

Finding finding_of(const std::string& name, const executor::ConfigProblem& problem) {
    const std::string command = command_in(problem.what);
    const std::string what = problem.where + ": " + problem.what.substr(0, problem.what.rfind("Run: "));
    return bad(name, std::string(trim(what)) + (command.empty() ? " (healctl check says all)" : ""), command);
}

}  // namespace

void look_at_accounts(const Installation& installation, Findings& findings) {
    const std::string user = installation.user();
    const std::string group = installation.group();
    if (!uid_of(user))
        findings.push_back(bad("user", "there is no user " + user, "systemd-sysusers luminous-healing.conf"));
    else if (::getgrnam(group.c_str()) == nullptr)
        findings.push_back(
            bad("user", "there is no group " + group,
                group == "luminous-healing" ? "systemd-sysusers luminous-healing.conf" : "groupadd --system " + group));
    else findings.push_back(good("user", user + ", and the group " + group));
}

void look_at_folders(const Installation& installation, Findings& findings) {
    if (installation.config_path != kConfigFile || !installation.has_systemd) return;  // a developer's own places
    if (installation.is_nixos) return;
    findings.push_back(look_at_folder("folder", kFolder, "root", S_IWGRP | S_IWOTH));
    findings.push_back(look_at_folder("keys-folder", kKeyFolder, "root", S_IRWXG | S_IRWXO));
}

void look_at_configuration(Installation& installation, Findings& findings) {
    const std::string& path = installation.config_path;
    if (::access(path.c_str(), F_OK) != 0 && errno == ENOENT) {
        findings.push_back(
            bad("configuration", path + " does not exist", "install -m 0644 " + std::string(kTemplate) + " " + path));
        return;
    }
    if (::access(path.c_str(), R_OK) != 0) {
        findings.push_back(unknown("configuration", path + " is not readable by you", "sudo healctl doctor"));
        return;
    }
    auto config = executor::read_config(path, config_sources());
    if (config) {
        installation.config = std::move(*config);
        findings.push_back(good("configuration", path + " is in order"));
        return;
    }
    findings.push_back(finding_of("configuration", config.error().front()));
}

void look_at_keys(const Installation& installation, Findings& findings) {
    if (!installation.config) return;
    if (!installation.is_root && installation.has_systemd) {
        findings.push_back(unknown("keys", "the daemon's keys are root's to see", "sudo healctl doctor"));
        return;
    }
    auto sources = config_sources();
    if (installation.is_nixos) sources.credentials_directory = "/run/credentials/luminous-healing.service";
    auto keys = executor::read_keys(*installation.config, sources);
    if (!keys) {
        for (const auto& problem : keys.error()) findings.push_back(finding_of("keys", problem));
        return;
    }
    for (auto& [caller, texts] : *keys) {
        for (auto& text : texts) protocol::wipe(text);
    }
    findings.push_back(good("keys", "every caller has one"));
}

void look_at_log(const Installation& installation, Findings& findings) {
    const std::string path = installation.config ? installation.config->audit.path : policy::AuditSettings().path;
    const std::string folder = path.substr(0, path.rfind('/'));
    const bool is_default = path == policy::AuditSettings().path && installation.has_systemd;
    if (is_default) {
        findings.push_back(look_at_folder("audit-folder", folder, installation.user(), S_IWGRP | S_IRWXO));
        if (!stat_of(kLogLink))
            findings.push_back(
                bad("audit-link", std::string(kLogLink) + ", the prototype's path, does not exist", kMakeFolders));
    }
    const auto status = stat_of(path);
    if (!status) {
        const bool hidden = errno == EACCES;
        findings.push_back(hidden ? unknown("audit-file", path + " cannot be seen by you", "sudo healctl doctor")
                                  : unknown("audit-file", path + " does not exist: the daemon makes it at its start"));
        return;
    }
    const auto owner = is_default ? uid_of(installation.user()) : std::nullopt;
    if (!S_ISREG(status->st_mode))
        findings.push_back(
            bad("audit-file", path + " is not a regular file", "mv " + path + " " + path + ".away && " + kRestart));
    else if (owner && status->st_uid != *owner)
        findings.push_back(
            bad("audit-file", path + " does not belong to " + installation.user(),
                "chown " + installation.user() + ":" + installation.user() + " " + path + " && " + kRestart));
    else if ((status->st_mode & 0027U) != 0)
        findings.push_back(bad("audit-file", path + " is open to others", "chmod 0640 " + path));
    else findings.push_back(good("audit-file", path + ", " + std::to_string(status->st_size) + " bytes"));
}

}  // namespace luminous_healing::healctl
