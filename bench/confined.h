#pragma once
// What a worker of ours cannot do without, and nothing of what the daemon does around it: a fork, our confinement, the
// program or the steps of kill_process, its end.

#include "base/expected.h"
#include "executor/confinement.h"

#include <string>
#include <string_view>

namespace luminous_healing::bench {

class Confined {
public:
    /// `hidden`: the folder that is not read. `what`: a user and the program that is executed as that user, without any
    /// capability; or "kill_process". Ends the program when the machine does not let it.
    Confined(const std::string& hidden, char** what);

    /// Starts it and waits for its end. kill_process kills the process that the frame names, and looks before, again,
    /// and after as the action does.
    void run(std::string_view frame) const;

private:
    [[noreturn]] void become_program() const;
    [[noreturn]] void kill_named(std::string_view frame) const;

    char** program_ = nullptr;  // none: kill_process
    Expected<executor::Credentials> user_;
    Expected<executor::FilterProgram> filter_;
    Expected<executor::FileSystemRuleset> files_;
};

}  // namespace luminous_healing::bench
