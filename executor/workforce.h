#pragma once
// Workers for the running actions: what each is confined by, made ready beforehand, and a spare worker. Starting one
// costs more than most actions do; after an action a next one is rarely far, so a worker of the same kind without
// orders is started while that action runs, and sent home when none has come for a while (docs/decisions/0017, 0018).

#include "actions/action.h"
#include "base/expected.h"
#include "executor/duty.h"
#include "executor/event_loop.h"
#include "executor/landlock.h"
#include "executor/launch.h"
#include "executor/seccomp.h"
#include "executor/worker.h"
#include "policy/config.h"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace luminous_healing::executor {

using ConfigPointer = std::shared_ptr<const policy::Config>;

class Workforce {
public:
    /// `launcher`: an open descriptor of it, not owned. `hidden`: folders that no worker reads, whatever its uid.
    [[nodiscard]] static Expected<std::unique_ptr<Workforce>> create(EventLoop& loop, int launcher,
                                                                     std::vector<std::string> hidden);
    Workforce(const Workforce&) = delete;
    Workforce& operator=(const Workforce&) = delete;
    ~Workforce() { dismiss(); }

    /// Makes ready what the workers of the enabled actions are confined by, one row in each idle turn, so that the
    /// first request need not wait for it. What is not ready yet, or has changed since, is made when it is needed.
    void prepare(const policy::Config& config);

    /// A worker that confines itself for this duty and then waits for let_go().
    [[nodiscard]] Expected<Worker> assign(const ConfigPointer& config, const Duty& duty);

    /// Sees to it that a spare worker for such a stage waits, for the next 10 s, as soon as the loop has nothing else
    /// to do.
    void keep_spare(const ConfigPointer& config, Stage stage);

    /// Nobody waits any more.
    void dismiss();

private:
    Workforce(EventLoop& loop, int launcher, std::vector<std::string> hidden)
        : loop_(loop), launcher_(launcher), hidden_(std::move(hidden)) {}
    enum class Kind { fork, launcher };
    /// What a launcher is fenced in by before it has orders; without a filter: not at all.
    struct Fence {
        std::shared_ptr<const FileSystemRuleset> files;
        const FilterProgram* filter = nullptr;
        bool operator==(const Fence&) const = default;
    };
    struct Spare {
        Worker worker;
        ConfigPointer config;        // that it was forked with; no other duty than of this one is for it
        std::optional<Fence> fence;  // that a launcher has been given; no command with another one is for it
    };
    [[nodiscard]] static Kind kind_for(Stage stage) { return stage == Stage::builtin ? Kind::fork : Kind::launcher; }
    [[nodiscard]] Expected<Spare> hatch_one(Kind kind, const ConfigPointer& config);
    [[nodiscard]] std::optional<Spare> take_spare(Kind kind);
    [[nodiscard]] static Expected<void> give_fence(Spare& spare, const Fence& fence);
    void hatch_spare(Kind kind, const ConfigPointer& config);
    [[nodiscard]] Expected<Worker> hand_over(Kind kind, const ConfigPointer& config, const Fence& fence,
                                             const Errand& errand);
    [[nodiscard]] Expected<Orders> orders_for(Duty duty, const ConfigPointer& config) const;
    [[nodiscard]] Launch launch_for(const policy::ActionPolicy& policy, const Duty& duty) const;
    [[nodiscard]] Expected<std::shared_ptr<const FileSystemRuleset>> files_for(const actions::Privilege& privilege,
                                                                               bool plan);
    void prepare_next();

    EventLoop& loop_;
    int launcher_;
    std::vector<std::string> hidden_;
    std::map<std::pair<actions::SyscallClass, bool>, FilterProgram> filters_;
    std::map<std::string, std::shared_ptr<const FileSystemRuleset>> files_;  // by what the row may write, and how
    std::vector<actions::Privilege> to_prepare_;
    EventSource preparing_;
    std::map<Kind, Spare> spares_;  // at most one of a kind
    Fence last_fence_;              // of the command before
    bool fence_repeats_ = false;    // and of the one before that
    EventSource hatching_;
    EventSource going_home_;
};

}  // namespace luminous_healing::executor
