// fill_log PATH RECORDS SPAN_S: writes an audit log of that many records with the library that the daemon uses, intents
// and outcomes in turn, as if the last SPAN_S seconds of an earlier boot had brought them. For measuring
// (bench/audit.py).

#include "audit/log.h"

#include <cstdio>
#include <cstdlib>
#include <string>

using namespace luminous_healing;

namespace {

audit::Record record_of(long number) {
    audit::Record record;
    record.event = number % 2 == 0 ? audit::EventType::decision : audit::EventType::outcome;
    record.request_id = "5b0c9a4e-0000-4000-8000-" + std::to_string(100'000'000'000 + number / 2);
    record.action = "restart_service";
    record.parameters = R"({"service":"nginx.service"})";
    record.caller = "tester";
    record.code = protocol::Code::ok;
    record.rule = "/etc/luminous-healing/config.toml:31";
    record.peer = audit::PeerFields{997, 997, 4711, "/usr/bin/monitor", "monitor.service"};
    record.mode = "run";
    std::string mac = std::to_string(number / 2);
    record.request_mac = std::string(64 - mac.size(), '0') + mac;
    if (number % 2 == 0) {
        record.allowed = true;
        return record;
    }
    record.success = true;
    record.duration_ms = 41;
    record.verdict = protocol::Verdict::healed;
    record.result = R"({"main_pid":4712,"active_state":"active"})";
    record.output = "nginx.service is active again";
    return record;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) {
        std::fputs("Usage: fill_log PATH RECORDS SPAN_S\n", stderr);
        return 2;
    }
    const long records = std::atol(argv[2]);
    const Micros span = std::chrono::seconds(std::atol(argv[3]));
    audit::LogSettings settings;
    settings.path = argv[1];
    settings.keep = 10'000;
    settings.host = "bench";
    settings.boot_id = "an earlier boot";
    auto log = audit::Log::open(settings);
    if (!log) {
        std::fprintf(stderr, "%s\n", log.error().message.c_str());
        return 1;
    }
    const WallTime end = now().wall;
    for (long i = 0; i < records; ++i) {
        const Micros since_start = Micros(span.count() / records * i);
        (*log)->append(record_of(i), {WallTime{end.since_epoch - span + since_start}, BootTime{since_start}});
        if (i % 500 != 499 && i != records - 1) continue;
        if (const auto committed = (*log)->commit(audit::Durability::durable); !committed) {
            std::fprintf(stderr, "%s\n", committed.error().message.c_str());
            return 1;
        }
    }
    return 0;
}
