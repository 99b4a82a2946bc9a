#pragma once
// What worker_probe.cpp (what a worker holds) and worker_matrix.cpp (what it can do of what others are for) share.

#include "actions/action.h"
#include "executor/worker.h"
#include "executor/worker_side.h"

#include <sys/types.h>

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace luminous_healing {

/// What the story has set up.
struct Lab {
    pid_t of_another_user = 0;
    pid_t of_root = 0;
    std::string unit;       ///< the decided target of each action on units but stop_service
    std::string stoppable;  ///< the decided target of stop_service
    std::string bystander;  ///< a unit that no request names
    std::vector<std::string> hidden;
};

/// In a worker: a line "name value" to whoever started it.
void say(const std::string& line);

/// What a worker of the row says while it runs `body`, and the process beside it where the row has one: the bus proxy,
/// or `beside`. The decided request is of that id and names the row's target in `lab`. "ended" is said when one of them
/// did not end well, or not at all.
[[nodiscard]] std::string run_as(const actions::Action& row, const Lab& lab, const std::string& request_id,
                                 const std::function<void()>& body, const std::function<void()>& beside = {});

/// Lines "name value", those of one name joined by "; ".
[[nodiscard]] std::map<std::string, std::string> members_of(const std::string& said);

[[nodiscard]] std::string target_of(std::string_view action, const Lab& lab);

/// Every worker tries every row's operation. How many could what they must not, or could not do their own.
[[nodiscard]] int print_matrix(const Lab& lab);

}  // namespace luminous_healing
