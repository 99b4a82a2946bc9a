#pragma once
// What the daemon knew before it ended, read back from the audit log: remembered requests and their answers, the rate
// limiter's windows, and intents that never got an outcome.

#include "audit/log.h"
#include "audit/record.h"
#include "base/clock.h"
#include "base/expected.h"
#include "executor/recorder.h"
#include "policy/config.h"
#include "policy/journal.h"
#include "policy/limiter.h"

#include <cstdint>
#include <string>
#include <vector>

namespace luminous_healing::executor {

struct Recovered {
    std::size_t interrupted = 0;
    std::uint64_t damaged = 0;                 ///< lines that are no records; they were left out
    std::string damage;                        ///< about the newest of them
    std::vector<audit::StoredRecord> gone_on;  ///< open intents whose work may have gone on without us (adoption.h)
};

/// Reads back as far as the configuration's windows reach and fills limiter and journal (recollection.h). Open intents
/// are never run again: those whose work may have gone on are returned, oldest first, and stay unanswered in the
/// journal; for every other one `interrupted` is recorded.
[[nodiscard]] Expected<Recovered> recover_state(const policy::Config& config, const std::string& boot_id,
                                                policy::Limiter& limiter, policy::Journal& journal, Recorder& recorder);

}  // namespace luminous_healing::executor
