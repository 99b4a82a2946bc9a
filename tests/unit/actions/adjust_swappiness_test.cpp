#include "actions/rows.h"
#include "support.h"

using namespace luminous_healing;
using namespace luminous_healing::actions;
using namespace luminous_healing::actions::test;
using protocol::Code;
using protocol::Verdict;

namespace {

constexpr auto kFile = "/proc/sys/vm/swappiness";
const Action kRow = adjust_swappiness();

Request asking(const std::string& json) {
    Request request;
    request.arguments = arguments_for(kRow, json);
    return request;
}

}  // namespace

TEST_CASE("swappiness is set and read back and the words are those of the prototype") {
    const FakeMachine machine;
    machine.write(kFile, "60\n");
    const auto report = carry_out_here(kRow, asking(R"({"value":10})"));
    CHECK(report.code == Code::ok);
    CHECK(report.verdict == Verdict::healed);
    CHECK(report.output == "Swappiness set to 10");
    CHECK(report.facts.integer("old_value") == 60);
    CHECK(report.facts.integer("value") == 10);
    CHECK(machine.read(kFile) == "10\n");
}

TEST_CASE("swappiness without a value is 60 as in the prototype") {
    CHECK(arguments_for(kRow, "{}").integer("value") == 60);
}

TEST_CASE("swappiness outside 0 to 200 or in another form is refused before anything runs") {
    for (const auto* const given : {"-1", "201", "4294967296", "1e2", "10.0", "\"10\"", "true", "null", "[10]"}) {
        CAPTURE(given);
        const auto object = protocol::read_json_object(std::string("{\"value\":") + given + "}", 65536);
        REQUIRE(object);
        const auto checked = policy::check_parameters(kRow.parameters, object->members);
        REQUIRE_FALSE(checked);
        CHECK(checked.error().code == Code::parameters_invalid);
    }
    CHECK(arguments_for(kRow, R"({"value":0})").integer("value") == 0);
    CHECK(arguments_for(kRow, R"({"value":200})").integer("value") == 200);
}

TEST_CASE("A40: a swappiness that does not read back is not healed and the old value returns") {
    const FakeMachine machine;
    machine.write(kFile, "60\n");
    auto request = asking(R"({"value":10})");
    request.progress = [&](std::string_view line) {
        if (line == "verifying") machine.write(kFile, "99\n");
    };
    const auto report = carry_out_here(kRow, request);
    CHECK(report.code == Code::not_healed);
    CHECK(report.verdict == Verdict::unchanged);
    CHECK(report.error == "swappiness reads 99 and not 10");
    CHECK(machine.read(kFile) == "60\n");
}

TEST_CASE("a plan of swappiness tells the old value and writes nothing") {
    const FakeMachine machine;
    machine.write(kFile, "60\n");
    auto request = asking(R"({"value":10})");
    request.only_check = true;
    const auto report = carry_out_here(kRow, request);
    CHECK(report.code == Code::ok);
    CHECK_FALSE(report.verdict);
    CHECK(report.facts.integer("old_value") == 60);
    CHECK(machine.read(kFile) == "60\n");
}

TEST_CASE("swappiness is unavailable where the kernel has no such file") {
    const FakeMachine machine;
    CHECK(kRow.missing({}).has_value());
    machine.write(kFile, "60\n");
    CHECK_FALSE(kRow.missing({}).has_value());
}

TEST_CASE("uid 0 without any capability may set the real swappiness and put it back") {
    const auto before = read_machine_file(kFile);
    if (::geteuid() != 0 || !before || never_writable(kFile)) return;  // only root on a writable /proc can tell
    const std::string other = *before == "61" ? "62" : "61";
    const auto without_capabilities = [](Request&, pid_t) { drop_all_capabilities(); };
    const auto changed = in_worker(kRow, asking("{\"value\":" + other + "}"), without_capabilities);
    CHECK(read_machine_file(kFile).value_or("") == other);
    const auto restored = in_worker(kRow, asking("{\"value\":" + *before + "}"), without_capabilities);
    CHECK(changed.code == "ok");
    CHECK(changed.verdict == "healed");
    CHECK(restored.code == "ok");
    CHECK(read_machine_file(kFile).value_or("") == *before);
}

TEST_CASE("another user may not set the real swappiness and is told why") {
    if (::geteuid() != 0) return;
    const auto refused = in_worker(kRow, asking(R"({"value":61})"), [](Request&, pid_t) { become_nobody(); });
    CHECK(refused.code == "action_failed");
    CHECK(refused.error.find("Permission denied") != std::string::npos);
}
