#include "actions/action.h"
#include "support.h"

using namespace luminous_healing;
using namespace luminous_healing::actions;
using namespace luminous_healing::actions::test;
using protocol::Code;
using protocol::Verdict;

namespace {

/// What the steps below noted that they did, in order.
std::string steps;

Result<void> check(Context& /*context*/) {
    steps += "check ";
    return {};
}
Result<std::string> run(Context& /*context*/) {
    steps += "run ";
    return "done";
}
template <Verdict verdict>
Verification found(Context& /*context*/) {
    steps += "verify ";
    return {verdict, "looked"};
}
Result<void> undo(Context& /*context*/) {
    steps += "undo ";
    return {};
}

Action row() {
    steps.clear();
    Action action;
    action.check = check;
    action.run = run;
    action.verify = found<Verdict::healed>;
    action.undo = undo;
    return action;
}

}  // namespace

TEST_CASE("the steps run in their order and undo only when it did not help") {
    const auto healed = carry_out_here(row(), {});
    CHECK(steps == "check run verify ");
    CHECK(healed.code == Code::ok);
    CHECK(healed.output == "done");
    CHECK_FALSE(healed.error);
    for (const auto verify : {found<Verdict::unchanged>, found<Verdict::worse>}) {
        auto action = row();
        action.verify = verify;
        const auto report = carry_out_here(action, {});
        CHECK(steps == "check run verify undo ");
        CHECK(report.code == Code::not_healed);
        CHECK(report.error == "looked");
    }
}

TEST_CASE("what cannot be verified is no failure and not called healed") {
    auto action = row();
    action.verify = nullptr;
    const auto report = carry_out_here(action, {});
    CHECK(report.code == Code::ok);
    CHECK(report.verdict == Verdict::unverifiable);
    CHECK(steps == "check run ");
}

TEST_CASE("a check that fails stops everything and nothing has run") {
    auto action = row();
    action.check = [](Context&) -> Result<void> { return failed(Code::parameters_not_allowed, "no"); };
    const auto report = carry_out_here(action, {});
    CHECK(steps.empty());
    CHECK(report.code == Code::parameters_not_allowed);
    CHECK(report.error == "no");
    CHECK_FALSE(report.verdict);
}

TEST_CASE("a run that fails is undone and is unchanged") {
    auto action = row();
    action.run = [](Context&) -> Result<std::string> { return failed("broke"); };
    const auto report = carry_out_here(action, {});
    CHECK(steps == "check undo ");
    CHECK(report.code == Code::action_failed);
    CHECK(report.verdict == Verdict::unchanged);
    CHECK(report.error == "broke");
}

TEST_CASE("an undo that fails is told with the first failure") {
    auto action = row();
    action.run = [](Context&) -> Result<std::string> { return failed("broke"); };
    action.undo = [](Context&) -> Result<void> { return failed("stuck"); };
    const auto report = carry_out_here(action, {});
    CHECK(report.error == "broke; and putting it back failed: stuck");
    const auto* const undone = report.facts.find("undone");
    REQUIRE(undone != nullptr);
    CHECK_FALSE(std::get<bool>(*undone));
}

TEST_CASE("a plan is the check alone") {
    Request request;
    request.only_check = true;
    const auto report = carry_out_here(row(), request);
    CHECK(steps == "check ");
    CHECK(report.code == Code::ok);
    CHECK_FALSE(report.verdict);
}

TEST_CASE("facts keep their order and their latest value and are written as flat JSON") {
    Facts facts;
    facts.set("b", std::int64_t{1});
    facts.set("a", std::string("x\"\n"));
    facts.set("c", true);
    facts.set("b", std::int64_t{-2});
    CHECK(facts.to_json() == R"({"b":-2,"a":"x\"\n","c":true})");
    CHECK(facts.integer("b") == -2);
    CHECK(facts.integer("a") == 0);
    CHECK(facts.text("a") == "x\"\n");
    CHECK(facts.text("none").empty());
    CHECK(facts.find("none") == nullptr);
}
