// What systemd says of the units, systemctl(1) "show".

#include "base/file.h"
#include "base/text.h"
#include "executor/needs.h"
#include "healctl/looks.h"
#include "protocol/mac.h"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

namespace luminous_healing::healctl {
namespace {

constexpr std::size_t kMostKey = 8192;  // bytes
constexpr const char* kProgram = LUMINOUS_SBINDIR "/luminous-healingd";
constexpr const char* kEnable = "systemctl enable --now luminous-healing.socket";
// systemd makes no new socket for a service that runs already.
constexpr const char* kNewSocket =
    "systemctl stop luminous-healing.service; systemctl reset-failed luminous-healing.service luminous-healing.socket; "
    "systemctl restart luminous-healing.socket && systemctl start luminous-healing.service";
constexpr const char* kDropIn =
    "mkdir -p /etc/systemd/system/luminous-healing.service.d && luminous-healing-drop-in "
    ">/etc/systemd/system/luminous-healing.service.d/90-least-privilege.conf && systemctl daemon-reload && systemctl "
    "restart luminous-healing.service";

bool differ(const std::string& one, const std::string& other) {
    auto a = read_file(one, kMostKey);
    auto b = read_file(other, kMostKey);
    const bool differs = a && (!b || trim(*a) != trim(*b));
    if (a) protocol::wipe(*a);
    if (b) protocol::wipe(*b);
    return differs;
}

}  // namespace

void look_at_program(const Installation& installation, Findings& findings) {
    const std::string unit = installation.of_service("FragmentPath");
    if (!unit.empty() && unit.find("/lib/systemd/system/") == std::string::npos)
        return;  // their own, with its own program
    struct stat status {};
    if (::stat(kProgram, &status) != 0) {
        findings.push_back(bad("program", std::string(kProgram) + " does not exist: install the package again", ""));
        return;
    }
    if (status.st_uid != 0)
        findings.push_back(bad("program", std::string(kProgram) + " does not belong to root",
                               "chown root:root " + std::string(kProgram)));
    if ((status.st_mode & 0111U) != 0111U || (status.st_mode & 0022U) != 0)
        findings.push_back(bad("program", std::string(kProgram) + " is not executable, or can be changed by others",
                               "chmod 0755 " + std::string(kProgram)));
}

void look_at_socket_unit(const Installation& installation, Findings& findings) {
    const std::string load = installation.of_socket("LoadState");
    const std::string active = installation.of_socket("ActiveState");
    const std::string enabled = installation.of_socket("UnitFileState");
    std::string listens = installation.of_socket("Listen");
    listens = listens.substr(0, listens.find(' '));
    struct stat status {};
    if (load == "masked")
        findings.push_back(bad("socket-unit", "luminous-healing.socket is masked",
                               std::string("systemctl unmask luminous-healing.socket && ") + kEnable));
    else if (load != "loaded")
        findings.push_back(bad("socket-unit", "systemd does not know luminous-healing.socket (" + load + ")",
                               std::string("systemctl daemon-reload && ") + kEnable));
    else if (enabled == "disabled" && !installation.is_nixos)
        findings.push_back(
            bad("socket-unit", "luminous-healing.socket is not enabled: it is gone after a restart", kEnable));
    else if (active == "failed" || active == "inactive")
        findings.push_back(bad("socket-unit", "luminous-healing.socket is " + active, kNewSocket));
    else if (listens.starts_with('/') && ::lstat(listens.c_str(), &status) != 0 && errno == ENOENT)
        findings.push_back(bad("socket-unit", listens + " is gone: nobody can connect", kNewSocket));
    else if (listens.starts_with('/') && !S_ISSOCK(status.st_mode))
        findings.push_back(bad("socket-unit", listens + " is no socket", "rm " + listens + "; " + kNewSocket));
    else findings.push_back(good("socket-unit", "luminous-healing.socket is " + active));
}

void look_at_service_unit(const Installation& installation, Findings& findings) {
    const std::string load = installation.of_service("LoadState");
    const std::string active = installation.of_service("ActiveState");
    if (load == "masked")
        findings.push_back(bad("service-unit", "luminous-healing.service is masked",
                               std::string("systemctl unmask luminous-healing.service && ") + kRestart));
    else if (load != "loaded")
        findings.push_back(
            bad("service-unit", "systemd cannot use luminous-healing.service (" + load + ")",
                "systemctl revert luminous-healing.service && systemctl daemon-reload && " + std::string(kRestart)));
    else if (installation.of_service("NeedDaemonReload") == "yes")
        findings.push_back(bad("service-unit", "luminous-healing.service was changed and systemd has not read it",
                               std::string("systemctl daemon-reload && ") + kRestart));
    else if (active == "failed")
        findings.push_back(bad("service-unit",
                               "luminous-healing.service failed (" + installation.of_service("Result") +
                                   ", exit status " + installation.of_service("ExecMainStatus") +
                                   "; journalctl -u luminous-healing says why)",
                               kNewSocket));
    else if (active == "inactive") findings.push_back(good("service-unit", "inactive: the first connection starts it"));
    else findings.push_back(good("service-unit", "luminous-healing.service is " + active));
}

void look_at_capabilities(const Installation& installation, Findings& findings) {
    if (!installation.config) return;
    const passwd* const entry = ::getpwnam(installation.user().c_str());
    const std::string held = " " + installation.of_service("CapabilityBoundingSet") + " ";
    std::string missing;
    const auto needed = executor::needed_capabilities(*installation.config, entry != nullptr ? entry->pw_uid : 1);
    for (const auto& name : executor::capability_names(needed)) {
        if (held.find(" " + name + " ") == std::string::npos) missing += (missing.empty() ? "" : ", ") + name;
    }
    if (missing.empty()) findings.push_back(good("capabilities", "the unit has what the enabled actions need"));
    else findings.push_back(bad("capabilities", "the unit lacks " + missing + ", which enabled actions need", kDropIn));
}

/// systemd hands the keys over when the service starts. Whoever changed one since then is not known to it.
void look_at_key_copies(const Installation& installation, Findings& findings) {
    if (!installation.config || !installation.is_root || installation.of_service("ActiveState") != "active") return;
    for (const auto& [name, caller] : installation.config->callers) {
        for (const auto& key : caller.keys) {
            const std::string path = key.starts_with('/') ? key : "/etc/luminous-healing/keys/" + key;
            if (!differ(path, "/run/credentials/luminous-healing.service/keys_" + key)) continue;
            findings.push_back(bad("key-copies",
                                   "the key of caller " + name.str() +
                                       " was changed or added since the "
                                       "service started",
                                   kRestart));
            return;
        }
    }
}

}  // namespace luminous_healing::healctl
