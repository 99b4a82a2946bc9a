#include "healctl/exit_status.h"

#include <algorithm>
#include <array>

namespace luminous_healing::healctl {
namespace {

using protocol::Code;

struct Row {
    Code code;
    ExitStatus status;
    std::string_view advice;
};

constexpr std::array<Row, 22> kRows{{
    {Code::ok, ExitStatus::done, ""},
    {Code::internal, ExitStatus::error, "see journalctl -u luminous-healing on this machine, and report it"},
    {Code::bad_request, ExitStatus::error, "client and daemon disagree about the protocol: compare their --version"},
    {Code::unknown_caller, ExitStatus::denied, "name a caller of the daemon's configuration with --caller"},
    {Code::bad_signature, ExitStatus::denied, "the key is not this caller's: check --key-file and --caller"},
    {Code::stale, ExitStatus::denied, "set this machine's clock (timedatectl), then ask again"},
    {Code::id_reused, ExitStatus::denied, "leave out --id, or give one that was never used"},
    {Code::peer_not_allowed, ExitStatus::denied, "run it as a user of this caller's `users`, or add yours there"},
    {Code::action_unknown, ExitStatus::denied, "healctl actions lists what there is; enable it under [actions.NAME]"},
    {Code::action_not_allowed, ExitStatus::denied, "add it to `actions` of this caller in the configuration"},
    {Code::parameters_invalid, ExitStatus::denied, "healctl actions shows each action's parameters"},
    {Code::parameters_not_allowed, ExitStatus::denied, "healctl explain shows the rule; the configuration narrows it"},
    {Code::rate_limited, ExitStatus::try_later, "wait, or raise the rate_limit of that rule"},
    {Code::busy, ExitStatus::try_later, "ask again when the other one has ended"},
    {Code::unavailable, ExitStatus::error, "healctl actions tells what this machine lacks for it"},
    {Code::audit_unavailable, ExitStatus::error, "nothing runs unrecorded: mend the audit log (healctl doctor)"},
    {Code::shutting_down, ExitStatus::try_later, "ask again when the daemon is back"},
    {Code::timeout, ExitStatus::timed_out, "look at the target, then raise the action's `timeout` if it needs longer"},
    {Code::cancelled, ExitStatus::timed_out, "nothing of it runs any more; ask again if it is still wanted"},
    {Code::action_failed, ExitStatus::failed, "the output says what failed; mend that first"},
    {Code::not_healed, ExitStatus::not_healed, "it ran, but the check afterwards found no improvement"},
    {Code::interrupted, ExitStatus::pending, "the daemon was stopped meanwhile: look at the target, then ask anew"},
}};

}  // namespace

ExitStatus exit_status_of(Code code) {
    const auto* const row = std::find_if(kRows.begin(), kRows.end(), [&](const Row& r) { return r.code == code; });
    return row == kRows.end() ? ExitStatus::error : row->status;
}

ExitStatus exit_status_of(const Error& error) {
    switch (error.system_error) {
        case ETIMEDOUT: return ExitStatus::timed_out;
        case ECONNRESET: return ExitStatus::pending;
        default: return ExitStatus::error;
    }
}

std::string_view advice_for(Code code) {
    const auto* const row = std::find_if(kRows.begin(), kRows.end(), [&](const Row& r) { return r.code == code; });
    return row == kRows.end() ? std::string_view() : row->advice;
}

}  // namespace luminous_healing::healctl
