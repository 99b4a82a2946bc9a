#include "base/descriptors.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

using namespace luminous_healing;

namespace {

/// What the function returns in a process of its own: 0 to 255.
template <class Function>
int in_a_child(Function function) {
    const pid_t pid = ::fork();
    if (pid == 0) ::_exit(function());
    int status = 0;
    REQUIRE(::waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

bool is_null(int fd) {
    struct stat null {
    }, found{};
    return ::stat("/dev/null", &null) == 0 && ::fstat(fd, &found) == 0 && found.st_rdev == null.st_rdev;
}

}  // namespace

TEST_CASE("A01: standard descriptors that are closed become the null device and others stay as they are") {
    std::array<int, 2> ends{};
    REQUIRE(::pipe(ends.data()) == 0);
    CHECK(in_a_child([&] {
              ::dup2(ends[1], STDOUT_FILENO);
              ::close(STDIN_FILENO);
              ::close(STDERR_FILENO);
              if (!open_standard_descriptors()) return 1;
              return is_null(STDIN_FILENO) && !is_null(STDOUT_FILENO) && is_null(STDERR_FILENO) ? 0 : 2;
          }) == 0);
    ::close(ends[0]);
    ::close(ends[1]);
}

TEST_CASE("descriptors from a number on are closed and those below stay") {
    CHECK(in_a_child([] {
              const int kept = ::fcntl(STDERR_FILENO, F_DUPFD, 20);
              const int closed = ::fcntl(STDERR_FILENO, F_DUPFD, 30);
              close_descriptors_from(kept + 1);
              return ::fcntl(kept, F_GETFD) >= 0 && ::fcntl(closed, F_GETFD) < 0 ? 0 : 1;
          }) == 0);
}
