#pragma once
// The append-only audit log. Records are appended to a batch; commit() writes the batch and makes it durable, so that
// all requests of one turn of the event loop share one fdatasync(2). Nothing is believed to be in the log before
// commit() has said so.

#include "audit/chain.h"
#include "audit/record.h"
#include "base/clock.h"
#include "base/expected.h"
#include "base/unique_fd.h"

#include <cstdint>
#include <memory>
#include <string>

namespace luminous_healing::audit {

struct LogSettings {
    std::string path;                   ///< absolute; its folder must exist and belong to the daemon's user or root
    std::uint64_t reserve = 4U << 20U;  ///< bytes preallocated beyond the end, fallocate(2) with FALLOC_FL_KEEP_SIZE
    std::uint64_t rotate_size = 64U << 20U;
    std::uint32_t keep = 16;
    std::string host;
    std::string boot_id;
};

/// How much room there is for further records.
enum class Space {
    normal,
    low,   ///< the disk is full and the reserve is being used: only actions that free space are still recorded
    none,  ///< nothing more can be recorded
};

enum class Durability { buffered, durable };

class Log {
public:
    /// Opens or creates the log, checks what it finds (regular file, owner, mode, link count), sets a torn last line
    /// aside, and continues seq and chain. Errors name the path and what mends it.
    [[nodiscard]] static Expected<std::unique_ptr<Log>> open(LogSettings settings);
    virtual ~Log() = default;

    /// Adds a record to the batch and returns its seq. Must be followed by commit() before anything relies on it.
    virtual std::int64_t append(const Record& record, Instant now) = 0;

    /// Lets the disk begin with the batch while its caller does something else. Nothing may rely on it: commit() does
    /// what is left, and says what went wrong.
    virtual void start() = 0;

    /// Writes the batch. On an error nothing of the batch is in the log, its seqs are used again, and is_available()
    /// is false until recover() succeeds.
    [[nodiscard]] virtual Expected<void> commit(Durability durability) = 0;

    /// Makes earlier buffered commits durable.
    [[nodiscard]] virtual Expected<void> sync() = 0;

    [[nodiscard]] virtual bool is_available() const = 0;
    [[nodiscard]] virtual std::string why_unavailable() const = 0;
    /// Tries to get the log back; on success a `recovered` record has been committed.
    [[nodiscard]] virtual Expected<void> recover(Instant now) = 0;

    [[nodiscard]] virtual Space space() const = 0;

    /// Closes and opens the path again (USR1, after logrotate renamed it).
    [[nodiscard]] virtual Expected<void> reopen(Instant now) = 0;

    /// Digest of the configuration in force, stamped on every record from now on.
    virtual void set_config_digest(std::string digest) = 0;

    /// The last committed record: {seq, chain}. What a witness keeps.
    [[nodiscard]] virtual Head head() const = 0;
};

}  // namespace luminous_healing::audit
