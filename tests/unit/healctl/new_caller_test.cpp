#include "healctl/new_caller.h"

#include "healctl/checkup.h"

#include <doctest/doctest.h>

using namespace luminous_healing;
using namespace luminous_healing::healctl;

namespace {

policy::Config config_with(const std::string& caller, const std::string& action) {
    policy::Config config;
    config.file = "/etc/c.toml";
    config.callers[CallerName(caller)].name = CallerName(caller);
    config.actions[ActionName(action)].name = ActionName(action);
    return config;
}

std::string why_not(const NewCaller& caller) {
    const auto tables = tables_of(caller, config_with("root", "flush_dns"));
    return tables ? "accepted:" + *tables : tables.error().message;
}

}  // namespace

TEST_CASE("a new caller gets its table, and actions not enabled so far get theirs") {
    const NewCaller caller{
        "mona", {"mona", "1000"}, {"restart_service", "flush_dns", "clear_system_cache"}, {"nginx", "a-*.service"}};
    CHECK(*tables_of(caller, config_with("root", "flush_dns")) ==
          "\n[callers.mona]\nkey = \"mona\"\nusers = [\"mona\", 1000]\n"
          "actions = [\"restart_service\", \"flush_dns\", \"clear_system_cache\"]\n"
          "\n[actions.restart_service]\nunits = [\"nginx\", \"a-*.service\"]\n"
          "\n[actions.clear_system_cache]\n");
}

TEST_CASE("a caller without actions may ask for status and nothing else") {
    CHECK(tables_of({"mona", {"mona"}, {}, {}}, config_with("root", "flush_dns"))->find("actions = [\"status\"]") !=
          std::string::npos);
}

TEST_CASE("a uid is written as TOML writes numbers") {
    CHECK(tables_of({"mona", {"007"}, {}, {}}, config_with("root", "flush_dns"))->find("users = [7]") !=
          std::string::npos);
}

TEST_CASE("a name is written so that it can never be more than a name") {
    CHECK(tables_of({"a.b", {"mona"}, {}, {}}, config_with("root", "x"))->find("[callers.\"a.b\"]") !=
          std::string::npos);
    CHECK(tables_of({"a]\n[daemon", {"mona"}, {}, {}}, config_with("root", "x"))->find("[callers.\"a]") !=
          std::string::npos);
}

TEST_CASE("what cannot be added is refused with what to give instead") {
    CHECK(why_not({"root", {"root"}, {}, {}}).find("there is a caller root already") == 0);
    CHECK(why_not({"mona", {"mona"}, {"restart_service"}, {}}).find("--unit") != std::string::npos);
    CHECK(why_not({"mona", {"mona"}, {"restart_servce"}, {}}).find("neither enabled nor built in") !=
          std::string::npos);
}

TEST_CASE("the command in a message is what stands after its last Run") {
    CHECK(command_in("x can be changed by others. Run: chmod go-w x") == "chmod go-w x");
    CHECK(command_in("x is wrong. Write y instead").empty());
}
