#pragma once
// What there is to do: which part of which action, with what arguments, and as whom. A built-in action's crosses as
// bytes to a process that was forked before the request came; everything else that one needs it has already, in the
// configuration that it was forked with. A command's becomes a Launch (launch.h).

#include "base/expected.h"
#include "base/strong.h"
#include "executor/privileges.h"
#include "policy/parameters.h"

#include <string>
#include <string_view>

namespace luminous_healing::executor {

enum class Stage : char { builtin, command, verify, undo };

struct Duty {
    Stage stage = Stage::builtin;
    bool plan = false;     ///< only the action's check, without any privilege
    bool adopted = false;  ///< only the end of what an earlier daemon started (adoption.h)
    ActionName action;
    std::string request_id;  ///< CALLER:ID, see Job
    Credentials credentials;
    policy::Arguments arguments;
};

/// All but its stage, which is builtin.
[[nodiscard]] std::string encode_duty(const Duty& duty);

/// Of exactly what encode_duty() made. The worker believes its executor: this is to notice our own mistakes.
[[nodiscard]] Expected<Duty> decode_duty(std::string_view bytes);

}  // namespace luminous_healing::executor
