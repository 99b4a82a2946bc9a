#include "bench/confined.h"

#include "actions/registry.h"
#include "base/text.h"
#include "bench/times.h"
#include "executor/needs.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

namespace luminous_healing::bench {
namespace {

constexpr std::string_view kBuiltIn = "kill_process";

bool is_built_in(char** what) { return what[0] == kBuiltIn; }

executor::Credentials ourselves() { return {::geteuid(), ::getegid(), {}}; }

/// The number after "pid" in a request, which stands in an envelope as a string.
std::int64_t pid_in(std::string_view frame) {
    constexpr std::string_view kDigits = "0123456789";
    frame.remove_prefix(std::min(frame.find("pid"), frame.size()));
    frame.remove_prefix(std::min(frame.find_first_of(kDigits), frame.size()));
    const auto pid = parse_integer<std::int64_t>(frame.substr(0, frame.find_first_not_of(kDigits)));
    if (!pid) give_up("a frame without a pid");
    return *pid;
}

}  // namespace

Confined::Confined(const std::string& hidden, char** what)
    : program_(is_built_in(what) ? nullptr : what + 1),
      user_(program_ != nullptr ? executor::credentials_of(what[0]) : ourselves()),
      filter_(executor::worker_filter(
          program_ != nullptr ? actions::SyscallClass::command : actions::SyscallClass::processes, false)),
      files_(executor::FileSystemRuleset::build(
          {.read_everything = true, .hidden = {hidden}, .writes = {}, .signals = program_ == nullptr})) {
    if (!user_ || !filter_ || !files_) give_up("confinement");
    executor::CapabilitySet keep = 0;  // like the daemon, which has dropped the rest once, and not for each worker
    for (const auto* const name : {"cap_kill", "cap_setuid", "cap_setgid", "cap_setpcap"})
        keep |= executor::capability_bit(name).value_or(0);
    bool bounded = false;
    if (!executor::confine_executor(keep, &bounded) || !bounded) give_up("capabilities");
}

void Confined::become_program() const {
    if (executor::confine_worker({*user_, 0, true, true, files_->fd(), &*filter_})) ::execv(program_[0], program_);
    ::_exit(1);
}

void Confined::kill_named(std::string_view frame) const {
    const auto& row = *actions::find(kBuiltIn);
    const auto capability = executor::capability_bit("cap_kill").value_or(0);
    if (!executor::confine_worker({*user_, capability, false, true, files_->fd(), &*filter_})) ::_exit(1);
    policy::Arguments arguments;
    arguments.set("pid", pid_in(frame));
    arguments.set("signal", std::string("KILL"));
    const policy::ActionPolicy policy;
    const policy::DaemonSettings settings;
    actions::Context context{arguments, policy, settings, "", BootTime{now().boot + row.timeout}, [](auto) {}};
    ::_exit(actions::carry_out(row, context, false).code == protocol::Code::ok ? 0 : 1);
}

void Confined::run(std::string_view frame) const {
    const pid_t pid = ::fork();
    if (pid < 0) give_up("fork");
    if (pid == 0 && program_ != nullptr) become_program();
    if (pid == 0) kill_named(frame);
    int status = 0;
    if (::waitpid(pid, &status, 0) != pid || status != 0) give_up("what was confined has failed");
}

}  // namespace luminous_healing::bench
