#pragma once
// An action is a row: what it takes, what it may hold, and four steps. The rows stand in registry.cpp, which is the
// only list of what can run; the steps stand in one file per action. They run in a worker process that holds exactly
// `privilege` and nothing else (executor/worker.h), never in the daemon.

#include "actions/system_bus.h"
#include "base/clock.h"
#include "policy/config.h"
#include "policy/parameters.h"
#include "protocol/code.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace luminous_healing::actions {

/// Which system calls a worker may make (executor/seccomp.cpp has the lists).
enum class SyscallClass {
    files,      ///< read files, write those of the row
    processes,  ///< the same, and pidfd_open/pidfd_send_signal
    bus,        ///< the same as files, and messages on the one socket it has: to the bus proxy beside it
    bus_proxy,  ///< that proxy: the same as files, and AF_UNIX sockets, to talk to D-Bus; of no row
    command,    ///< everything but what no healing command needs; leaving the process group is refused
};

enum class RunAs {
    daemon,  ///< the daemon's own user
    root,    ///< uid 0: with an empty capability set it may write what root owns, and little else
    named,   ///< a user named by the configuration
};

struct Privilege {
    RunAs user = RunAs::daemon;
    std::string user_name = {};                  ///< for RunAs::named
    std::vector<std::string> capabilities = {};  ///< capabilities(7), lower case: "cap_kill"
    /// Given to the worker when the daemon has it; the action must say itself when it needs it and does not have it.
    std::vector<std::string> optional_capabilities = {};
    std::vector<std::string> writes = {};  ///< paths; those that do not exist are left out
    SyscallClass syscalls = SyscallClass::files;
    bool network = false;          ///< may it open IP sockets?
    bool without_landlock = true;  ///< may it run on a kernel without Landlock?
    bool confined = true;          ///< false: neither Landlock nor seccomp (`confine = false`)
};

/// What an action found, did and measured, for programs: the `result` object of response and record, flat.
using FactValue = std::variant<std::string, std::int64_t, bool>;
class Facts {
public:
    void set(std::string_view name, FactValue value);
    [[nodiscard]] const FactValue* find(std::string_view name) const;
    [[nodiscard]] std::string text(std::string_view name) const;      ///< empty when absent
    [[nodiscard]] std::int64_t integer(std::string_view name) const;  ///< zero when absent
    [[nodiscard]] const std::vector<std::pair<std::string, FactValue>>& all() const { return facts_; }
    [[nodiscard]] std::string to_json() const;

private:
    std::vector<std::pair<std::string, FactValue>> facts_;
};

/// A step that did not succeed, with the code the caller gets.
struct Failure {
    protocol::Code code = protocol::Code::action_failed;
    std::string message;
};
template <class T>
using Result = tl::expected<T, Failure>;
[[nodiscard]] tl::unexpected<Failure> failed(std::string message);
[[nodiscard]] tl::unexpected<Failure> failed(protocol::Code code, std::string message);

/// What the steps of one run share.
struct Context {
    const policy::Arguments& arguments;
    const policy::ActionPolicy& policy;
    const policy::DaemonSettings& settings;
    std::string request_id;
    BootTime deadline;                               ///< when the executor will end this process
    std::function<void(std::string_view)> progress;  ///< one line for whoever is watching
    Facts facts = {};                                ///< what is found, kept from step to step, reported at the end
    /// Waits at most `limit` for the caller's confirmation (restart_network): true when it came.
    std::function<bool(Micros limit)> await_confirmation = {};

    [[nodiscard]] Micros time_left() const { return deadline - now().boot; }
};

struct Verification {
    protocol::Verdict verdict = protocol::Verdict::unverifiable;
    std::string detail;  ///< one sentence: what was looked at and found
};

/// What the machine offers to actions; found at start and at each reload.
struct Machine {
    bool can_become_root = false;                          ///< uid 0, or CAP_SETUID, CAP_SETGID and CAP_SETPCAP
    std::function<bool(std::string_view)> has_capability;  ///< may a worker be given this one?
    uid_t uid = 0;                                         ///< the daemon's own
    int landlock_abi = 0;                                  ///< 0: none
};

struct Action {
    std::string name;
    std::string summary;  ///< one line, for `healctl actions`
    std::vector<policy::ParameterSpec> parameters = {};
    Privilege privilege = {};
    Micros timeout = 30s;
    std::string target_group;  ///< see policy::ActionPolicy
    std::string target_parameter = {};
    bool frees_space = false;  ///< may run while the log's disk is full
    std::string verifies;      ///< what verify looks at, one line, for `plan`

    /// Why the action cannot work on this machine, or nothing. Runs in the daemon: quick, reads only, parses nothing
    /// that a caller sent. What every row shares (privilege, Landlock) is checked by unavailable() in registry.h.
    std::optional<std::string> (*missing)(const Machine& machine) = nullptr;
    /// Looks at the target: may it work, what is there now (into facts). Runs for `plan` too, then as an unprivileged
    /// user, so it must only read.
    Result<void> (*check)(Context& context) = nullptr;
    /// Does it. The text is for people.
    Result<std::string> (*run)(Context& context) = nullptr;
    /// Did it help?
    Verification (*verify)(Context& context) = nullptr;
    /// For rows of class `bus`: the calls that may change something, complete, from the arguments and from what check()
    /// noted. Runs in the proxy beside the worker, on facts of a check() of the proxy's own: the worker chooses among
    /// these calls and has no part in what is in them (actions/bus_proxy.h).
    Result<std::vector<BusCall>> (*bus_calls)(const Context& context) = nullptr;
    /// Puts back what check() noted. Called when run() failed or verify() did not find the machine healed.
    Result<void> (*undo)(Context& context) = nullptr;
};

/// How a run ended.
struct Report {
    protocol::Code code = protocol::Code::internal;
    std::string output;
    std::optional<std::string> error;
    std::optional<protocol::Verdict> verdict;
    Facts facts;
};

/// The steps in their order: check, run, verify, and undo when it did not help. With `only_check` it stops after the
/// first (a plan).
[[nodiscard]] Report carry_out(const Action& action, Context& context, bool only_check);

}  // namespace luminous_healing::actions
