#pragma once
// The filter of `healctl audit` as it stands on the command line.

#include "audit/chain.h"
#include "audit/query.h"
#include "base/expected.h"

#include <optional>
#include <string>

namespace luminous_healing::healctl {

struct FilterWords {
    std::optional<std::string> event, action, caller, code, verdict, id, since, until;
    bool denied = false;
    bool allowed = false;
};

/// RFC 3339, or a duration: that long before `now`.
[[nodiscard]] Expected<WallTime> read_moment(const std::string& text, WallTime now);

/// The error lists what there is to choose from.
[[nodiscard]] Expected<audit::Filter> read_filter(const FilterWords& words, WallTime now);

/// SEQ:CHAIN, as a witness keeps it.
[[nodiscard]] Expected<audit::Head> read_head(const std::string& text);

}  // namespace luminous_healing::healctl
