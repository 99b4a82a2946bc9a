#include "actions/process.h"
#include "actions/rows.h"
#include "support.h"

using namespace luminous_healing;
using namespace luminous_healing::actions;
using namespace luminous_healing::actions::test;
using protocol::Code;

namespace {

const Action kRow = kill_process();
const auto kAsIs = [](Request&, pid_t) {};

Request asking(pid_t pid, const std::string& more = "") {
    Request request;
    request.arguments = arguments_for(kRow, "{\"pid\":" + std::to_string(pid) + more + "}");
    request.settings.protected_units = {"systemd-*", "dbus.service", "user@*.service", "*.scope"};
    return request;
}

std::string start_time_of(pid_t pid) {
    const auto facts = read_process(pid);
    REQUIRE(facts);
    return std::to_string(facts->start_time);
}

/// What the kernel says of the child, with some of it changed, below a fake root.
void copy_proc(const FakeMachine& machine, pid_t pid, const std::string& cgroup, unsigned long flags = 0) {
    const std::string folder = "/proc/" + std::to_string(pid);
    machine.write(folder + "/stat", std::to_string(pid) + " (vic) tim)) S 1 0 0 0 -1 " + std::to_string(flags) +
                                        " 0 0 0 0 0 0 0 0 20 0 1 0 4711 1000 25 1\n");
    machine.write(folder + "/status", "Name:\tvictim\nUid:\t65534\t65534\t65534\t65534\n");
    machine.write(folder + "/cgroup", cgroup);
}

}  // namespace

TEST_CASE("a process is killed with TERM by default and seen to be gone") {
    Child victim(sleeper());
    const auto report = in_worker(kRow, asking(victim.pid()), kAsIs);
    CHECK(report.code == "ok");
    CHECK(report.verdict == "healed");
    CHECK(report.output == "Process " + std::to_string(victim.pid()) + " killed with TERM");
    CHECK(report.facts.find("\"comm\":\"victim\"") != std::string::npos);
    CHECK(report.facts.find("\"rss_freed_bytes\":") != std::string::npos);
    CHECK(victim.reap() == SIGTERM);
}

TEST_CASE("KILL and INT end a process by that very signal") {
    for (const auto& [name, number] : {std::pair{"KILL", SIGKILL}, std::pair{"INT", SIGINT}}) {
        CAPTURE(name);
        Child victim(sleeper());
        const auto report = in_worker(kRow, asking(victim.pid(), std::string(",\"signal\":\"") + name + "\""), kAsIs);
        CHECK(report.code == "ok");
        CHECK(victim.reap() == number);
    }
}

TEST_CASE("A40: a process that survives TERM is not healed and no stronger signal follows") {
    Child victim(sleeper(SIGTERM));
    auto request = asking(victim.pid());
    request.time = 600ms;
    const auto report = in_worker(kRow, request, kAsIs);
    CHECK(report.code == "not_healed");
    CHECK(report.verdict == "unchanged");
    CHECK(report.output.find("still there") != std::string::npos);
    CHECK(::kill(victim.pid(), 0) == 0);
    CHECK(::waitpid(victim.pid(), nullptr, WNOHANG) == 0);
}

TEST_CASE("HUP heals when the process lives on and makes it worse when the process ends") {
    Child reloading(sleeper(SIGHUP));
    CHECK(in_worker(kRow, asking(reloading.pid(), R"(,"signal":"HUP")"), kAsIs).verdict == "healed");
    Child dying(sleeper());
    const auto report = in_worker(kRow, asking(dying.pid(), R"(,"signal":"HUP")"), kAsIs);
    CHECK(report.code == "not_healed");
    CHECK(report.verdict == "worse");
}

TEST_CASE("a process that nobody reaps counts as gone") {
    Child victim(sleeper());  // this test does not wait for it before the worker has looked
    CHECK(in_worker(kRow, asking(victim.pid(), R"(,"signal":"KILL")"), kAsIs).verdict == "healed");
    CHECK(in_worker(kRow, asking(victim.pid()), kAsIs).error ==
          "Process " + std::to_string(victim.pid()) + " not found");
}

TEST_CASE("A05: a pid that is not a plain number above 1 is refused") {
    for (const auto* const given : {"-1", "0", "1", "4294967297", "18446744073709551618", "1e3", "\"0x1\"", "\"-1\"",
                                    "\"1234\"", "1234.0", "-1234", "true", "null", "{}", "4194305"}) {
        CAPTURE(given);
        const auto object = protocol::read_json_object(std::string("{\"pid\":") + given + "}", 65536);
        REQUIRE(object);
        const auto checked = policy::check_parameters(kRow.parameters, object->members);
        REQUIRE_FALSE(checked);
        CHECK(checked.error().code == Code::parameters_invalid);
    }
    const auto none = protocol::read_json_object("{}", 65536);
    CHECK_FALSE(policy::check_parameters(kRow.parameters, none->members));
}

TEST_CASE("A05: a pid at or below 1 is refused by the action itself too") {
    for (const std::int64_t pid : {std::int64_t{1}, std::int64_t{0}, std::int64_t{-1}, std::int64_t{1} << 32U}) {
        CAPTURE(pid);
        Request request;
        request.arguments.set("pid", pid);
        request.arguments.set("signal", std::string("TERM"));
        CHECK(carry_out_here(kRow, request).code == Code::parameters_invalid);
    }
}

TEST_CASE("a signal that is not listed is refused") {
    for (const auto* const given : {"\"STOP\"", "\"9\"", "9", "\"SIGTERM\"", "\"term\"", "\"\""}) {
        CAPTURE(given);
        const auto object = protocol::read_json_object(std::string("{\"pid\":5,\"signal\":") + given + "}", 65536);
        CHECK_FALSE(policy::check_parameters(kRow.parameters, object->members));
    }
}

TEST_CASE("the daemon and all that descends from it are never killed") {
    Child bystander(sleeper());
    const auto daemon = in_worker(kRow, asking(2), [](Request& request, pid_t self) { request = asking(self); });
    CHECK(daemon.code == "parameters_not_allowed");
    CHECK(daemon.error.find("belongs to luminous-healing itself") != std::string::npos);
    const auto worker = in_worker(kRow, asking(2), [](Request& request, pid_t) { request = asking(::getpid()); });
    CHECK(worker.code == "parameters_not_allowed");
    // A grandchild of the daemon, as a command's child would be: made by the worker itself.
    const auto grandchild = in_worker(kRow, asking(2), [](Request& request, pid_t) {
        const pid_t parent = ::getpid();
        const pid_t child = ::fork();
        if (child == 0) {
            ::close_range(3, ~0U, 0);  // or the test would wait for this one to close the report's pipe
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            while (::getppid() == parent) ::pause();
            ::_exit(0);
        }
        request = asking(child);
    });
    CHECK(grandchild.code == "parameters_not_allowed");
    CHECK(in_worker(kRow, asking(bystander.pid()), kAsIs).code == "ok");
}

TEST_CASE("A29: a start time of another process spares the one that has the number now") {
    Child victim(sleeper());
    const auto other = in_worker(kRow, asking(victim.pid(), ",\"start_time\":1"), kAsIs);
    CHECK(other.code == "action_failed");
    CHECK(other.error.find("is not the one that was meant: its start_time is") != std::string::npos);
    CHECK(::waitpid(victim.pid(), nullptr, WNOHANG) == 0);
    const auto same = in_worker(kRow, asking(victim.pid(), ",\"start_time\":" + start_time_of(victim.pid())), kAsIs);
    CHECK(same.code == "ok");
}

TEST_CASE("A29: a number that comes to mean another process between check and run kills nothing") {
    Child victim(sleeper());
    Action row = kRow;
    // The same as if the first had ended and the second had been given its number: check() saw another start time.
    row.check = [](Context& context) -> Result<void> {
        const auto checked = actions::kill_process().check(context);
        context.facts.set("start_time", context.facts.integer("start_time") - 1);
        return checked;
    };
    const auto report = in_worker(row, asking(victim.pid()), kAsIs);
    CHECK(report.code == "action_failed");
    CHECK(report.error.find("another took its number") != std::string::npos);
    CHECK(::waitpid(victim.pid(), nullptr, WNOHANG) == 0);
}

TEST_CASE("guards on name and unit must hold") {
    Child victim(sleeper());
    CHECK(in_worker(kRow, asking(victim.pid(), R"(,"comm":"vict")"), kAsIs).code == "action_failed");
    CHECK(in_worker(kRow, asking(victim.pid(), R"(,"unit":"nginx.service")"), kAsIs).code == "action_failed");
    CHECK(in_worker(kRow, asking(victim.pid(), R"(,"unit":"not/a/unit")"), kAsIs).code == "parameters_invalid");
    CHECK(::waitpid(victim.pid(), nullptr, WNOHANG) == 0);
    CHECK(in_worker(kRow, asking(victim.pid(), R"(,"comm":"victim")"), kAsIs).code == "ok");
}

TEST_CASE("the policy names which processes may be killed") {
    Child victim(sleeper());
    auto request = asking(victim.pid());
    request.policy.processes = {"nginx", "vict"};
    CHECK(in_worker(kRow, request, kAsIs).code == "parameters_not_allowed");
    CHECK(::waitpid(victim.pid(), nullptr, WNOHANG) == 0);
    request.policy.processes = {"nginx", "vic*"};
    CHECK(in_worker(kRow, request, kAsIs).code == "ok");
}

TEST_CASE("the policy names whose processes may be killed") {
    if (::geteuid() != 0) return;
    Child victim(sleeper(0, 65534));
    auto request = asking(victim.pid());
    for (const std::vector<std::string>& users : {std::vector<std::string>{"root"}, {"no-such-user"}, {"65533"}}) {
        request.policy.process_users = users;
        CHECK(in_worker(kRow, request, kAsIs).code == "parameters_not_allowed");
    }
    CHECK(::waitpid(victim.pid(), nullptr, WNOHANG) == 0);
    request.policy.process_users = {"nobody"};
    CHECK(in_worker(kRow, request, kAsIs).code == "ok");
}

TEST_CASE("a user without CAP_KILL kills its own processes and not those of others") {
    if (::geteuid() != 0) return;
    Child of_root(sleeper());
    const auto nobody = [](Request&, pid_t) { become_nobody(); };
    const auto refused = in_worker(kRow, asking(of_root.pid()), nobody);
    CHECK(refused.code == "unavailable");
    CHECK(refused.error.find("Permission denied to kill " + std::to_string(of_root.pid())) == 0);
    CHECK(::waitpid(of_root.pid(), nullptr, WNOHANG) == 0);
    Child own(sleeper(0, 65534));
    CHECK(in_worker(kRow, asking(own.pid()), nobody).code == "ok");
}

TEST_CASE("a plan of kill_process tells what it found and sends nothing") {
    Child victim(sleeper());
    auto request = asking(victim.pid(), R"(,"signal":"KILL")");
    request.only_check = true;
    const auto report = in_worker(kRow, request, kAsIs);
    CHECK(report.code == "ok");
    CHECK(report.verdict == "none");
    CHECK(report.facts.find("\"start_time\":" + start_time_of(victim.pid())) != std::string::npos);
    CHECK(::waitpid(victim.pid(), nullptr, WNOHANG) == 0);
}

TEST_CASE("a kernel thread is refused whatever the policy says") {
    Child victim(sleeper());
    const FakeMachine machine;
    copy_proc(machine, victim.pid(), "0::/\n", 0x00200040);
    auto request = asking(victim.pid());
    request.policy.processes = {"*"};
    const auto report = in_worker(kRow, request, kAsIs);
    CHECK(report.code == "parameters_not_allowed");
    CHECK(report.error.find("is a kernel thread") != std::string::npos);
}

TEST_CASE("processes of a protected service need an entry of their very name") {
    Child victim(sleeper());
    const FakeMachine machine;
    copy_proc(machine, victim.pid(), "0::/system.slice/systemd-journald.service\n");
    auto request = asking(victim.pid());
    for (const std::vector<std::string>& processes : {std::vector<std::string>{}, {"*"}, {"vic*"}}) {
        request.policy.processes = processes;
        CHECK(in_worker(kRow, request, kAsIs).code == "parameters_not_allowed");
    }
    CHECK(::waitpid(victim.pid(), nullptr, WNOHANG) == 0);
    request.policy.processes = {"vic) tim)"};
    CHECK(in_worker(kRow, request, kAsIs).code == "ok");
}

TEST_CASE("the unit of the daemon is refused even by name while sessions and user managers are not protected") {
    const auto in_unit = [](const std::string& cgroup) {
        Child victim(sleeper());
        const FakeMachine machine;
        copy_proc(machine, victim.pid(), cgroup);
        auto request = asking(victim.pid());
        request.policy.processes = {"vic) tim)"};
        return in_worker(kRow, request, kAsIs).code;
    };
    CHECK(in_unit("0::/system.slice/luminous-healing.service/worker-1\n") == "parameters_not_allowed");
    CHECK(in_unit("0::/user.slice/user-1000.slice/session-2.scope\n") == "ok");
    CHECK(in_unit("0::/user.slice/user-1000.slice/user@1000.service/app.slice/foo.service\n") == "ok");
    // A user may call a cgroup of his own anything; it makes nothing immune.
    CHECK(in_unit("0::/user.slice/user-1000.slice/user@1000.service/luminous-healing.service\n") == "ok");
}

TEST_CASE("the unit is the first part of the cgroup path that is no slice") {
    const std::pair<const char*, const char*> cases[] = {
        {"0::/system.slice/nginx.service\n", "nginx.service"},
        {"0::/system.slice/system-getty.slice/getty@tty1.service\n", "getty@tty1.service"},
        {"0::/user.slice/user-1000.slice/user@1000.service/app.slice/nginx.service\n", "user@1000.service"},
        {"0::/system.slice/foo\\x2dbar.service/child\n", "foo\\x2dbar.service"},
        {"0::/_cpu.service\n", "cpu.service"},
        {"0::/\n", ""},
        {"0::/../../x\n", ""},
        {"", ""},
        {"12:pids:/evil.service\n1:name=systemd:/system.slice/real.service\n0::/other.service\n", "real.service"},
        {"4:memory:/x:name=systemd:/evil.service\n0::/real.service\n", "real.service"},
        {"4:memory:/x0::/evil.service\n", ""},
    };
    for (const auto& [content, unit] : cases) {
        CAPTURE(content);
        CHECK(unit_in_cgroup(content) == unit);
    }
}

TEST_CASE("a comm with brackets and spaces does not shift what is read of a process") {
    const FakeMachine machine;
    copy_proc(machine, 1234, "0::/\n");
    const auto facts = read_process(1234);
    REQUIRE(facts);
    CHECK(facts->comm == "vic) tim)");
    CHECK(facts->parent == 1);
    CHECK(facts->start_time == 4711);
    CHECK(facts->rss_bytes == 25 * ::sysconf(_SC_PAGESIZE));
    CHECK_FALSE(facts->kernel_thread);
    machine.write("/proc/1234/stat", "1234 (x");
    CHECK_FALSE(read_process(1234));
}
