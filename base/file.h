#pragma once
// Small files, read and written whole.

#include "base/expected.h"
#include "base/unique_fd.h"

#include <cstddef>
#include <string>
#include <string_view>

namespace luminous_healing {

/// The whole content; an error when it cannot be read or is longer than `max_bytes`. Works for /proc and /sys.
[[nodiscard]] Expected<std::string> read_file(const std::string& path, std::size_t max_bytes);

/// The same from a descriptor, from its current position to the end.
[[nodiscard]] Expected<std::string> read_all(int fd, std::size_t max_bytes);

/// Every byte is written, or an error: retries EINTR and short writes, see write(2).
[[nodiscard]] Expected<void> write_all(int fd, std::string_view bytes);

/// Opens an existing file for writing and writes the text in one go, for /proc and /sys.
[[nodiscard]] Expected<void> write_existing(const std::string& path, std::string_view text);

}  // namespace luminous_healing
