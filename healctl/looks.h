#pragma once
// What the looks of `healctl doctor` share. Each look adds what it found; most add one finding, some one for each thing
// that is wrong.

#include "healctl/checkup.h"
#include "policy/config.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace luminous_healing::healctl {

inline constexpr const char* kService = "luminous-healing.service";
inline constexpr const char* kSocket = "luminous-healing.socket";
inline constexpr const char* kRestart = "systemctl restart luminous-healing.service";

[[nodiscard]] Finding good(std::string name, std::string what);
[[nodiscard]] Finding bad(std::string name, std::string what, std::string mend);
[[nodiscard]] Finding unknown(std::string name, std::string what, std::string mend = {});

using Findings = std::vector<Finding>;
using Properties = std::map<std::string, std::string>;  ///< of a unit, as systemctl show has them

/// What several looks need, found once.
struct Installation {
    std::string config_path;
    std::optional<policy::Config> config;  ///< none when it is missing, wrong or unreadable
    bool is_root = false;
    bool has_systemd = false;
    bool is_nixos = false;  ///< folders, keys and units are then the module's affair (nix/module.nix)
    Properties service;     ///< empty without systemd
    Properties socket;

    [[nodiscard]] std::string of_service(const std::string& property) const;
    [[nodiscard]] std::string of_socket(const std::string& property) const;
    /// Who the service runs as, by its unit, and the group that may open the socket.
    [[nodiscard]] std::string user() const;
    [[nodiscard]] std::string group() const;
};

[[nodiscard]] Installation look_around(const std::string& config_path);

// checkup_files.cpp
void look_at_configuration(Installation& installation, Findings& findings);  ///< fills in `config`
void look_at_accounts(const Installation& installation, Findings& findings);
void look_at_folders(const Installation& installation, Findings& findings);
void look_at_keys(const Installation& installation, Findings& findings);
void look_at_log(const Installation& installation, Findings& findings);

// checkup_unit.cpp
void look_at_program(const Installation& installation, Findings& findings);
void look_at_socket_unit(const Installation& installation, Findings& findings);
void look_at_service_unit(const Installation& installation, Findings& findings);
void look_at_capabilities(const Installation& installation, Findings& findings);
void look_at_key_copies(const Installation& installation, Findings& findings);

// checkup_daemon.cpp: true when a request can be tried
[[nodiscard]] bool look_at_client(const Installation& installation, const Globals& globals, Findings& findings);
void look_at_answers(const Installation& installation, const Globals& globals, Findings& findings);
void look_at_clock(Findings& findings);

}  // namespace luminous_healing::healctl
