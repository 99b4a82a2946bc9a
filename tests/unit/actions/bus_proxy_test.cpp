#include "actions/bus_proxy.h"

#include "actions/bus_message.h"
#include "actions/registry.h"
#include "actions/service_manager.h"
#include "support.h"

#include <sys/socket.h>

using namespace luminous_healing;
using namespace luminous_healing::actions;

namespace {

/// As if its check had found the unit that the request names.
Action restarting_row() {
    Action row;
    row.name = "test";
    row.check = [](Context& context) -> Result<void> {
        if (context.arguments.text("service") == "bad.service") return failed("bad.service is protected");
        context.facts.set("unit", context.arguments.text("service"));
        return {};
    };
    row.bus_calls = [](const Context& context) -> Result<std::vector<BusCall>> {
        return std::vector<BusCall>{job_call("RestartUnit", context.facts.text("unit"))};
    };
    return row;
}

/// A worker's view of a proxy that runs as a process of its own, decided for one unit.
class Proxied {
public:
    explicit Proxied(const Action& row, BusDuty duty = BusDuty::run, const std::string& unit = "web.service") {
        std::array<int, 2> bus{};
        std::array<int, 2> told{};
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, bus.data()) == 0);
        REQUIRE(::pipe(told.data()) == 0);
        pid_ = ::fork();
        REQUIRE(pid_ >= 0);
        if (pid_ == 0) {
            ::close(bus[0]);
            ::close(told[0]);
            serve(row, duty, unit, bus[1], told[1]);
            ::_exit(0);
        }
        ::close(bus[1]);
        ::close(told[1]);
        told_ = told[0];
        auto connection = std::make_shared<SystemBus::Connection>();
        REQUIRE(connection->open_proxy(bus[0]));
        bus_ = std::make_unique<SystemBus>(std::move(connection));
    }
    ~Proxied() {
        (void)end();
        ::close(told_);
    }
    Proxied(const Proxied&) = delete;
    Proxied& operator=(const Proxied&) = delete;

    /// What came of it: the error's words, empty when there was none.
    std::string ask(const BusCall& call) {
        const auto answer = bus_->call(call.method, call.arguments, 10s);
        return answer ? "" : answer.error().message;
    }
    /// Closes our end; what the proxy told of refused calls until it ended by itself.
    std::string end() {
        if (bus_ == nullptr) return {};
        bus_.reset();
        auto told = read_all(told_, 65536);
        int status = 0;
        ::waitpid(pid_, &status, 0);
        CHECK(status == 0);
        return told.value_or("unreadable");
    }

private:
    static void serve(const Action& row, BusDuty duty, const std::string& unit, int bus, int told) {
        policy::Arguments arguments;
        arguments.set("service", unit);
        const policy::ActionPolicy policy;
        const policy::DaemonSettings settings;
        Context context{arguments, policy, settings, "test", now().boot + 10s, [](std::string_view) {}};
        (void)serve_bus(bus, row, context, duty,
                        [&](std::string_view line) { (void)write_all(told, std::string(line) + "\n"); });
    }
    pid_t pid_ = -1;
    int told_ = -1;
    std::unique_ptr<SystemBus> bus_;
};

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }
bool is_refused(const std::string& answer) { return has(answer, "refused: "); }

}  // namespace

TEST_CASE("a call that the request does not include is refused and told, whatever else is included") {
    Proxied worker(restarting_row());
    const std::vector<BusCall> others{
        job_call("StopUnit", "web.service"),
        job_call("RestartUnit", "other.service"),
        reset_failed_call("web.service"),
        start_transient_call("web.service", {{"ExecStart", Commands{{{"/bin/true"}}}}}, {}),
        {{"org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "RestartUnit"},
         {BusValue(std::string("web.service")), BusValue(std::string("isolate"))},
         {}},
        {{"org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "RestartUnit"},
         {},
         {}},
        {{"org.freedesktop.systemd1", "/org/freedesktop/systemd1/job/7", "org.freedesktop.systemd1.Job", "Cancel"},
         {},
         {}},
        {{"org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "PowerOff"},
         {},
         {}},
        {{"org.freedesktop.login1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "RestartUnit"},
         {BusValue(std::string("web.service")), BusValue(std::string("replace"))},
         {}},
        {{"org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "AddMatch"},
         {BusValue(std::string("eavesdrop=true"))},
         {}},
        {{"org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.DBus.Properties", "GetAll"},
         {BusValue(std::string("org.freedesktop.login1.Manager"))},
         {}},
        {{"org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.DBus.Properties", "Set"},
         {BusValue(std::string("org.freedesktop.systemd1.Manager")), BusValue(std::string("LogLevel"))},
         {}},
    };
    for (const auto& call : others) {
        CAPTURE(call.method.member);
        CHECK(is_refused(worker.ask(call)));
    }
    const std::string told = worker.end();
    CHECK(std::count(told.begin(), told.end(), '\n') == static_cast<std::ptrdiff_t>(others.size()));
    CHECK(has(told, "org.freedesktop.systemd1.Manager.StopUnit of /org/freedesktop/systemd1"));
    CHECK(has(told, "\"other.service\""));
}

TEST_CASE("the call of the request passes: what becomes of it is the bus's affair and not told as refused") {
    Proxied worker(restarting_row(), BusDuty::run, "luminous-no-such-unit.service");
    const std::string answer = worker.ask(job_call("RestartUnit", "luminous-no-such-unit.service"));
    CHECK_FALSE(answer.empty());  // no bus here, or no such unit
    CHECK_FALSE(is_refused(answer));
    CHECK(worker.end().empty());
}

TEST_CASE("a plan changes nothing, not even what the row declares") {
    Proxied worker(restarting_row(), BusDuty::plan);
    CHECK(has(worker.ask(job_call("RestartUnit", "web.service")), "a plan changes nothing"));
}

TEST_CASE("what the row's check refuses is refused to a worker that did not ask its check") {
    Proxied worker(restarting_row(), BusDuty::run, "bad.service");
    CHECK(has(worker.ask(job_call("RestartUnit", "bad.service")), "bad.service is protected"));
}

TEST_CASE("a row that declares no call may change nothing") {
    Action row = restarting_row();
    row.bus_calls = nullptr;
    Proxied worker(row);
    CHECK(is_refused(worker.ask(job_call("RestartUnit", "web.service"))));
}

TEST_CASE("bytes that are no D-Bus end the proxy and nothing else") {
    std::array<int, 2> bus{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, bus.data()) == 0);
    REQUIRE(write_all(bus[0], std::string(5000, 'x')));
    const policy::Arguments arguments;
    const policy::ActionPolicy policy;
    const policy::DaemonSettings settings;
    Context context{arguments, policy, settings, "test", now().boot + 10s, [](std::string_view) {}};
    int told = 0;
    (void)serve_bus(bus[1], restarting_row(), context, BusDuty::run, [&](std::string_view) { ++told; });
    CHECK(told == 0);
    ::close(bus[0]);
}

TEST_CASE("every row of class bus declares its calls, and no other row does") {
    for (const auto& row : all()) {
        CAPTURE(row.name);
        const bool declares = row.bus_calls != nullptr;
        const bool is_bus = row.privilege.syscalls == SyscallClass::bus;
        CHECK(declares == is_bus);
        CHECK(row.privilege.syscalls != SyscallClass::bus_proxy);
    }
}

namespace {

std::vector<std::string> texts_of(const std::vector<BusCall>& calls) {
    std::vector<std::string> texts;
    for (const auto& call : calls) {
        std::string text = call.method.member;
        for (const auto& argument : call.arguments) {
            const auto* const value = std::get_if<BusValue>(&argument);
            const auto* const word = value != nullptr ? std::get_if<std::string>(value) : nullptr;
            if (word != nullptr) text += " " + *word;
        }
        texts.push_back(text);
    }
    return texts;
}

std::vector<BusCall> declared(const char* action, const Facts& facts) {
    const policy::Arguments arguments;
    const policy::ActionPolicy policy;
    const policy::DaemonSettings settings;
    Context context{arguments, policy, settings, "test", now().boot + 10s, [](std::string_view) {}};
    context.facts = facts;
    auto calls = find(action)->bus_calls(context);
    REQUIRE(calls);
    return std::move(*calls);
}

}  // namespace

TEST_CASE("an action on a unit may do its own job on that unit, and the way back only after it") {
    using Texts = std::vector<std::string>;
    Facts facts;
    facts.set("unit", std::string("web.service"));
    facts.set("active_state_before", std::string("active"));
    CHECK(texts_of(declared("restart_service", facts)) == Texts{"RestartUnit web.service replace"});
    CHECK(texts_of(declared("reload_service", facts)) == Texts{"ReloadUnit web.service replace"});
    CHECK(texts_of(declared("reset_failed", facts)) == Texts{"ResetFailedUnit web.service"});
    const auto stop = declared("stop_service", facts);
    CHECK(texts_of(stop) == Texts{"StopUnit web.service replace"});
    CHECK(texts_of(stop.front().then("/job/7")) == Texts{"Cancel", "StartUnit web.service replace"});
    CHECK(stop.front().then("/job/7").front().method.path == "/job/7");
    const auto start = declared("start_service", facts);
    CHECK(texts_of(start) == Texts{"StartUnit web.service replace"});
    CHECK(texts_of(start.front().then("/job/8")) == Texts{"Cancel"});  // it was active: there is no way back to take
}
