#pragma once
// What the launcher (launcher.cpp) is told: what it is fenced in by, perhaps while it waits, and then which command it
// becomes and as whom. It crosses as bytes to a program of its own that knows no configuration.

#include "base/expected.h"
#include "executor/confinement.h"
#include "executor/seccomp.h"

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

namespace luminous_healing::executor {

struct Launch {
    pid_t executor = -1;  ///< whose end is the launcher's too
    Credentials credentials;
    CapabilitySet capabilities = 0;
    bool confined = true;           ///< it must have been fenced in before; if false, it must not
    std::vector<std::string> argv;  ///< argv[0] is the program's absolute path
};

/// What a fence consists of beside its ruleset, which rides along as a descriptor.
[[nodiscard]] std::string encode_fence(const FilterProgram& filter);
[[nodiscard]] Expected<FilterProgram> decode_fence(std::string_view bytes);

[[nodiscard]] std::string encode_launch(const Launch& launch);

/// Of exactly what encode_launch() of this version made. The launcher believes its executor: this is to notice our own
/// mistakes, and an upgrade that was under way when the daemon started.
[[nodiscard]] Expected<Launch> decode_launch(std::string_view bytes);

}  // namespace luminous_healing::executor
