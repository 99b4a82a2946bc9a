#include "protocol/code.h"

#include <array>
#include <cstddef>

namespace luminous_healing::protocol {
namespace {

constexpr std::array<std::string_view, 22> kCodes{
    "internal",           "ok",
    "bad_request",        "unknown_caller",
    "bad_signature",      "stale",
    "id_reused",          "peer_not_allowed",
    "action_unknown",     "action_not_allowed",
    "parameters_invalid", "parameters_not_allowed",
    "rate_limited",       "busy",
    "unavailable",        "audit_unavailable",
    "shutting_down",      "timeout",
    "cancelled",          "action_failed",
    "not_healed",         "interrupted",
};
constexpr std::array<std::string_view, 4> kVerdicts{"healed", "unchanged", "worse", "unverifiable"};

template <class Enum, std::size_t N>
std::optional<Enum> find(const std::array<std::string_view, N>& names, std::string_view name) {
    for (std::size_t i = 0; i < N; ++i) {
        if (names[i] == name) return static_cast<Enum>(i);
    }
    return {};
}

}  // namespace

std::string_view name_of(Code code) { return kCodes.at(static_cast<std::size_t>(code)); }
std::string_view name_of(Verdict verdict) { return kVerdicts.at(static_cast<std::size_t>(verdict)); }
std::optional<Code> code_from_name(std::string_view name) { return find<Code>(kCodes, name); }
std::optional<Verdict> verdict_from_name(std::string_view name) { return find<Verdict>(kVerdicts, name); }

}  // namespace luminous_healing::protocol
