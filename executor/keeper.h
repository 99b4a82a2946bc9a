#pragma once
// A small process that outlives a killed executor by a moment, to kill what its workers have started. PR_SET_PDEATHSIG
// reaches a worker and not the children of a command; under systemd the unit's cgroup does (KillMode=), elsewhere this.
//
// Executor and keeper share a page in which every worker enters its process group before it starts anything; a confined
// one cannot leave that group (docs/decisions/0005). The keeper sleeps until the executor's end closes their pipe,
// kills every group in the page, and ends.

#include "base/expected.h"
#include "base/unique_fd.h"

#include <sys/types.h>

#include <utility>

namespace luminous_healing::executor {

class Keeper {
public:
    /// Forks it, once the executor's capabilities are cut and before any worker exists.
    [[nodiscard]] static Expected<Keeper> start();
    Keeper(Keeper&& other) noexcept : pid_(std::exchange(other.pid_, -1)), pipe_(std::move(other.pipe_)) {}
    Keeper& operator=(Keeper&&) = delete;
    Keeper(const Keeper&) = delete;
    Keeper& operator=(const Keeper&) = delete;
    /// Lets it end and waits for that.
    ~Keeper();

private:
    Keeper(pid_t pid, UniqueFd pipe) : pid_(pid), pipe_(std::move(pipe)) {}
    pid_t pid_;
    UniqueFd pipe_;
};

/// A worker's place in the page, given back when nothing of the worker is left. Without a keeper it is none.
class KeptGroup {
public:
    KeptGroup() = default;
    KeptGroup(KeptGroup&& other) noexcept : slot_(std::exchange(other.slot_, -1)) {}
    KeptGroup& operator=(KeptGroup&& other) noexcept {
        std::swap(slot_, other.slot_);
        return *this;
    }
    KeptGroup(const KeptGroup&) = delete;
    KeptGroup& operator=(const KeptGroup&) = delete;
    ~KeptGroup() { give_back(); }

    /// Before fork(2).
    [[nodiscard]] static KeptGroup take();
    /// In the worker, leader of its group: enters it, and gives up its access to the page.
    void enter() const;
    /// For a worker that is a program of its own and cannot do so itself: before it has anything to do.
    void enter(pid_t worker) const;

private:
    explicit KeptGroup(int slot) : slot_(slot) {}
    void give_back() noexcept;
    int slot_ = -1;
};

}  // namespace luminous_healing::executor
