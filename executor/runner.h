#pragma once
// The running actions: starts workers, listens to them, ends them at their deadline, and reports what came of each.
// Never waits for one.

#include "actions/action.h"
#include "executor/event_loop.h"
#include "executor/report.h"
#include "executor/worker.h"
#include "executor/workforce.h"
#include "policy/decide.h"
#include "protocol/response.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace luminous_healing::executor {

inline constexpr std::size_t kMaxRunning = 16;  // workers at one time

using RunId = std::uint64_t;

/// Something to run. Made from a Grant only, so nothing runs that decide() has not allowed.
struct Job {
    policy::Grant grant;
    ConfigPointer config;    ///< the grant points into it
    std::string request_id;  ///< CALLER:ID, unique over all callers: transient units are named after it
    bool plan = false;       ///< only the action's check, without any privilege
    bool adopted = false;    ///< only the end of what an earlier daemon started (adoption.h)
};

class Runner {
public:
    struct Listener {
        std::function<void(RunId, protocol::EventKind, const std::string&)> on_progress;
        std::function<void(RunId, actions::Report)> on_done;
    };

    /// See Workforce.
    [[nodiscard]] static Expected<std::unique_ptr<Runner>> create(EventLoop& loop, Listener listener, int launcher,
                                                                  std::vector<std::string> hidden);
    Runner(const Runner&) = delete;
    Runner& operator=(const Runner&) = delete;
    ~Runner();

    /// See Workforce.
    void prepare(const policy::Config& config) { workforce_->prepare(config); }

    /// Gives it to a worker, which confines itself and waits: its intent may be recorded meanwhile. Then begin() or
    /// call_off(). An error: there is nothing to begin.
    [[nodiscard]] Expected<void> make_ready(RunId id, Job job);

    /// Starts it; on_done is called later, exactly once, never from inside.
    void begin(RunId id);

    /// Ends its worker without a report, whether it has begun or not: what it looked after goes on without it.
    void call_off(RunId id);

    /// Passes the caller's confirmation on (restart_network). False when nothing waits for one.
    bool confirm(RunId id);

    [[nodiscard]] bool is_busy(const std::string& target) const;
    [[nodiscard]] std::size_t running() const noexcept { return runs_.size(); }

    /// Ends all with `cancelled`; their on_done follows when nothing is left of them.
    void cancel_all();

private:
    struct Run;
    Runner(EventLoop& loop, Listener listener, std::unique_ptr<Workforce> workforce);
    [[nodiscard]] Expected<void> assign_worker(Run& run);
    void begin_stage(Run& run);
    void watch(Run& run);
    [[nodiscard]] bool read_report(Run& run);
    [[nodiscard]] bool read_beside(Run& run);
    void note_refused(Run& run, const std::string& call);
    [[nodiscard]] bool read_output(Run& run);
    void on_exit(Run& run);
    void end_leftovers(Run& run);
    void on_gone(Run& run);
    void on_deadline(Run& run);
    void kill(Run& run, protocol::Code why);
    void next_stage(Run& run);
    void conclude_stage(Run& run);
    void finish(Run& run);

    EventLoop& loop_;
    Listener listener_;
    std::unique_ptr<Workforce> workforce_;
    bool shutting_down_ = false;
    std::map<RunId, std::unique_ptr<Run>> runs_;
};

}  // namespace luminous_healing::executor
