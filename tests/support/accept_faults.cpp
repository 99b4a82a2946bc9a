// LD_PRELOAD: makes accept4(2) fail. LUMINOUS_ACCEPT_FAULTS names a file with "ERRNO TIMES": as soon as it is there
// that many calls fail with that errno, and the file is removed. A call that would have waited or found nobody is let
// pass, so that the fault meets somebody who is connecting.

#include <dlfcn.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

namespace {

struct Plan {
    int error = 0;
    int times = 0;
};

Plan take_plan() {
    Plan plan;
    const char* const path = std::getenv("LUMINOUS_ACCEPT_FAULTS");
    std::FILE* const file = path == nullptr ? nullptr : std::fopen(path, "re");
    if (file == nullptr) return plan;
    if (std::fscanf(file, "%d %d", &plan.error, &plan.times) != 2) plan.times = 0;
    std::fclose(file);
    std::remove(path);
    return plan;
}

}  // namespace

extern "C" int accept4(int socket, sockaddr* address, socklen_t* size, int flags) {
    using Accept = int (*)(int, sockaddr*, socklen_t*, int);
    static const auto next = reinterpret_cast<Accept>(::dlsym(RTLD_NEXT, "accept4"));
    static Plan plan;
    pollfd waiting{socket, POLLIN, 0};
    if (::poll(&waiting, 1, 0) == 1) {
        if (plan.times == 0) plan = take_plan();
        if (plan.times > 0) {
            --plan.times;
            errno = plan.error;
            return -1;
        }
    }
    return next(socket, address, size, flags);
}
