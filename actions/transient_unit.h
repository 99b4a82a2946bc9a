#pragma once
// Work that must outlive this daemon runs as a transient systemd service of its own, asked for over D-Bus
// (org.freedesktop.systemd1(5), StartTransientUnit). Its name comes from the request's id and its outcome stays
// readable until it is forgotten, so a daemon that was restarted meanwhile finds the unit again and learns the truth:
//
//   After its start the executor looks in the audit log for intents without an outcome. For each whose action has
//   `transient` work (clean_nix_store, rollback_generation, vacuum_journal) it starts a worker as usual, but that one
//   calls finish_adopted() instead of carry_out(). The report is the request's true outcome: code `interrupted` when
//   there is no such unit (it never started, or the machine was rebooted), else what carry_out() would have reported.
//   Nothing is started a second time. The arguments, the policy and the request id of the context are those of the
//   intent.
//
// The request id of the context must be unique over all callers, as the unit's name is made of it alone: systemd
// refuses a second unit of the same name, and such a request fails. Ids have only characters that unit names may have.

#include "actions/action.h"
#include "actions/service_manager.h"
#include "actions/system_bus.h"

#include <optional>
#include <string>
#include <string_view>

namespace luminous_healing::actions {

/// "luminous-healing-run-ID.service"; `part` sets apart several units of one request:
/// "luminous-healing-undo-ID.service".
[[nodiscard]] std::string transient_unit_name(std::string_view request_id, std::string_view part = "run");

/// How much of the machine the unit may use. Everything is refused that is not said here.
struct TransientSandbox {
    std::vector<std::string> writes =
        {};                          ///< paths; the rest of the file system is read-only. Missing ones are skipped
    std::uint64_t capabilities = 0;  ///< bounding set, bits as in capabilities(7)
    bool network = false;            ///< may it change the machine's network (netlink)? IP sockets stay refused
    bool unconfined = false;         ///< for a system switch, which may do anything: only the environment is fixed
    std::vector<std::string> environment = {};  ///< "NAME=value", added to the fixed PATH, LANG and empty pager
};

struct TransientWork {
    std::string description;
    std::vector<std::vector<std::string>>
        argvs;  ///< absolute programs, run one after the other; the first failure ends it
    TransientSandbox sandbox;
    std::string standard_input = {};  ///< bytes that the programs read; empty stands for /dev/null
    Micros timeout = 10min;           ///< systemd ends it then, whatever became of us
};

/// The properties of such a unit: Type=oneshot, RemainAfterExit, no terminal, no pager, the sandbox. `facts` are kept
/// in the unit, so that finish_adopted() has what check() noted.
[[nodiscard]] BusProperties transient_properties(const TransientWork& work, const Facts& facts);

/// The calls that such a unit needs, for the row to declare (BusCall): its start, with `work`, and letting systemd drop
/// it once it has ended. Without the start for adopted work, which is not begun a second time.
[[nodiscard]] std::vector<BusCall> transient_calls(const Context& context, const TransientWork& work);
/// The same, and once `work` was begun, those of a unit "undo" with the work `back`.
[[nodiscard]] std::vector<BusCall> transient_calls_with_way_back(const Context& context, const TransientWork& work,
                                                                 const TransientWork& back);

/// Starts the unit named after the request, with the work that the row declares for it, and waits for its end, at most
/// context.time_left(). Work that is still running then goes on: the failure (code timeout) says so, and
/// finish_adopted() has the outcome later.
[[nodiscard]] Result<void> run_transient(Context& context, std::string_view part = "run");

/// What became of a request's unit.
struct Adopted {
    enum class State { absent, running, succeeded, failed };
    State state = State::absent;
    std::string unit;
    std::string detail;            ///< one sentence
    std::int64_t exit_status = 0;  ///< of the last program
    Facts facts = {};              ///< as they were when the unit was started
};

[[nodiscard]] Expected<Adopted> find_adopted(std::string_view request_id);
/// The same, but waits at most `limit` while it is running.
[[nodiscard]] Expected<Adopted> wait_for_adopted(std::string_view request_id, Micros limit);
/// Lets systemd drop a unit that has ended. Call it once the outcome is recorded.
[[nodiscard]] Expected<void> forget_transient(std::string_view request_id, std::string_view part = "run");

/// For a worker of a restarted daemon: waits for the unit, verifies, undoes when that is needed, reports, forgets.
[[nodiscard]] Report finish_adopted(const Action& action, Context& context);

/// A program by its bare name in the folders where distributions have it, as an absolute path; nothing when it is in
/// none of them, or not executable, or writable by others than root.
[[nodiscard]] std::optional<std::string> find_program(std::string_view name);

}  // namespace luminous_healing::actions
