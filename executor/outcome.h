#pragma once
// What a worker's report becomes: the answer to its request, and the record of its outcome.

#include "actions/action.h"
#include "audit/record.h"
#include "protocol/response.h"

#include <string>

namespace luminous_healing::executor {

/// Bounded and printable. A worker cannot claim that a request was refused.
[[nodiscard]] protocol::Response response_to(const actions::Report& report);

/// The record says what the answer says.
void describe(audit::Record& outcome, const protocol::Response& response);

/// The answer when there is no record of it: `what` happened, but without evidence.
void lose_record(protocol::Response& response, const std::string& what);

}  // namespace luminous_healing::executor
