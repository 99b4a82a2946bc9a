#include "actions/registry.h"

#include "support.h"

#include <algorithm>
#include <set>

using namespace luminous_healing;
using namespace luminous_healing::actions;

namespace {

Machine machine_of(uid_t uid, bool can_become_root, std::vector<std::string> capabilities = {}) {
    Machine machine;
    machine.uid = uid;
    machine.can_become_root = can_become_root;
    machine.landlock_abi = 3;
    machine.has_capability = [capabilities = std::move(capabilities)](std::string_view name) {
        return std::find(capabilities.begin(), capabilities.end(), name) != capabilities.end();
    };
    return machine;
}

Action plain_row(RunAs user, std::vector<std::string> capabilities = {}) {
    Action row;
    row.name = "test";
    row.privilege.user = user;
    row.privilege.user_name = "alice";
    row.privilege.capabilities = std::move(capabilities);
    return row;
}

policy::ActionPolicy command_policy() {
    policy::ActionPolicy policy;
    policy.name = ActionName("flush_dns");
    policy.timeout = 7s;
    policy.target_group = "flush_dns";
    policy.command = policy::CommandSettings{};
    policy.command->command = {"/usr/bin/resolvectl", "flush-caches"};
    return policy;
}

}  // namespace

TEST_CASE("every row is complete and its name is its own") {
    std::set<std::string> names;
    for (const auto& row : all()) {
        CAPTURE(row.name);
        CHECK(names.insert(row.name).second);
        const bool is_found = find(row.name) == &row;
        CHECK(is_found);
        CHECK_FALSE(row.summary.empty());
        CHECK_FALSE(row.verifies.empty());
        CHECK_FALSE(row.target_group.empty());
        const bool has_steps = row.check != nullptr && row.run != nullptr && row.verify != nullptr;
        CHECK(has_steps);
        CHECK(row.timeout > Micros{0});
    }
    CHECK(names.size() == 13);
}

TEST_CASE("a name that is not in the table is no action") {
    for (const auto* const name : {"", "restart", "restart_service ", "RESTART_SERVICE", "status"}) {
        CAPTURE(name);
        const bool found = find(name) != nullptr;
        CHECK_FALSE(found);
    }
}

TEST_CASE("a built-in row that runs as root holds no capability and every row is confined") {
    for (const auto& row : all()) {
        CAPTURE(row.name);
        const auto& privilege = row.privilege;
        CHECK(privilege.confined);
        CHECK_FALSE(privilege.network);
        CHECK(privilege.user != RunAs::named);
        CHECK(privilege.syscalls != SyscallClass::command);
        // The page on actions: vacuum_journal has CAP_DAC_OVERRIDE at most.
        const auto allowed =
            row.name == "vacuum_journal" ? std::vector<std::string>{"cap_dac_override"} : std::vector<std::string>{};
        for (const auto& capability : privilege.capabilities)
            CHECK(std::find(allowed.begin(), allowed.end(), capability) != allowed.end());
        CHECK(privilege.optional_capabilities ==
              (row.name == "kill_process" ? std::vector<std::string>{"cap_kill"} : std::vector<std::string>{}));
    }
}

TEST_CASE("every parameter is described and every default would be accepted if it were given") {
    for (const auto& row : all()) {
        for (const auto& spec : row.parameters) {
            CAPTURE(row.name);
            CAPTURE(spec.name);
            CHECK_FALSE(spec.description.empty());
            if (!spec.default_value) continue;
            CHECK_FALSE(spec.required);
            const bool quoted = spec.type == policy::ParameterType::string || spec.type == policy::ParameterType::unit;
            const std::string value = quoted ? "\"" + *spec.default_value + "\"" : *spec.default_value;
            const auto object = protocol::read_json_object("{\"" + spec.name + "\":" + value + "}", 1000);
            REQUIRE(object);
            CHECK(policy::check_parameters({spec}, object->members));
        }
        if (row.target_parameter.empty()) continue;
        CHECK(std::any_of(row.parameters.begin(), row.parameters.end(),
                          [&](const auto& spec) { return spec.name == row.target_parameter; }));
    }
}

TEST_CASE("a row is unavailable with the reason when the daemon cannot give what it needs") {
    const auto reason = [](const Action& row, const Machine& machine) {
        return unavailable(row, machine).value_or("works");
    };
    CHECK(reason(plain_row(RunAs::daemon), machine_of(1000, false)) == "works");
    CHECK(reason(plain_row(RunAs::root), machine_of(0, false)) == "works");
    CHECK(reason(plain_row(RunAs::root), machine_of(1000, true)) == "works");
    CHECK(reason(plain_row(RunAs::root), machine_of(1000, false)).find("it runs as root") == 0);
    CHECK(reason(plain_row(RunAs::named), machine_of(1000, false)).find("it runs as alice") == 0);
    CHECK(reason(plain_row(RunAs::named), machine_of(0, false)).find("it runs as alice") == 0);
    CHECK(reason(plain_row(RunAs::daemon, {"cap_kill"}), machine_of(1000, true)).find("it needs cap_kill") == 0);
    CHECK(reason(plain_row(RunAs::daemon, {"cap_kill"}), machine_of(1000, true, {"cap_kill"})) == "works");
    auto optional = plain_row(RunAs::daemon);
    optional.privilege.optional_capabilities = {"cap_kill"};
    CHECK(reason(optional, machine_of(1000, false)) == "works");
}

TEST_CASE("a row that insists on Landlock does not run without it") {
    auto row = plain_row(RunAs::daemon);
    row.privilege.without_landlock = false;
    auto machine = machine_of(0, true);
    CHECK_FALSE(unavailable(row, machine));
    machine.landlock_abi = 0;
    CHECK(unavailable(row, machine));
    row.privilege.confined = false;  // it was told to do without
    CHECK_FALSE(unavailable(row, machine));
}

TEST_CASE("what the action itself misses is asked last") {
    auto row = plain_row(RunAs::daemon);
    row.missing = [](const Machine&) { return std::optional<std::string>("no such thing here"); };
    CHECK(unavailable(row, machine_of(1000, false)) == "no such thing here");
}

TEST_CASE("a command action gets the least unless the configuration says more") {
    auto policy = command_policy();
    const auto least = command_row(policy);
    CHECK(least.name == "flush_dns");
    CHECK(least.timeout == Micros(7s));
    CHECK(least.privilege.user == RunAs::daemon);
    CHECK(least.privilege.capabilities.empty());
    CHECK(least.privilege.writes.empty());
    CHECK(least.privilege.syscalls == SyscallClass::command);
    CHECK_FALSE(least.privilege.network);
    CHECK(least.privilege.confined);
    policy.command->run_as = "podman";
    policy.command->capabilities = {"cap_net_admin"};
    policy.command->writes = {"/var/lib/x"};
    policy.command->network = true;
    policy.command->confine = false;
    const auto more = command_row(policy);
    CHECK(more.privilege.user == RunAs::named);
    CHECK(more.privilege.user_name == "podman");
    CHECK(more.privilege.capabilities == std::vector<std::string>{"cap_net_admin"});
    CHECK(more.privilege.writes == std::vector<std::string>{"/var/lib/x"});
    CHECK(more.privilege.network);
    CHECK_FALSE(more.privilege.confined);
    policy.command->run_as = "root";
    CHECK(command_row(policy).privilege.user == RunAs::root);
}
