#pragma once
// Disk blocks set aside beyond the end of the log with fallocate(2) and FALLOC_FL_KEEP_SIZE, so that on a full disk the
// actions that free space can still be recorded.

#include "audit/log.h"

#include <cstdint>

namespace luminous_healing::audit {

class Reserve {
public:
    explicit Reserve(std::uint64_t bytes) : want_(bytes), supported_(bytes > 0) {}

    /// Called after the log has grown to `size`, or was opened. Allocates when a quarter of the reserve is used; on a
    /// full disk takes what it can get. A file system without fallocate(2) has no reserve and is never `low`.
    void top_up(int fd, std::uint64_t size);

    /// The blocks are gone: another file was opened, or ftruncate(2) gave them back.
    void forget() { end_ = 0; }

    /// normal: the last top-up succeeded, or at least half of the reserve is left. low: the disk is full and less than
    /// half is left. none: not even the intent and the outcome of one more action fit for certain.
    [[nodiscard]] Space space(std::uint64_t size) const;

    /// The disk was full at the last top-up: no time to rotate into a file without a reserve.
    [[nodiscard]] bool disk_is_full() const noexcept { return full_; }

private:
    std::uint64_t want_;
    std::uint64_t end_ = 0;  // the file offset up to which blocks are allocated
    bool supported_;
    bool full_ = false;
};

}  // namespace luminous_healing::audit
