#pragma once
// The configuration: config.toml read into policy::Config, and the keys it names (luminous-healing.toml(5)). Every
// problem of a file is found in one reading. A configuration with a problem is never used, not even in part.

#include "policy/config.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace luminous_healing::executor {

struct ConfigProblem {
    std::string where;  ///< file:line
    std::string what;   ///< what is wrong and what to write instead, one or two sentences
};

struct ConfigSources {
    std::string key_directory = "/etc/luminous-healing/keys";  ///< unless daemon.key_directory names another
    std::optional<std::string> credentials_directory;          ///< $CREDENTIALS_DIRECTORY: looked into first
    /// Files must belong to root or to the running user, lie in folders that nobody else can change, and be writable
    /// by their owner only. False for reading a copy of another machine's configuration: then who owns a file, and
    /// who may write to it, is not looked at.
    bool check_owner = true;
};

/// Reads the file and everything it refers to but the keys. Holds no key bytes. The problems are in the order of
/// their lines; there is at least one when there is no Config.
[[nodiscard]] tl::expected<policy::Config, std::vector<ConfigProblem>> read_config(const std::string& path,
                                                                                   const ConfigSources& sources);

/// A caller's key texts, trimmed, in the order of its `key`.
using CallerKeys = std::map<CallerName, std::vector<std::string>>;

/// The keys of every caller: from the credentials directory, else from the key directory. Each is checked: a regular
/// file that only its owner may read, one line, long enough, no known default, of one caller only. The caller of this
/// function wipes them (protocol::wipe); after a problem no key is left in memory.
[[nodiscard]] tl::expected<CallerKeys, std::vector<ConfigProblem>> read_keys(const policy::Config& config,
                                                                             const ConfigSources& sources);

}  // namespace luminous_healing::executor
