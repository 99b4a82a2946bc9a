#include "healctl/program.h"

#include "base/file.h"
#include "base/unique_fd.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

namespace luminous_healing::healctl {
namespace {

constexpr std::size_t kMostOutput = 64 * 1024;  // bytes

class FileActions {
public:
    FileActions() { ::posix_spawn_file_actions_init(&actions_); }
    ~FileActions() { ::posix_spawn_file_actions_destroy(&actions_); }
    FileActions(const FileActions&) = delete;
    FileActions& operator=(const FileActions&) = delete;
    void replace(int fd, int with) { ::posix_spawn_file_actions_adddup2(&actions_, with, fd); }
    void empty(int fd) { ::posix_spawn_file_actions_addopen(&actions_, fd, "/dev/null", O_RDWR, 0); }
    [[nodiscard]] const posix_spawn_file_actions_t* get() const { return &actions_; }

private:
    posix_spawn_file_actions_t actions_{};
};

int wait_for(pid_t child) {
    int ended = 0;
    while (::waitpid(child, &ended, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(ended) ? WEXITSTATUS(ended) : 128 + WTERMSIG(ended);
}

}  // namespace

Expected<ProgramResult> run_program(const std::vector<std::string>& command, bool quiet) {
    std::array<int, 2> ends{-1, -1};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail_errno("pipe");
    const UniqueFd reading(ends[0]);
    UniqueFd writing(ends[1]);
    FileActions actions;
    actions.empty(STDIN_FILENO);
    actions.replace(STDOUT_FILENO, writing.get());
    if (quiet) actions.empty(STDERR_FILENO);
    std::vector<std::string> texts = command;
    std::vector<char*> arguments;
    arguments.reserve(texts.size() + 1);
    for (auto& text : texts) arguments.push_back(text.data());
    arguments.push_back(nullptr);
    pid_t child = 0;
    const int error = ::posix_spawnp(&child, arguments[0], actions.get(), nullptr, arguments.data(), environ);
    if (error != 0) return fail_errno("run " + command.front(), error);
    writing = UniqueFd();
    auto output = read_all(reading.get(), kMostOutput);
    const int status = wait_for(child);
    if (!output) return tl::unexpected(output.error());
    return ProgramResult{status, std::move(*output)};
}

bool is_systemd_here() {
    struct stat status {};
    return ::stat("/run/systemd/system", &status) == 0;
}

}  // namespace luminous_healing::healctl
