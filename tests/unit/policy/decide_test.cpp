#include "policy/decide.h"

#include <doctest/doctest.h>

#include <algorithm>

using namespace luminous_healing;
using namespace luminous_healing::policy;
using protocol::Code;

namespace {

constexpr auto kCallerRule = "config.toml:10";
constexpr auto kActionRule = "config.toml:20";
const BootTime kNow{Micros(1000s)};

/// A policy with one caller, whom everything is allowed, and a request that is granted; each test spoils one thing.
struct Scene {
    Config config;
    protocol::Request request;
    protocol::Peer peer{.uid = 1000, .gid = 1000, .pid = 42};
    Limiter limiter;
    Situation situation;

    Scene() {
        config.file = "config.toml";
        config.daemon.protected_units = {"systemd-*"};
        ActionPolicy action;
        action.name = ActionName("restart_service");
        action.where = kActionRule;
        action.parameters = {{.name = "service", .type = ParameterType::unit}};
        action.units = {"nginx.service", "*.service"};
        action.target_group = "unit";
        action.target_parameter = "service";
        config.actions.emplace(action.name, action);
        CallerPolicy policy;
        policy.name = CallerName("self-healing");
        policy.where = kCallerRule;
        policy.users = {1000};
        policy.actions = {action.name};
        config.callers.emplace(policy.name, policy);
        situation.now = {{}, kNow};
        situation.host_name = "host-1";
        situation.machine_id = "0123456789abcdef";
        give("nginx");
        request.action = action.name;
    }
    CallerPolicy& caller() { return config.callers.begin()->second; }
    ActionPolicy& action() { return config.actions.begin()->second; }
    void give(const std::string& unit) {
        protocol::JsonMember member;
        member.name = "service";
        member.value.kind = protocol::Json::Kind::string;
        member.value.text = unit;
        request.parameters = {member};
    }
    tl::expected<Grant, Denial> decide(std::vector<Check>* trace = nullptr) {
        return policy::decide(config, caller(), request, peer, limiter, situation, trace);
    }
    Denial denial() {
        auto outcome = decide();
        REQUIRE_FALSE(outcome);
        return outcome.error();
    }
};

}  // namespace

TEST_CASE("a request that everything allows is granted with its arguments and target") {
    Scene scene;
    const auto grant = scene.decide();
    REQUIRE(grant);
    CHECK(grant->caller().name.str() == "self-healing");
    CHECK(grant->action().name.str() == "restart_service");
    CHECK(grant->arguments().text("service") == "nginx.service");
    CHECK(grant->target() == "unit:nginx.service");
    CHECK(grant->timeout() == Micros(30s));
    CHECK(grant->rule() == kCallerRule);
    CHECK(grant->at() == kNow);
}

TEST_CASE("each denial has its code and the rule that decided") {
    struct Case {
        const char* what;
        Code code;
        std::string rule;
        void (*spoil)(Scene&);
    };
    const Case cases[] = {
        {"stopping", Code::shutting_down, "", [](Scene& s) { s.situation.shutting_down = true; }},
        {"other uid", Code::peer_not_allowed, kCallerRule, [](Scene& s) { s.peer.uid = 1001; }},
        {"root is no exception", Code::peer_not_allowed, kCallerRule, [](Scene& s) { s.peer.uid = 0; }},
        {"no users at all", Code::peer_not_allowed, kCallerRule, [](Scene& s) { s.caller().users.clear(); }},
        {"other host", Code::peer_not_allowed, "", [](Scene& s) { s.request.audience = "host-2"; }},
        {"empty audience", Code::peer_not_allowed, "", [](Scene& s) { s.request.audience = ""; }},
        {"unknown action", Code::action_unknown, "config.toml", [](Scene& s) { s.request.action = ActionName("fly"); }},
        {"prefix of an action", Code::action_unknown, "config.toml",
         [](Scene& s) { s.request.action = ActionName("restart"); }},
        {"not for this caller", Code::action_not_allowed, kCallerRule, [](Scene& s) { s.caller().actions.clear(); }},
        {"cannot work here", Code::unavailable, kActionRule,
         [](Scene& s) {
             s.situation.unavailable = [](const ActionName&) { return std::optional<std::string>("why"); };
         }},
        {"parameter missing", Code::parameters_invalid, kActionRule, [](Scene& s) { s.request.parameters.clear(); }},
        {"unit name invalid", Code::parameters_invalid, kActionRule, [](Scene& s) { s.give("-Hevil"); }},
        {"unit not listed", Code::parameters_not_allowed, kActionRule, [](Scene& s) { s.give("nginx.timer"); }},
        {"no units at all", Code::parameters_not_allowed, kActionRule, [](Scene& s) { s.action().units.clear(); }},
        {"protected unit", Code::parameters_not_allowed, kActionRule, [](Scene& s) { s.give("systemd-journald"); }},
        {"own unit", Code::parameters_not_allowed, kActionRule, [](Scene& s) { s.give("luminous-healing"); }},
        {"busy", Code::busy, kActionRule,
         [](Scene& s) {
             s.situation.is_busy = [](const std::string& target) { return target == "unit:nginx.service"; };
         }},
        {"workers full", Code::busy, "", [](Scene& s) { s.situation.workers_full = true; }},
        {"action over budget", Code::rate_limited, kActionRule, [](Scene& s) { s.action().rate_limit.limit = 0; }},
        {"caller over budget", Code::rate_limited, kCallerRule,
         [](Scene& s) { s.caller().rate_limit = RateLimit{.limit = 0, .window = 1min}; }},
    };
    for (const auto& each : cases) {
        CAPTURE(each.what);
        Scene scene;
        each.spoil(scene);
        const Denial denial = scene.denial();
        CHECK(denial.code == each.code);
        CHECK(denial.rule == each.rule);
        CHECK_FALSE(denial.detail.empty());
        CHECK(denial.retry_after.has_value() == (each.code == Code::busy || each.code == Code::rate_limited));
    }
}

TEST_CASE("the first failing check decides in the order of the pipeline") {
    // Everything is wrong; one after the other is mended, from the first check on.
    Scene scene;
    scene.situation.shutting_down = true;
    scene.peer.uid = 1001;
    scene.request.audience = "host-2";
    scene.request.action = ActionName("fly");
    scene.caller().actions.clear();
    scene.situation.unavailable = [](const ActionName&) { return std::optional<std::string>("why"); };
    scene.give("a b");
    scene.situation.is_busy = [](const std::string&) { return true; };
    scene.situation.workers_full = true;
    scene.action().rate_limit.limit = 0;
    const std::pair<Code, void (*)(Scene&)> steps[] = {
        {Code::shutting_down, [](Scene& s) { s.situation.shutting_down = false; }},
        {Code::peer_not_allowed, [](Scene& s) { s.peer.uid = 1000; }},
        {Code::peer_not_allowed, [](Scene& s) { s.request.audience = "0123456789abcdef"; }},
        {Code::action_unknown, [](Scene& s) { s.request.action = ActionName("restart_service"); }},
        {Code::action_not_allowed, [](Scene& s) { s.caller().actions = {ActionName("restart_service")}; }},
        {Code::unavailable, [](Scene& s) { s.situation.unavailable = {}; }},
        {Code::parameters_invalid, [](Scene& s) { s.give("nginx.socket"); }},
        {Code::parameters_not_allowed, [](Scene& s) { s.give("nginx"); }},
        {Code::busy, [](Scene& s) { s.situation.is_busy = {}; }},
        {Code::busy, [](Scene& s) { s.situation.workers_full = false; }},
        {Code::rate_limited, [](Scene& s) { s.action().rate_limit.limit = 10; }},
    };
    for (const auto& [code, mend] : steps) {
        CHECK(name_of(scene.denial().code) == name_of(code));
        mend(scene);
    }
    CHECK(scene.decide());
}

TEST_CASE("A04: a uid above INT_MAX is that uid and no other") {
    Scene scene;
    scene.peer.uid = 4294967294U;
    CHECK(scene.denial().code == Code::peer_not_allowed);
    scene.caller().users = {4294967294U};
    CHECK(scene.decide());
    scene.peer.uid = 2147483646;
    CHECK(scene.denial().code == Code::peer_not_allowed);
}

TEST_CASE("A02: an unknown peer is refused even if the policy lists the invalid uid") {
    Scene scene;
    scene.peer = {};
    CHECK(scene.denial().code == Code::peer_not_allowed);
    scene.caller().users = {static_cast<uid_t>(-1), 0};
    CHECK(scene.denial().code == Code::peer_not_allowed);
    scene.peer.uid = static_cast<uid_t>(-1);
    CHECK(scene.denial().code == Code::peer_not_allowed);
}

TEST_CASE("an audience is the name or the machine id of this host") {
    Scene scene;
    for (const auto* const audience : {"host-1", "0123456789abcdef"}) {
        scene.request.audience = audience;
        CHECK(scene.decide());
    }
    for (const auto* const audience : {"HOST-1", "host-1 ", "host", "0123456789abcde"}) {
        CAPTURE(audience);
        scene.request.audience = audience;
        CHECK(scene.denial().code == Code::peer_not_allowed);
    }
    // A machine that does not know its own name must not be addressed by the empty one.
    scene.situation.host_name.clear();
    scene.situation.machine_id.clear();
    scene.request.audience = "";
    CHECK(scene.denial().code == Code::peer_not_allowed);
}

TEST_CASE("a deadline of the caller shortens the timeout and never lengthens it") {
    Scene scene;
    scene.request.deadline = std::chrono::milliseconds(500);
    CHECK(scene.decide()->timeout() == Micros(500ms));
    scene.request.deadline = std::chrono::milliseconds(30'001);
    CHECK(scene.decide()->timeout() == Micros(30s));
}

TEST_CASE("only grants that are taken count and the eleventh is told when to come back") {
    Scene scene;
    for (int i = 0; i < 50; ++i) REQUIRE(scene.decide());
    for (int i = 0; i < 10; ++i) {
        const auto grant = scene.decide();
        REQUIRE(grant);
        take_budget(scene.limiter, *grant);
    }
    CHECK(scene.denial().code == Code::rate_limited);
    CHECK(scene.denial().retry_after == Micros(5min));
    scene.situation.now.boot = kNow + 5min;
    CHECK(scene.decide());
}

TEST_CASE("A28: a denied request takes nothing from the budget") {
    Scene scene;
    for (int i = 0; i < 50; ++i) {
        scene.give("a b");
        CHECK(scene.denial().code == Code::parameters_invalid);
    }
    scene.give("nginx");
    CHECK(scene.limiter.remaining(action_bucket(ActionName("restart_service")), {}, kNow) == 10);
}

TEST_CASE("a budget of the caller counts over all its actions and is given back with the grant") {
    Scene scene;
    scene.caller().rate_limit = RateLimit{.limit = 1, .window = 1min};
    const auto grant = scene.decide();
    REQUIRE(grant);
    take_budget(scene.limiter, *grant);
    CHECK(scene.denial().rule == kCallerRule);
    give_back_budget(scene.limiter, *grant);
    CHECK(scene.decide());
    CHECK(scene.limiter.remaining(action_bucket(ActionName("restart_service")), {}, kNow) == 10);
}

TEST_CASE("explain notes every check made in order up to the one that denies") {
    Scene scene;
    std::vector<Check> trace;
    REQUIRE(scene.decide(&trace));
    CHECK(trace.size() == 10);
    CHECK(std::all_of(trace.begin(), trace.end(), [](const Check& check) { return check.passed; }));
    trace.clear();
    scene.caller().actions.clear();
    REQUIRE_FALSE(scene.decide(&trace));
    REQUIRE(trace.size() == 5);
    CHECK(std::all_of(trace.begin(), trace.end() - 1, [](const Check& check) { return check.passed; }));
    CHECK_FALSE(trace.back().passed);
    CHECK(trace.back().rule == kCallerRule);
    CHECK_FALSE(trace.back().detail.empty());
}

TEST_CASE("targets exclude each other by group and parameter") {
    Scene scene;
    scene.action().target_parameter.clear();
    CHECK(scene.decide()->target() == "unit");
    scene.action().command = CommandSettings{};
    scene.action().target_group = "restart_container";
    CHECK(scene.decide()->target() == "restart_container:nginx.service");
}

TEST_CASE("A10: a timestamp is fresh within the skew on both sides and not beyond") {
    const WallTime now{Micros(1000s)};
    for (const Micros skew : {Micros(30s), Micros(1s)}) {
        CHECK(is_fresh({now.since_epoch + skew}, now, skew));
        CHECK(is_fresh({now.since_epoch - skew}, now, skew));
        CHECK_FALSE(is_fresh({now.since_epoch + skew + Micros{1}}, now, skew));
        CHECK_FALSE(is_fresh({now.since_epoch - skew - Micros{1}}, now, skew));
    }
    CHECK(is_fresh(now, now, Micros{0}));
}
