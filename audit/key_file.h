#pragma once
// The current chain key on disk, `<log>.key`, mode 0600, and once `<log>.first-key`.
//
// The file has two slots, 4096 bytes apart. A step writes the next key into the free slot, makes it durable, and then
// overwrites the old slot with zeros, durably too. At every moment at least one slot is whole; a slot proves itself by
// a checksum. Nothing is allocated, so a full disk cannot stop a step, and the old bytes are overwritten where they
// lie (as far as the file system writes in place: on btrfs, and under the flash translation of an SSD, a copy may
// survive, which only a thief of the raw device finds).
//
// While a KeyFile is open it holds a lock of fcntl(2), which children do not inherit: one daemon per log.

#include "audit/chain.h"
#include "base/clock.h"
#include "base/expected.h"
#include "base/unique_fd.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace luminous_healing::audit {

struct KeyState {
    std::int64_t epoch = 0;
    std::int64_t seq = 0;  ///< of the key_epoch record that began this epoch: the log reaches at least to there
    std::string chain = std::string(kGenesis);  ///< of that record: the key it was chained under is gone
    WallTime since;                             ///< when the epoch began
    Secret key{std::string()};
};

class KeyFile {
public:
    /// Makes a new first key, keeps it in `<log>.first-key` for the administrator, and creates the file.
    [[nodiscard]] static Expected<KeyFile> create(const std::string& log_path, WallTime now);

    /// Opens and locks the file; nothing when there is none.
    [[nodiscard]] static Expected<std::optional<KeyFile>> open(const std::string& log_path);

    /// Reads the state; erases what a crash left of another one.
    [[nodiscard]] Expected<KeyState> load();

    /// Makes `next` the state, durably, and erases the old one.
    [[nodiscard]] Expected<void> replace(const KeyState& next);

private:
    KeyFile(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
    [[nodiscard]] Expected<std::optional<KeyState>> read_slot(int slot) const;
    [[nodiscard]] Expected<void> write_slot(int slot, const std::string& bytes);

    UniqueFd fd_;
    std::string path_;
    int active_ = 0;
};

/// Gives the first key, 64 hexadecimal digits, to `deliver` and then erases it: there is no second time. It stays when
/// `deliver` says that it could not keep it.
[[nodiscard]] Expected<void> take_first_key(const std::string& log_path,
                                            const std::function<bool(std::string_view key)>& deliver);

/// Makes a change of names in the folder of `path` durable (fsync(2) of the folder).
[[nodiscard]] Expected<void> sync_folder_of(const std::string& path);

}  // namespace luminous_healing::audit
