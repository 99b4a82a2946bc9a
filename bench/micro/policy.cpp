// The decision, alone and with the limiter's windows empty and full.

#include "policy/decide.h"

#include <benchmark/benchmark.h>

#include <string>

using namespace luminous_healing;
using namespace luminous_healing::policy;

namespace {

const BootTime kNow{Micros(10'000s)};

std::string numbered(const char* name, std::int64_t number) { return name + std::to_string(number); }

/// As many callers and actions, each caller with an action of its own; the request is the last one's.
struct Scene {
    Config config;
    protocol::Request request;
    protocol::Peer peer{.uid = 1000, .gid = 1000, .pid = 42};
    Limiter limiter;
    Situation situation;

    explicit Scene(std::int64_t count) {
        for (std::int64_t i = 0; i < count; ++i) add(i);
        request.action = ActionName(numbered("action", count - 1));
        protocol::JsonMember member;
        member.name = "service";
        member.value.kind = protocol::Json::Kind::string;
        member.value.text = "nginx";
        request.parameters = {member};
        situation.now = {{}, kNow};
    }
    void add(std::int64_t number) {
        ActionPolicy action;
        action.name = ActionName(numbered("action", number));
        action.where = "config.toml:20";
        action.parameters = {{.name = "service", .type = ParameterType::unit}};
        action.units = {"nginx.service", "*.service"};
        action.target_group = "unit";
        action.target_parameter = "service";
        CallerPolicy caller;
        caller.name = CallerName(numbered("caller", number));
        caller.where = "config.toml:10";
        caller.users = {1000};
        caller.actions = {action.name};
        config.actions.emplace(action.name, action);
        config.callers.emplace(caller.name, caller);
    }
};

void decide_among(benchmark::State& state) {
    Scene scene(state.range(0));
    const auto& caller = scene.config.callers.at(CallerName(numbered("caller", state.range(0) - 1)));
    for (auto _ : state) {
        auto grant = decide(scene.config, caller, scene.request, scene.peer, scene.limiter, scene.situation);
        benchmark::DoNotOptimize(grant);
    }
    if (!decide(scene.config, caller, scene.request, scene.peer, scene.limiter, scene.situation))
        state.SkipWithError("was to be granted");
}
BENCHMARK(decide_among)->Arg(1)->Arg(100)->Arg(1000);

/// A question and a grant while so many grants are in the window; for each that comes one leaves.
void limiter_with_grants(benchmark::State& state) {
    const auto entries = state.range(0);
    const RateLimit limit{static_cast<std::uint32_t>(entries + 1), Micros(entries)};
    Limiter limiter;
    Micros time{10'000'000};
    for (std::int64_t i = 0; i < entries; ++i) limiter.take("action:a", limit, BootTime{time += Micros(1)});
    for (auto _ : state) {
        time += Micros(1);
        auto wait = limiter.wait_for("action:a", limit, BootTime{time});
        benchmark::DoNotOptimize(wait);
        limiter.take("action:a", limit, BootTime{time});
    }
}
BENCHMARK(limiter_with_grants)->Arg(1)->Arg(10'000);

void limiter_with_buckets(benchmark::State& state) {
    const RateLimit limit{10, 5min};
    Limiter limiter;
    for (std::int64_t i = 0; i < state.range(0); ++i) limiter.take(numbered("action:a", i), limit, kNow);
    const std::string last = numbered("action:a", state.range(0) - 1);
    for (auto _ : state) {
        auto wait = limiter.wait_for(last, limit, kNow);
        benchmark::DoNotOptimize(wait);
    }
}
BENCHMARK(limiter_with_buckets)->Arg(1)->Arg(10'000);

}  // namespace
