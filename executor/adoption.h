#pragma once
// Work that went on while the daemon was away: some actions run as transient units of systemd
// (actions/transient_unit.h), which outlive this process. After a restart each open intent of such an action is looked
// after by a worker as if it had been running all the time, so that its true outcome is recorded and answered.

#include "audit/record.h"
#include "base/expected.h"
#include "policy/decide.h"
#include "protocol/request.h"

#include <string_view>

namespace luminous_healing::executor {

/// Does this built-in action do its work in a transient unit?
[[nodiscard]] bool may_outlive_us(std::string_view action);

/// The request as its intent recorded it. An error when the record is not one of a request that ran.
[[nodiscard]] Expected<protocol::Request> request_of(const audit::Record& intent);

/// The grant to look after it, by the policy in force now: whoever has lost the permission since gets none. Neither the
/// budget nor what else runs matters, as nothing is started.
[[nodiscard]] tl::expected<policy::Grant, policy::Denial> grant_again(const policy::Config& config,
                                                                      const audit::Record& intent,
                                                                      const protocol::Request& request,
                                                                      policy::Situation situation);

}  // namespace luminous_healing::executor
