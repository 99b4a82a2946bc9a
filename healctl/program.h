#pragma once
// Another program, run and waited for, without a shell: systemctl(1), mostly.

#include "base/expected.h"

#include <string>
#include <vector>

namespace luminous_healing::healctl {

struct ProgramResult {
    int status = 0;      ///< exit status; 128 + signal when it was killed
    std::string output;  ///< its standard output, at most 64 KiB of it
};

/// Looks for the program in $PATH. Its standard input is empty; with `quiet` its standard error is not shown.
[[nodiscard]] Expected<ProgramResult> run_program(const std::vector<std::string>& command, bool quiet = true);

/// Does systemd run this machine? See sd_booted(3).
[[nodiscard]] bool is_systemd_here();

}  // namespace luminous_healing::healctl
