// LD_PRELOAD: makes one file operation on one file fail, where and as a test says.
//
// LUMINOUS_FAULTS names a file that holds one line "N ERROR [TIMES]": the Nth operation from now on (1 is the next one)
// on a file below LUMINOUS_FAULTS_BELOW fails with that errno, and so do the TIMES-1 after it (0: all). ERROR "short"
// writes half of what it was given; with one byte only that is nothing, and ENOSPC. The file is read anew whenever it
// has changed. For each operation a line "NUMBER NAME" goes to LUMINOUS_FAULTS_SEEN, so that a test knows how many
// there are. Counted are write, pwrite, sync_file_range, fdatasync, fsync, ftruncate, fallocate, rename and open with
// O_CREAT.

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

template <class Function>
Function next(Function, const char* name) {
    return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}
#define NEXT(name) next(&::name, #name)

struct Plan {
    long at = 0;  // 0: nothing fails
    long times = 1;
    int error = 0;
    bool short_write = false;
};

struct State {
    struct timespec changed {};
    long count = 0;  // since the plan was read
    Plan plan;
};

State& state() {
    static State only;
    return only;
}

Plan read_plan(const char* path) {
    Plan plan;
    char error[32] = "";
    std::FILE* const file = std::fopen(path, "re");
    if (file == nullptr) return plan;
    if (std::fscanf(file, "%ld %31s %ld", &plan.at, error, &plan.times) < 2) plan.at = 0;
    std::fclose(file);
    plan.short_write = std::strcmp(error, "short") == 0;
    plan.error = plan.short_write ? ENOSPC : std::atoi(error);
    return plan;
}

bool is_below(const char* path, const char* folder) {
    const std::size_t length = std::strlen(folder);
    return std::strncmp(path, folder, length) == 0;
}

bool is_watched(int fd) {
    const char* const below = std::getenv("LUMINOUS_FAULTS_BELOW");
    if (below == nullptr) return false;
    char link[64];
    char path[PATH_MAX];
    std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t length = ::readlink(link, path, sizeof path - 1);
    if (length <= 0) return false;
    path[length] = '\0';
    return is_below(path, below);
}

bool is_watched(const char* path) {
    const char* const below = std::getenv("LUMINOUS_FAULTS_BELOW");
    return below != nullptr && is_below(path, below);
}

void tell(long number, const char* name) {
    const char* const seen = std::getenv("LUMINOUS_FAULTS_SEEN");
    if (seen == nullptr) return;
    const int fd = NEXT(open)(seen, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return;
    char line[64];
    const int length = std::snprintf(line, sizeof line, "%ld %s\n", number, name);
    static_cast<void>(NEXT(write)(fd, line, static_cast<std::size_t>(length)));
    ::close(fd);
}

enum class Fate { pass, fail, shorten };

/// Counts one operation on a watched file.
Fate fate_of(const char* name) {
    const char* const path = std::getenv("LUMINOUS_FAULTS");
    if (path == nullptr) return Fate::pass;
    const int saved = errno;
    State& now = state();
    struct stat st {};
    if (::stat(path, &st) == 0 &&
        (st.st_mtim.tv_sec != now.changed.tv_sec || st.st_mtim.tv_nsec != now.changed.tv_nsec)) {
        now.changed = st.st_mtim;
        now.count = 0;
        now.plan = read_plan(path);
    }
    ++now.count;
    tell(now.count, name);
    errno = saved;
    const Plan& plan = now.plan;
    if (plan.at == 0 || now.count < plan.at) return Fate::pass;
    if (plan.times != 0 && now.count >= plan.at + plan.times) return Fate::pass;
    errno = plan.error;
    return plan.short_write && std::strstr(name, "write") != nullptr ? Fate::shorten : Fate::fail;
}

}  // namespace

extern "C" {

ssize_t write(int fd, const void* bytes, size_t size) {
    const Fate fate = is_watched(fd) ? fate_of("write") : Fate::pass;
    if (fate == Fate::fail || (fate == Fate::shorten && size < 2)) return -1;
    return NEXT(write)(fd, bytes, fate == Fate::shorten ? size / 2 : size);
}

ssize_t pwrite(int fd, const void* bytes, size_t size, off_t offset) {
    const Fate fate = is_watched(fd) ? fate_of("pwrite") : Fate::pass;
    if (fate == Fate::fail || (fate == Fate::shorten && size < 2)) return -1;
    return NEXT(pwrite)(fd, bytes, fate == Fate::shorten ? size / 2 : size, offset);
}

int fdatasync(int fd) { return is_watched(fd) && fate_of("fdatasync") != Fate::pass ? -1 : NEXT(fdatasync)(fd); }

int sync_file_range(int fd, off_t offset, off_t size, unsigned int flags) {
    return is_watched(fd) && fate_of("sync_file_range") != Fate::pass ? -1
                                                                      : NEXT(sync_file_range)(fd, offset, size, flags);
}

int fsync(int fd) { return is_watched(fd) && fate_of("fsync") != Fate::pass ? -1 : NEXT(fsync)(fd); }

int ftruncate(int fd, off_t size) noexcept {
    return is_watched(fd) && fate_of("ftruncate") != Fate::pass ? -1 : NEXT(ftruncate)(fd, size);
}

int fallocate(int fd, int mode, off_t offset, off_t size) {
    return is_watched(fd) && fate_of("fallocate") != Fate::pass ? -1 : NEXT(fallocate)(fd, mode, offset, size);
}

int renameat2(int from_folder, const char* from, int to_folder, const char* to, unsigned int flags) noexcept {
    if (is_watched(from) && fate_of("rename") != Fate::pass) return -1;
    return NEXT(renameat2)(from_folder, from, to_folder, to, flags);
}

int open(const char* path, int flags, ...) {
    mode_t mode = 0;
    if ((flags & O_CREAT) != 0) {
        va_list arguments;
        va_start(arguments, flags);
        mode = va_arg(arguments, mode_t);
        va_end(arguments);
        if (is_watched(path) && fate_of("create") != Fate::pass) return -1;
    }
    return NEXT(open)(path, flags, mode);
}
}
