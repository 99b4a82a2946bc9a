#pragma once
// The end of a log file, as found when it is opened: what a crash left there, and whether the key fits.

#include "audit/chain.h"
#include "audit/key_file.h"
#include "audit/record.h"
#include "base/expected.h"

#include <cstdint>
#include <optional>
#include <string>

namespace luminous_healing::audit {

struct Tail {
    std::uint64_t complete_size = 0;   ///< bytes up to and with the last newline
    std::uint64_t torn = 0;            ///< bytes after it: a line that a crash cut off
    std::optional<StoredRecord> last;  ///< nothing when there is no whole line
    std::string last_line;
    std::string previous_chain;  ///< that `last` must be chained to
};

/// Reads the end of a file of `size` bytes. An error when its last lines are no records of ours.
[[nodiscard]] Expected<Tail> read_tail(int fd, std::uint64_t size);

struct SetAside {
    std::string name;  ///< the file that the bytes are kept in
    std::uint64_t bytes = 0;
    std::string sha256;  ///< of them, hex
    bool lines = false;  ///< there were whole lines, which may have been records
};

/// Copies the torn bytes to `<path>.torn-<UTC time>`, durably, then cuts them off.
[[nodiscard]] Expected<SetAside> set_torn_aside(int fd, const std::string& path, const Tail& tail);

/// Where the chain stands, and the key for the next record.
struct Position {
    Head head;
    ChainKey key;
    /// Set when a crash or a failed write came between a key_epoch record and the key file: what to store there.
    std::optional<KeyState> to_store;
};

/// Proves that `tail` ends the log that `state` belongs to. The key file may be behind the log (a step was recorded
/// but not stored); then the key is stepped until it fits. It is never ahead: a step is stored only when its record is
/// durable, so a log that ends before it has lost records.
[[nodiscard]] Expected<Position> match(const Tail& tail, const KeyState& state);

/// Proves every record since the one that the key was made at, and gives the newest up to which all are whole, with
/// what comes after it as `torn`: nothing but an unfinished line as a rule; after a power loss that wrote the later of
/// two blocks only, or when somebody else has written, whole lines. An empty tail when the file's own first line is no
/// record. Nothing when more than 2 MiB would have to go, or a record that the key file says was there.
[[nodiscard]] Expected<std::optional<Tail>> last_proven(int fd, std::uint64_t size, const KeyState& state);

}  // namespace luminous_healing::audit
