#pragma once
// What the daemon knew before it ended, read back from the audit log: remembered requests and their answers, the rate
// limiter's windows, and intents that never got an outcome.

#include "audit/log.h"
#include "base/clock.h"
#include "base/expected.h"
#include "executor/recorder.h"
#include "policy/config.h"
#include "policy/journal.h"
#include "policy/limiter.h"

#include <string>
#include <vector>

namespace luminous_healing::executor {

/// Reads back as far as the configuration's windows reach, fills limiter and journal, and records `interrupted` for
/// every open intent: those requests are never run again. The number of them.
[[nodiscard]] Expected<std::size_t> recover_state(const policy::Config& config, const std::string& boot_id,
                                                  policy::Limiter& limiter, policy::Journal& journal,
                                                  Recorder& recorder);

}  // namespace luminous_healing::executor
