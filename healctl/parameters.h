#pragma once
// Parameters as they are written on the command line:
//   name=TEXT    a number when TEXT is a whole decimal number, a boolean when it is true or false, else a string
//   name:=JSON   exactly that JSON value: service:='"123"', keep:=null

#include "base/expected.h"

#include <string>
#include <vector>

namespace luminous_healing::healctl {

/// The `parameters` object as JSON, in the order given. The error says how to write what was wrong.
[[nodiscard]] Expected<std::string> read_parameters(const std::vector<std::string>& words);

}  // namespace luminous_healing::healctl
