#include "base/descriptors.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace luminous_healing {

Expected<void> open_standard_descriptors() {
    for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
        if (::fcntl(standard, F_GETFD) >= 0 || errno != EBADF) continue;
        // The lowest number that is free, open(2), and all below are taken. Without O_CLOEXEC: standard ones are passed
        // on.
        if (::open("/dev/null", O_RDWR | O_NOCTTY) != standard) return fail_errno("open /dev/null");
    }
    return {};
}

void close_descriptors_from(int first) { ::close_range(static_cast<unsigned int>(first), ~0U, 0); }

}  // namespace luminous_healing
