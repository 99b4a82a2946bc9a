#pragma once
// Files that decide what root does must not be changeable by anyone else: neither the file, nor a folder or a symlink
// on the way to it. See path_resolution(7) and the sticky bit in inode(7).

#include "base/expected.h"
#include "base/unique_fd.h"

#include <sys/types.h>

#include <string>

namespace luminous_healing::executor {

/// Root or the running user.
[[nodiscard]] bool is_trusted_owner(uid_t uid);

/// Every folder, symlink and file on the way belongs to a trusted owner, and every folder is writable by its owner
/// only or has the sticky bit. `path` is absolute. The error names what to change.
[[nodiscard]] Expected<void> check_way_to(const std::string& path);

/// Opens a regular file for reading. With `check_owner` it and the way to it must be trusted.
[[nodiscard]] Expected<UniqueFd> open_trusted_file(const std::string& path, bool check_owner);

/// Opens a program (O_PATH) that may be executed: a regular file with an execute bit. With `check_owner` it and the
/// way to it must be trusted. What was checked is what the descriptor holds, whatever happens to the path.
[[nodiscard]] Expected<UniqueFd> open_program(const std::string& path, bool check_owner);

}  // namespace luminous_healing::executor
