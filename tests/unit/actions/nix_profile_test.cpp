#include "actions/nix_profile.h"

#include <doctest/doctest.h>

#include <filesystem>

#include "support.h"

using namespace luminous_healing;
using namespace luminous_healing::actions;
using Numbers = std::vector<std::int64_t>;

namespace {

constexpr Micros kNow = std::chrono::hours(24 * 1000);

// Each generation by its age in days; the last is current and running.
std::vector<Generation> made(const std::vector<int>& ages) {
    std::vector<Generation> all;
    for (const int age : ages) {
        Generation generation;
        generation.number = static_cast<std::int64_t>(all.size()) + 1;
        generation.made = kNow - std::chrono::hours(24 * age);
        all.push_back(generation);
    }
    all.back().current = all.back().running = true;
    return all;
}

}  // namespace

TEST_CASE("a generation is known by the name of its link and by no other name") {
    CHECK(generation_number("system-42-link", "system") == 42);
    for (const char* const name : {"system", "system--link", "system-link", "system-4x-link", "system-0-link",
                                   "system--4-link", "systems-42-link", "system-42-links", "system-42", "x-42-link"})
        CHECK_FALSE(generation_number(name, "system"));
}

TEST_CASE("A32: only generations that are old and not among the newest are deleted") {
    const auto all = made({90, 60, 30, 20, 10, 1});
    CHECK(generations_to_delete(all, kNow, 14, 3) == Numbers{1, 2, 3});
    CHECK(generations_to_delete(all, kNow, 14, 1) == Numbers{1, 2, 3, 4});
    CHECK(generations_to_delete(all, kNow, 45, 1) == Numbers{1, 2});
    CHECK(generations_to_delete(all, kNow, 14, 9).empty());
}

TEST_CASE("A32: the current and the running and the booted generation are kept whatever their age") {
    auto all = made({90, 80, 70, 60, 50, 40});
    for (auto& generation : all) generation.current = generation.running = false;
    all[0].booted = true;
    all[1].current = true;
    all[2].running = true;
    CHECK(generations_to_delete(all, kNow, 1, 1) == Numbers{4, 5});
}

TEST_CASE("a clock that was set back deletes nothing") {
    CHECK(generations_to_delete(made({-5, -3, -1, -1, -1}), kNow, 1, 1).empty());
}

TEST_CASE("a rollback goes to the highest number below the current one") {
    auto all = made({9, 8, 7, 6});
    CHECK(rollback_target(all, {})->number == 3);
    all.erase(all.begin() + 2);
    CHECK(rollback_target(all, {})->number == 2);
    CHECK_FALSE(rollback_target(made({1}), {}));
    CHECK_FALSE(rollback_target({}, {}));
}

TEST_CASE("a rollback goes to the number asked for if that is there and not the present one") {
    const auto all = made({9, 8, 7});
    CHECK(rollback_target(all, 1)->number == 1);
    CHECK_FALSE(rollback_target(all, 3));
    CHECK_FALSE(rollback_target(all, 4));
}

TEST_CASE("generations are read from the links of the profile") {
    const test::FakeMachine machine;
    namespace fs = std::filesystem;
    fs::create_directories(machine.path("/nix/var/nix/profiles"));
    fs::create_directories(machine.path("/run"));
    const auto link = [&](const char* target, const char* at) { fs::create_symlink(target, machine.path(at)); };
    link("/nix/store/a", "/nix/var/nix/profiles/system-9-link");
    link("/nix/store/b", "/nix/var/nix/profiles/system-10-link");
    link("/nix/store/c", "/nix/var/nix/profiles/default-1-link");
    link("system-10-link", "/nix/var/nix/profiles/system");
    link("/nix/store/a", "/run/booted-system");
    link("/nix/store/b", "/run/current-system");
    const auto found = system_generations();
    REQUIRE(found);
    REQUIRE(found->size() == 2);
    CHECK((*found)[0].number == 9);
    CHECK((*found)[0].booted);
    CHECK_FALSE((*found)[0].current);
    CHECK((*found)[1].current);
    CHECK((*found)[1].running);
}

TEST_CASE("a machine without profiles has no generations") {
    const test::FakeMachine machine;
    REQUIRE(system_generations());
    CHECK(system_generations()->empty());
}
