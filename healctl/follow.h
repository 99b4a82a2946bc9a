#pragma once
// Reads the newer part of a log, and follows it while it grows, across rotation.

#include "audit/record.h"
#include "base/expected.h"

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace luminous_healing::healctl {

using Visit = std::function<bool(const audit::StoredRecord&, std::string_view line)>;

/// Calls `visit` for each record of the log at `path` after `last_seq`, in all its files, until visit returns false.
[[nodiscard]] Expected<void> read_after(const std::string& path, std::int64_t last_seq, const Visit& visit);

/// The same, and then for each that is written, as it is written. Waits with inotify(7).
[[nodiscard]] Expected<void> follow(const std::string& path, std::int64_t last_seq, const Visit& visit);

}  // namespace luminous_healing::healctl
