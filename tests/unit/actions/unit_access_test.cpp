#include "actions/unit_access.h"

#include <doctest/doctest.h>

#include "policy/unit_name.h"

using namespace luminous_healing;
using luminous_healing::actions::forbidden_name;
using Names = std::vector<std::string>;

namespace {

const Names& kProtected = policy::default_protected_units();

}  // namespace

TEST_CASE("an ordinary unit is allowed under all its names") {
    CHECK_FALSE(forbidden_name({"nginx.service"}, {"*"}, kProtected));
    CHECK_FALSE(forbidden_name({"app.service", "application.service"}, {"app.service"}, kProtected));
}

TEST_CASE("an alias does not reach a protected unit even when the policy spells the alias out") {
    CHECK(forbidden_name({"web.service", "ssh.service"}, {"web.service"}, kProtected) == "ssh.service");
    CHECK(forbidden_name({"harmless.service", "systemd-logind.service"}, {"*"}, kProtected) ==
          "systemd-logind.service");
}

TEST_CASE("a protected unit that the policy spells out is allowed although its alias is protected too") {
    CHECK_FALSE(forbidden_name({"ssh.service", "sshd.service"}, {"ssh.service"}, kProtected));
    CHECK(forbidden_name({"ssh.service", "sshd.service"}, {"ssh*"}, kProtected));
}

TEST_CASE("a unit of our own is forbidden whatever the policy spells out") {
    const Names entries{"luminous-healing.service", "innocent.service", "luminous-healing-run-1.service"};
    CHECK(forbidden_name({"innocent.service", "luminous-healing.service"}, entries, kProtected));
    CHECK(forbidden_name({"luminous-healing-run-1.service"}, entries, {}));
}
