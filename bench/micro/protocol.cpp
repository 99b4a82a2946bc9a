// What the gate does to every frame, and what a MAC costs.

#include "protocol/envelope.h"
#include "protocol/mac.h"
#include "protocol/request.h"
#include "protocol/response.h"

#include <benchmark/benchmark.h>

#include <string>

using namespace luminous_healing::protocol;

namespace {

constexpr auto kKey = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

std::string request_bytes() {
    RequestDraft draft;
    draft.id = "5b0c9a4e00004000800012345678abcd";
    draft.action = "restart_service";
    draft.parameters_json = R"({"service":"nginx.service"})";
    draft.timestamp = "2026-11-21T10:00:00.123456Z";
    return write_request(draft);
}

void envelope_parse(benchmark::State& state) {
    const auto key = MacKey::create(kKey);
    const auto frame = write_envelope("self-healing", request_mac(*key, request_bytes()).hex(), request_bytes());
    for (auto _ : state) {
        auto envelope = parse_envelope(frame);
        benchmark::DoNotOptimize(envelope);
    }
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(frame.size()));
}
BENCHMARK(envelope_parse);

void request_parse(benchmark::State& state) {
    const auto bytes = request_bytes();
    for (auto _ : state) {
        auto request = parse_request(bytes);
        benchmark::DoNotOptimize(request);
    }
}
BENCHMARK(request_parse);

void mac_of_bytes(benchmark::State& state) {
    const auto key = MacKey::create(kKey);
    const std::string bytes(static_cast<std::size_t>(state.range(0)), 'a');
    for (auto _ : state) {
        auto mac = request_mac(*key, bytes);
        benchmark::DoNotOptimize(mac);
    }
    state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(mac_of_bytes)->Arg(200)->Arg(1000)->Arg(65536);

void response_write_and_sign(benchmark::State& state) {
    const auto key = MacKey::create(kKey);
    const std::string mac_hex(64, '0');
    Response response;
    response.request_id = "5b0c9a4e00004000800012345678abcd";
    response.success = true;
    response.code = Code::ok;
    response.output = "nginx.service is active again";
    response.audit_seq = 4711;
    for (auto _ : state) {
        auto frame = frame_response(write_response(response), &*key, mac_hex);
        benchmark::DoNotOptimize(frame);
    }
}
BENCHMARK(response_write_and_sign);

}  // namespace
