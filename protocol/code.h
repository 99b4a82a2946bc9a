#pragma once
// The closed set of answers, as they stand in responses and in the audit log (docs: luminous-healing-protocol(7)).

#include <optional>
#include <string_view>

namespace luminous_healing::protocol {

enum class Code {
    internal,  // first, so that a forgotten code is an error and never `ok`
    ok,
    bad_request,
    unknown_caller,
    bad_signature,
    stale,
    id_reused,
    peer_not_allowed,
    action_unknown,
    action_not_allowed,
    parameters_invalid,
    parameters_not_allowed,
    rate_limited,
    busy,
    unavailable,
    audit_unavailable,
    shutting_down,
    timeout,
    cancelled,
    action_failed,
    not_healed,
    interrupted,
};

/// Did the machine get better? Only a check says `healed`.
enum class Verdict { healed, unchanged, worse, unverifiable };

[[nodiscard]] std::string_view name_of(Code code);
[[nodiscard]] std::string_view name_of(Verdict verdict);
[[nodiscard]] std::optional<Code> code_from_name(std::string_view name);
[[nodiscard]] std::optional<Verdict> verdict_from_name(std::string_view name);

/// Codes given to somebody who proved no key: the response carries no MAC and says nothing but the code.
[[nodiscard]] constexpr bool is_unauthenticated(Code code) {
    return code == Code::bad_request || code == Code::bad_signature || code == Code::unknown_caller;
}

}  // namespace luminous_healing::protocol
