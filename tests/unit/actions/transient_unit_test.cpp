#include "actions/transient_unit.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "policy/unit_name.h"

using namespace luminous_healing;
using namespace luminous_healing::actions;

namespace {

const BusValue* property(const BusProperties& properties, std::string_view name) {
    const auto found =
        std::find_if(properties.begin(), properties.end(), [&](const auto& each) { return each.first == name; });
    return found == properties.end() ? nullptr : &found->second;
}

template <class T>
T value(const BusProperties& properties, std::string_view name) {
    const auto* const found = property(properties, name);
    REQUIRE_MESSAGE(found != nullptr, std::string(name));
    return std::get<T>(*found);
}

TransientWork some_work() {
    TransientWork work;
    work.description = "a test";
    work.argvs = {{"/usr/bin/true", "a"}, {"/usr/bin/false"}};
    work.sandbox.writes = {"/nix"};
    return work;
}

}  // namespace

TEST_CASE("the longest request id still makes a valid unit name that no entry of the policy reaches") {
    for (const std::string& id : {std::string(128, 'x'), std::string("9f1c-2.a_b:C")}) {
        const std::string name = transient_unit_name(id);
        CHECK(policy::is_valid_unit_name(name));
        CHECK(policy::is_own_unit(name));
        CHECK(name == "luminous-healing-run-" + id + ".service");
        CHECK(transient_unit_name(id, "undo") != name);
    }
}

TEST_CASE("A31: a transient unit stays after its end so that its outcome can be read later") {
    const auto properties = transient_properties(some_work(), {});
    CHECK(value<std::string>(properties, "Type") == "oneshot");
    CHECK(value<bool>(properties, "RemainAfterExit"));
    CHECK(property(properties, "CollectMode") == nullptr);
    CHECK(value<Commands>(properties, "ExecStart").argvs == some_work().argvs);
}

TEST_CASE("A42: a transient unit has no terminal and no pager") {
    const auto properties = transient_properties(some_work(), {});
    CHECK(value<std::string>(properties, "StandardInput") == "null");
    const auto environment = value<std::vector<std::string>>(properties, "Environment");
    CHECK(std::count(environment.begin(), environment.end(), "SYSTEMD_PAGER=") == 1);
    CHECK(std::count(environment.begin(), environment.end(), "PAGER=cat") == 1);
}

TEST_CASE("a sandboxed unit holds no capability and no network and writes what it names alone") {
    const auto properties = transient_properties(some_work(), {});
    CHECK(value<std::uint64_t>(properties, "CapabilityBoundingSet") == 0);
    CHECK(value<bool>(properties, "NoNewPrivileges"));
    CHECK(value<bool>(properties, "PrivateNetwork"));
    CHECK(value<std::string>(properties, "ProtectSystem") == "strict");
    CHECK(value<std::vector<std::string>>(properties, "ReadWritePaths") == std::vector<std::string>{"-/nix"});
    CHECK(value<AllowList>(properties, "RestrictAddressFamilies").names == std::vector<std::string>{"AF_UNIX"});
}

TEST_CASE("what check noted travels in the unit as JSON") {
    Facts facts;
    facts.set("generation_before", std::int64_t{12});
    facts.set("text", "a \"quoted\" one");
    const auto environment = value<std::vector<std::string>>(transient_properties(some_work(), facts), "Environment");
    CHECK(environment.back() == "LUMINOUS_HEALING_FACTS=" + facts.to_json());
}

namespace {

std::vector<std::string> members_of(const std::vector<BusCall>& calls) {
    std::vector<std::string> members;
    for (const auto& call : calls) members.emplace_back(call.method.member);
    return members;
}

}  // namespace

TEST_CASE("A31: adopted work may be forgotten and taken back, and not begun a second time") {
    const policy::Arguments arguments;
    const policy::ActionPolicy policy;
    const policy::DaemonSettings settings;
    Context context{arguments, policy, settings, "id", now().boot + 10s, [](std::string_view) {}};
    using Members = std::vector<std::string>;
    CHECK(members_of(transient_calls(context, some_work())) ==
          Members{"StopUnit", "ResetFailedUnit", "StartTransientUnit"});
    const auto both = transient_calls_with_way_back(context, some_work(), some_work());
    CHECK(members_of(both) == Members{"StopUnit", "ResetFailedUnit", "StartTransientUnit"});
    CHECK(members_of(both.back().then("/job/1")) == Members{"StopUnit", "ResetFailedUnit", "StartTransientUnit"});
    context.facts.set("adopted", true);
    CHECK(members_of(transient_calls(context, some_work())) == Members{"StopUnit", "ResetFailedUnit"});
    const auto adopted = transient_calls_with_way_back(context, some_work(), some_work());
    REQUIRE(adopted.size() == 5);
    CHECK(std::get<std::string>(std::get<BusValue>(adopted.back().arguments.front())) ==
          transient_unit_name("id", "undo"));
}

TEST_CASE("a program is found as an absolute path and by no path of its own") {
    const auto found = find_program("sh");
    REQUIRE(found);
    CHECK(found->front() == '/');
    CHECK_FALSE(find_program("no-such-program-here"));
    CHECK_FALSE(find_program(""));
}
