#include "policy/unit_name.h"

#include <doctest/doctest.h>

using namespace luminous_healing::policy;

namespace {

std::string normalised(std::string_view written) {
    const auto name = normalise_unit_name(written);
    return name ? *name : "refused";
}

UnitAccess access(std::string_view name, const std::vector<std::string>& entries) {
    return check_unit(name, entries, default_protected_units());
}

}  // namespace

TEST_CASE("A07: unit names are accepted by the rules of systemd") {
    const std::pair<const char*, const char*> cases[] = {
        {"nginx", "nginx.service"},
        {"nginx.service", "nginx.service"},
        {"getty@tty1", "getty@tty1.service"},
        {"getty@tty1.service", "getty@tty1.service"},
        {"foo\\x2dbar.service", "foo\\x2dbar.service"},
        {"dev-disk-by\\x2duuid-1.swap", "dev-disk-by\\x2duuid-1.swap"},
        {"a.b.c", "a.b.c.service"},
        {"nginx.timer", "nginx.timer"},
        {"foo@bar@baz.service", "foo@bar@baz.service"},
        {"foo@.bar.service", "foo@.bar.service"},
        {"foo@.bar", "foo@.bar.service"},
        {"a:b_c-d.service", "a:b_c-d.service"},
        {"0.service", "0.service"},
        {"app.SERVICE", "app.SERVICE.service"},
        {"x.service.d", "x.service.d.service"},
        {"org.freedesktop.Foo", "org.freedesktop.Foo.service"},
    };
    for (const auto& [written, name] : cases) {
        CAPTURE(written);
        CHECK(normalised(written) == name);
        CHECK(is_valid_unit_name(name));
        CHECK(normalised(name) == name);
    }
}

TEST_CASE("A07: what systemd would refuse is refused") {
    for (const auto* const written : {"",
                                      ".service",
                                      "@.service",
                                      "@tty1.service",
                                      "@",
                                      "a b",
                                      "a b.service",
                                      "a/b",
                                      "../a.service",
                                      "/etc/passwd",
                                      "a\n",
                                      "a\nb.service",
                                      "a\tb",
                                      "caf\xc3\xa9.service",
                                      "\xff.service",
                                      "a;b",
                                      "a$b",
                                      "a'b",
                                      "a\"b",
                                      "a,b",
                                      "a+b",
                                      "a%i.service",
                                      "a*.service",
                                      "a?.service",
                                      "[a].service",
                                      "~a",
                                      "#a",
                                      "a=b",
                                      "a|b",
                                      "a&b"}) {
        CAPTURE(written);
        CHECK(normalised(written) == "refused");
    }
    CHECK(normalised(std::string_view("a\0.service", 10)) == "refused");
    CHECK(normalised(std::string_view("nginx.service\0", 14)) == "refused");
}

TEST_CASE("A06: a name that would be an option is refused") {
    for (const auto* const written : {"-Hevil", "--no-block", "-", "-.mount", "-.slice", "-a.service"}) {
        CAPTURE(written);
        CHECK(normalised(written) == "refused");
    }
}

TEST_CASE("a template without an instance is refused") {
    for (const auto* const written : {"getty@.service", "getty@", "foo@.timer"}) {
        CAPTURE(written);
        const auto name = normalise_unit_name(written);
        REQUIRE_FALSE(name);
        CHECK(name.error().message.find("template") != std::string::npos);
    }
}

TEST_CASE("a type that has no instances has no name with an @") {
    for (const std::string type : {"mount", "automount", "swap", "device", "slice", "scope"}) {
        CAPTURE(type);
        CHECK(normalised("x@1." + type) == "refused");
        CHECK_FALSE(is_valid_unit_name("x@1." + type));
        CHECK(normalised("x." + type) == "x." + type);
    }
    for (const std::string type : {"service", "socket", "target", "timer", "path"})
        CHECK(normalised("x@1." + type) == "x@1." + type);
}

TEST_CASE("a unit name has at most 255 bytes with its suffix") {
    CHECK(normalised(std::string(247, 'a')).size() == 255);
    CHECK(normalised(std::string(248, 'a')) == "refused");
    CHECK(is_valid_unit_name(std::string(247, 'a') + ".service"));
    CHECK_FALSE(is_valid_unit_name(std::string(248, 'a') + ".service"));
    CHECK(normalised(std::string(100'000, 'a')) == "refused");
}

TEST_CASE("only the known types are types") {
    for (const auto* const type :
         {"service", "socket", "target", "device", "mount", "automount", "swap", "timer", "path", "slice", "scope"}) {
        CHECK(is_valid_unit_name(std::string("a.") + type));
    }
    for (const auto* const name : {"a", "a.", "a.Service", "a.services", "a.conf", "a.service ", "a.service."}) {
        CAPTURE(name);
        CHECK_FALSE(is_valid_unit_name(name));
    }
}

TEST_CASE("what a refused name is shown as is safe to print") {
    const auto name = normalise_unit_name("a\x1b[31m\nb");
    REQUIRE_FALSE(name);
    CHECK(name.error().message.find_first_of("\x1b\n") == std::string::npos);
}

TEST_CASE("an entry allows the units it names") {
    CHECK(access("nginx.service", {"nginx.service"}) == UnitAccess::allowed);
    CHECK(access("app-x.service", {"nginx.service", "app-*.service"}) == UnitAccess::allowed);
    CHECK(access("getty@tty1.service", {"getty@*.service"}) == UnitAccess::allowed);
    CHECK(access("apache2.service", {"nginx.service", "app-*.service"}) == UnitAccess::not_listed);
    CHECK(access("nginx.service", {}) == UnitAccess::not_listed);
    CHECK(access("nginx.service", {"nginx"}) == UnitAccess::not_listed);
    CHECK(access("nginx.socket", {"nginx.service"}) == UnitAccess::not_listed);
}

TEST_CASE("A08: a wildcard takes one name and nothing more") {
    const std::vector<std::string> entries{"app-*.service"};
    for (const auto* const name : {"app-x.service evil.service", "app-x.service\nevil.service", "app-/evil.service",
                                   "app-x.service ", " app-x.service", "app-x.socket", "app-x.service.service2",
                                   "xapp-x.service", "app-\xc3\xa4.service", "app-*;.service"}) {
        CAPTURE(name);
        CHECK(access(name, entries) == UnitAccess::not_listed);
    }
    CHECK(check_unit(std::string_view("app-\0.service", 13), entries, {}) == UnitAccess::not_listed);
}

TEST_CASE("a protected unit is reached by its full name and by no wildcard") {
    for (const auto* const unit :
         {"dbus.service", "dbus.socket", "systemd-journald.service", "user@1000.service", "ssh.service", "sshd.service",
          "polkit.service", "multi-user.target", "system.slice", "session-1.scope", "nix-daemon.service"}) {
        CAPTURE(unit);
        CHECK(access(unit, {"*"}) == UnitAccess::protected_unit);
        CHECK(access(unit, {"*.service", "*.socket", "*.target", "*.slice", "*.scope"}) == UnitAccess::protected_unit);
        CHECK(access(unit, {"*", unit}) == UnitAccess::allowed);
    }
    CHECK(access("systemd-journald.service", {"systemd-*"}) == UnitAccess::protected_unit);
    CHECK(access("nginx.service", {"*"}) == UnitAccess::allowed);
}

TEST_CASE("the units of the daemon itself are reached by nothing") {
    for (const auto* const unit :
         {"luminous-healing.service", "luminous-healing.socket", "luminous-healing-x.service"}) {
        CAPTURE(unit);
        CHECK(is_own_unit(unit));
        CHECK(check_unit(unit, {unit, "*"}, {}) == UnitAccess::protected_unit);
    }
    CHECK_FALSE(is_own_unit("luminous.service"));
    CHECK_FALSE(is_own_unit("luminous-healingd.service"));
}
