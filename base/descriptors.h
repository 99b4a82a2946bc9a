#pragma once
// What a program has open when it starts is whatever its starter left open, execve(2).

#include "base/expected.h"

namespace luminous_healing {

/// Makes /dev/null of standard input, output and error where they are closed. To be called before anything else is
/// opened: it would get such a number, and messages would be written into it. An error: there is no /dev/null.
[[nodiscard]] Expected<void> open_standard_descriptors();

/// Closes every descriptor from `first` on, close_range(2): a lock or the end of a pipe would be held as long as we
/// run.
void close_descriptors_from(int first);

}  // namespace luminous_healing
