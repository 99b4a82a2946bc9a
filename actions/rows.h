#pragma once
// One function per built-in action, each defined in the file of its name; unit_actions.cpp has the five on units.

#include "actions/action.h"

namespace luminous_healing::actions {

[[nodiscard]] Action restart_service();
[[nodiscard]] Action start_service();
[[nodiscard]] Action stop_service();
[[nodiscard]] Action reload_service();
[[nodiscard]] Action reset_failed();
[[nodiscard]] Action kill_process();
[[nodiscard]] Action set_cpu_governor();
[[nodiscard]] Action adjust_swappiness();
[[nodiscard]] Action clear_system_cache();
[[nodiscard]] Action restart_network();
[[nodiscard]] Action clean_nix_store();
[[nodiscard]] Action rollback_generation();
[[nodiscard]] Action vacuum_journal();

}  // namespace luminous_healing::actions
