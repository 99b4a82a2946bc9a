#include "executor/keeper.h"

#include "executor/privileges.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>

namespace luminous_healing::executor {
namespace {

constexpr std::size_t kSlots = 64;  // more than workers, plans and the witness at one time
constexpr pid_t kTaken = -1;        // by a worker that has not entered yet

using Page = std::array<std::atomic<pid_t>, kSlots>;
static_assert(std::atomic<pid_t>::is_always_lock_free, "two processes share it");

/// Shared by executor, keeper and, until they have entered, workers. One for the life of the process.
Page*& page() {
    static Page* only = nullptr;
    return only;
}

[[noreturn]] void keep(int pipe) {
    for (int signal = 1; signal < 32; ++signal) (void)::signal(signal, SIG_IGN);  // only the executor's end ends it
    ::prctl(PR_SET_NAME, "healing-keeper", 0, 0, 0);
    ::dup2(pipe, 0);
    ::close_range(1, ~0U, 0);
    static_cast<void>(set_capabilities(capability_bit("cap_kill").value_or(0) & permitted_capabilities()).has_value());
    char none = 0;
    while (::read(0, &none, 1) < 0 && errno == EINTR) {
    }
    for (const auto& slot : *page()) {
        if (const pid_t group = slot.load(); group > 1) ::kill(-group, SIGKILL);
    }
    ::_exit(0);
}

}  // namespace

Expected<Keeper> Keeper::start() {
    void* const shared = ::mmap(nullptr, sizeof(Page), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) return fail_errno("mmap for the keeper");
    page() = new (shared) Page();
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail_errno("pipe2 for the keeper");
    const UniqueFd read_end(ends[0]);
    UniqueFd write_end(ends[1]);
    const pid_t pid = ::fork();
    if (pid < 0) return fail_errno("fork the keeper");
    if (pid == 0) keep(read_end.get());
    return Keeper(pid, std::move(write_end));
}

Keeper::~Keeper() {
    if (pid_ < 0) return;
    pipe_.reset();
    ::waitpid(pid_, nullptr, 0);  // it has nothing to do but to see the pipe closed
}

KeptGroup KeptGroup::take() {
    if (page() == nullptr) return {};
    for (std::size_t i = 0; i < kSlots; ++i) {
        pid_t free = 0;
        if ((*page())[i].compare_exchange_strong(free, kTaken)) return KeptGroup(static_cast<int>(i));
    }
    return {};
}

void KeptGroup::enter() const {
    if (page() == nullptr) return;
    if (slot_ >= 0) (*page())[static_cast<std::size_t>(slot_)] = ::getpid();
    ::munmap(page(), sizeof(Page));
    page() = nullptr;
}

void KeptGroup::enter(pid_t worker) const {
    if (slot_ >= 0 && page() != nullptr) (*page())[static_cast<std::size_t>(slot_)] = worker;
}

void KeptGroup::give_back() noexcept {
    if (slot_ >= 0 && page() != nullptr) (*page())[static_cast<std::size_t>(slot_)] = 0;
    slot_ = -1;
}

}  // namespace luminous_healing::executor
