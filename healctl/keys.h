#pragma once
// Key files, made.

#include "base/expected.h"

#include <string>

namespace luminous_healing::healctl {

/// 32 random bytes as one line of hexadecimal. The caller of this function wipes it (protocol::wipe).
[[nodiscard]] std::string new_key();

/// A new file of mode 0400, on the disk when this returns. An existing file is never overwritten.
[[nodiscard]] Expected<void> write_key_file(const std::string& path, std::string_view key);

}  // namespace luminous_healing::healctl
