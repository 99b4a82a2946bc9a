#pragma once
// The policy and settings in force, as values. Read from a file by executor/config_file; here nothing is read.

#include "base/clock.h"
#include "base/strong.h"
#include "policy/parameters.h"

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace luminous_healing::policy {

struct RateLimit {
    std::uint32_t limit = 10;
    Micros window = 5min;
};

enum class AuditSync { always, batch };

struct DaemonSettings {
    std::string socket = "/run/luminous-healing.sock";
    std::optional<std::string> socket_group;
    Micros max_clock_skew = 30s;
    bool legacy_v1 = false;
    std::optional<std::string> user;           ///< to step down to, when started as root without systemd
    std::vector<std::string> protected_units;  ///< filled with the default when not given
};

struct AuditSettings {
    std::string path = "/var/log/luminous-healing/audit.json";
    AuditSync sync = AuditSync::always;
    std::uint64_t reserve = 4ULL << 20U;       ///< bytes
    std::uint64_t rotate_size = 64ULL << 20U;  ///< bytes
    std::uint32_t keep = 16;                   ///< rotated files
    std::vector<std::string> witness;          ///< a command that is told the log's head as "{head}"; empty = none
};

struct CallerPolicy {
    CallerName name;
    std::string where;              ///< file:line
    std::vector<std::string> keys;  ///< names of key files, the first signs nothing more than the second
    std::vector<uid_t> users;       ///< peer uids that may use the key
    std::vector<ActionName> actions;
    std::optional<RateLimit> rate_limit;  ///< of this caller over all actions
};

/// What a command action runs, and with what.
struct CommandSettings {
    std::vector<std::string> command;  ///< absolute program, then arguments; "{name}" is replaced whole
    std::vector<std::string> verify;   ///< exit 0 = healed; empty = unverifiable
    std::vector<std::string> undo;
    std::string run_as;                     ///< user name; empty = the daemon's own
    std::vector<std::string> capabilities;  ///< lower-case names as in capabilities(7): "cap_kill"
    std::vector<std::string> writes;        ///< absolute paths
    bool network = false;
    bool confine = true;
    bool frees_space = false;  ///< may run while the audit log's disk is full
};

struct ActionPolicy {
    ActionName name;
    std::string where;  ///< file:line
    Micros timeout = 30s;
    RateLimit rate_limit;
    std::vector<ParameterSpec> parameters;   ///< the action's own, narrowed
    std::vector<std::string> units;          ///< globs, for actions with a unit parameter; normalised when literal
    std::vector<std::string> processes;      ///< globs over a process's comm, for kill_process; empty = any
    std::vector<std::string> process_users;  ///< names of users whose processes may be killed; empty = any
    std::optional<CommandSettings> command;  ///< none for a built-in action
    std::string target_group;      ///< actions of one group on one target exclude each other ("unit", "process", …)
    std::string target_parameter;  ///< the parameter that names the target; empty = the group is the target
};

struct Config {
    std::string file;
    std::string digest;  ///< SHA-256 of the file's bytes, hex
    DaemonSettings daemon;
    AuditSettings audit;
    RateLimit rate_limit;
    std::map<CallerName, CallerPolicy> callers;
    std::map<ActionName, ActionPolicy> actions;
    std::vector<std::string> warnings;  ///< for start and `check`: allowed, but worth knowing
};

}  // namespace luminous_healing::policy
