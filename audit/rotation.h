#pragma once
// The files of one log: `audit.json`, written to, and those before it. A full file is renamed to
// `audit.json.<seq of its first record, 20 digits>`; names never shift, so a crash at any step leaves every record in
// place, and the order of the names is the order of the records. Files that logrotate renamed (audit.json.1,
// audit.json-20261121) are found too and put in order by their first record. Compressed ones are not read.

#include "base/expected.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace luminous_healing::audit {

struct Segment {
    std::string path;
    std::int64_t first_seq = 0;  ///< 0: the file is empty or its first line is damaged, and its name does not say
};

[[nodiscard]] std::string rotated_name(const std::string& path, std::int64_t first_seq);

/// The seq that rotated_name() wrote; nothing for any other name.
[[nodiscard]] std::optional<std::int64_t> seq_of_rotated_name(std::string_view path, std::string_view rotated);

/// seq of a record from the beginning of its line, without parsing it.
[[nodiscard]] std::optional<std::int64_t> seq_of_line(std::string_view line);

/// Files named by rotated_name(), oldest first.
[[nodiscard]] Expected<std::vector<Segment>> own_rotated_files(const std::string& path);

/// Every file of the log but `path` itself, oldest first. Empty ones are left out.
[[nodiscard]] Expected<std::vector<Segment>> earlier_files(const std::string& path);

/// Every file in order, `path` itself last when it exists and is not empty.
[[nodiscard]] Expected<std::vector<Segment>> all_files(const std::string& path);

/// The log's path for what a person named: of a folder, the log in it (audit.json, else its only *.json).
[[nodiscard]] Expected<std::string> log_in_folder(const std::string& folder);
[[nodiscard]] bool is_folder(const std::string& path);

/// Renames, never over an existing file, and makes the new name durable.
[[nodiscard]] Expected<void> rename_durably(const std::string& from, const std::string& to);

/// Removes rotated files whose records are all older than `oldest_kept`.
[[nodiscard]] Expected<void> remove_rotated_before(const std::string& path, std::int64_t oldest_kept);

}  // namespace luminous_healing::audit
