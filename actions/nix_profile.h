#pragma once
// The system profile of NixOS: a folder of links, /nix/var/nix/profiles/system -> system-42-link -> /nix/store/…, one
// numbered link a generation (nix-env(1), "Profiles"). Everything here only reads.

#include "base/clock.h"
#include "base/expected.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace luminous_healing::actions {

inline constexpr const char* kSystemProfile = "/nix/var/nix/profiles/system";

struct Generation {
    std::int64_t number = 0;
    Micros made{};           ///< since 1970: when its link was made
    std::string store_path;  ///< what it leads to
    bool current = false;    ///< the profile leads to it
    bool running = false;    ///< /run/current-system is it
    bool booted = false;     ///< /run/booted-system is it
};

/// 42 for "system-42-link" and profile "system"; nothing for any other name.
[[nodiscard]] std::optional<std::int64_t> generation_number(std::string_view link, std::string_view profile);

/// All of the system profile, oldest number first; empty on a machine without one.
[[nodiscard]] Expected<std::vector<Generation>> system_generations();

/// The numbers to delete: older than `keep_days`, not among the `keep_newest` highest numbers, and neither current,
/// running nor booted. Pure.
[[nodiscard]] std::vector<std::int64_t> generations_to_delete(const std::vector<Generation>& generations, Micros now,
                                                              std::int64_t keep_days, std::int64_t keep_newest);

/// Where a rollback goes: `wanted`, or else the highest number below the current one. An error says why not. Pure.
[[nodiscard]] Expected<Generation> rollback_target(const std::vector<Generation>& generations,
                                                   std::optional<std::int64_t> wanted);

/// Path of a generation's link.
[[nodiscard]] std::string generation_link(std::int64_t number);

}  // namespace luminous_healing::actions
