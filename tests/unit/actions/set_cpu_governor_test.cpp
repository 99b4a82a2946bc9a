#include "actions/rows.h"
#include "support.h"

using namespace luminous_healing;
using namespace luminous_healing::actions;
using namespace luminous_healing::actions::test;
using protocol::Code;
using protocol::Verdict;

namespace {

const std::string kFolder = "/sys/devices/system/cpu/cpufreq/";
const Action kRow = set_cpu_governor();

void add_policy(const FakeMachine& machine, const std::string& name, const std::string& governor,
                const std::string& offered = "performance powersave schedutil \n") {
    machine.write(kFolder + name + "/scaling_governor", governor + "\n");
    machine.write(kFolder + name + "/scaling_available_governors", offered);
}

std::string governor_of(const FakeMachine& machine, const std::string& policy) {
    return machine.read(kFolder + policy + "/scaling_governor");
}

Request asking(const std::string& governor) {
    Request request;
    request.arguments = arguments_for(kRow, "{\"governor\":\"" + governor + "\"}");
    return request;
}

}  // namespace

TEST_CASE("the governor is set on every policy and read back") {
    const FakeMachine machine;
    add_policy(machine, "policy0", "powersave");
    add_policy(machine, "policy4", "powersave");
    const auto report = carry_out_here(kRow, asking("schedutil"));
    CHECK(report.code == Code::ok);
    CHECK(report.verdict == Verdict::healed);
    CHECK(report.output == "CPU governor set to schedutil");
    CHECK(report.facts.text("old_governor") == "powersave");
    CHECK(report.facts.integer("policies") == 2);
    CHECK(governor_of(machine, "policy0") == "schedutil\n");
    CHECK(governor_of(machine, "policy4") == "schedutil\n");
}

TEST_CASE("a governor that one policy does not offer is refused and none is changed") {
    const FakeMachine machine;
    add_policy(machine, "policy0", "powersave");
    add_policy(machine, "policy4", "powersave", "performance powersave\n");
    const auto report = carry_out_here(kRow, asking("schedutil"));
    CHECK(report.code == Code::parameters_invalid);
    CHECK(report.error.value_or("").find("Invalid governor: schedutil") == 0);
    CHECK(governor_of(machine, "policy0") == "powersave\n");
}

TEST_CASE("a part of a governor name or a path is no governor") {
    const FakeMachine machine;
    add_policy(machine, "policy0", "powersave");
    for (const auto* const name : {"power", "powersave perf", "../x", "POWERSAVE", "powersave\\n"}) {
        CAPTURE(name);
        CHECK(carry_out_here(kRow, asking(name)).code == Code::parameters_invalid);
    }
}

TEST_CASE("when one policy cannot be written the others get their old governor back") {
    const FakeMachine machine;
    add_policy(machine, "policy0", "powersave");
    add_policy(machine, "policy1", "schedutil");
    add_policy(machine, "policy2", "powersave");
    std::filesystem::permissions(machine.path(kFolder + "policy2/scaling_governor"), std::filesystem::perms(0444));
    add_policy(machine, "policy3", "powersave");
    auto request = asking("schedutil");
    const auto report = in_worker(kRow, request, [](Request&, pid_t) { become_nobody(); });
    CHECK(report.code == "action_failed");
    CHECK(report.verdict == "unchanged");
    CHECK(report.error.find("policy2") != std::string::npos);
    CHECK(report.facts.find("policy0=powersave policy1=schedutil") != std::string::npos);
    CHECK(governor_of(machine, "policy0") == "powersave\n");
    CHECK(governor_of(machine, "policy1") == "schedutil\n");
    CHECK(governor_of(machine, "policy3") == "powersave\n");
}

TEST_CASE("A40: a governor that does not stay is not healed and the old ones return") {
    const FakeMachine machine;
    add_policy(machine, "policy0", "powersave");
    add_policy(machine, "policy1", "powersave");
    auto request = asking("schedutil");
    request.progress = [&](std::string_view line) {
        if (line == "verifying") add_policy(machine, "policy1", "userspace");
    };
    const auto report = carry_out_here(kRow, request);
    CHECK(report.code == Code::not_healed);
    CHECK(report.verdict == Verdict::unchanged);
    CHECK(report.error == "policy1 reads userspace");
    CHECK(governor_of(machine, "policy0") == "powersave\n");
    CHECK(governor_of(machine, "policy1") == "powersave\n");
}

TEST_CASE("a machine without frequency control says so") {
    const FakeMachine machine;
    CHECK(kRow.missing({}).value_or("").find("no CPU here has frequency control") == 0);
    CHECK(carry_out_here(kRow, asking("schedutil")).code == Code::unavailable);
    add_policy(machine, "policy0", "powersave");
    CHECK_FALSE(kRow.missing({}).has_value());
}
