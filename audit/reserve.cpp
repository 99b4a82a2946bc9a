#include "audit/reserve.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>

namespace luminous_healing::audit {
namespace {

constexpr std::uint64_t kSmallest = 4096;  // bytes; asking for less than a block is no use

/// 0 or an errno.
int allocate(int fd, std::uint64_t from, std::uint64_t bytes) {
    while (::fallocate(fd, FALLOC_FL_KEEP_SIZE, static_cast<off_t>(from), static_cast<off_t>(bytes)) != 0) {
        if (errno != EINTR) return errno;
    }
    return 0;
}

}  // namespace

void Reserve::top_up(int fd, std::uint64_t size) {
    if (!supported_) return;
    if (!full_ && end_ > size && end_ - size >= want_ - want_ / 4) return;
    full_ = false;
    for (std::uint64_t bytes = want_; bytes >= std::min(kSmallest, want_); bytes /= 2) {
        const int error = allocate(fd, size, bytes);
        if (error == 0) {
            end_ = std::max(end_, size + bytes);
            return;
        }
        if (error != ENOSPC && error != EDQUOT) {
            supported_ = error != EOPNOTSUPP && error != ENOSYS;
            return;  // EFBIG of a file size limit and the like: commit() will say so when it matters
        }
        full_ = true;
        if (bytes == 0) return;
    }
}

Space Reserve::space(std::uint64_t size) const {
    if (!supported_ || !full_) return Space::normal;
    const std::uint64_t left = end_ > size ? end_ - size : 0;
    if (left < std::min<std::uint64_t>(2 * kMaxLine, want_ / 8)) return Space::none;
    return left < want_ / 2 ? Space::low : Space::normal;
}

}  // namespace luminous_healing::audit
