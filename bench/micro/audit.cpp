// One record: written, chained, and proven again.

#include "audit/chain.h"
#include "audit/key_file.h"
#include "audit/log.h"
#include "audit/record.h"
#include "audit/verify.h"
#include "base/text.h"

#include <benchmark/benchmark.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

using namespace luminous_healing;
using namespace luminous_healing::audit;

namespace {

constexpr int kVerified = 2000;  // records of the verified log

Record outcome() {
    Record record;
    record.event = EventType::outcome;
    record.request_id = "5b0c9a4e00004000800012345678abcd";
    record.action = "restart_service";
    record.parameters = R"({"service":"nginx.service"})";
    record.caller = "self-healing";
    record.code = protocol::Code::ok;
    record.rule = "/etc/luminous-healing/config.toml:31";
    record.peer = PeerFields{997, 997, 4711, "/usr/bin/monitor", "monitor.service"};
    record.mode = "run";
    record.request_mac = std::string(64, '0');
    record.success = true;
    record.duration_ms = 41;
    record.verdict = protocol::Verdict::healed;
    record.result = R"({"main_pid":4712,"active_state":"active"})";
    record.output = "nginx.service is active again";
    return record;
}

Stamp stamp() { return {now(), 4711, "an earlier boot", "bench", "0123456789abcdef"}; }

void record_write(benchmark::State& state) {
    const Record record = outcome();
    const Stamp stamped = stamp();
    for (auto _ : state) {
        auto line = write_record(record, stamped);
        benchmark::DoNotOptimize(line);
    }
}
BENCHMARK(record_write);

void record_read(benchmark::State& state) {
    const auto line = chained_line(write_record(outcome(), stamp()), kGenesis);
    for (auto _ : state) {
        auto stored = read_record(line);
        benchmark::DoNotOptimize(stored);
    }
}
BENCHMARK(record_read);

void chain(benchmark::State& state) {
    const auto key = ChainKey::create(Secret(std::string(kKeyBytes, 'k')), 0);
    const std::string body = write_record(outcome(), stamp());
    const std::string_view open(body.data(), body.size() - 1);
    std::string previous(kGenesis);
    for (auto _ : state) {
        previous = key->chain_of(previous, open);
        auto line = chained_line(body, previous);
        benchmark::DoNotOptimize(line);
    }
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(body.size()));
}
BENCHMARK(chain);

/// A log that is gone at the end of the program.
class WrittenLog {
public:
    WrittenLog() {
        std::string name = std::filesystem::temp_directory_path() / "luminous-bench-XXXXXX";
        if (::mkdtemp(name.data()) == nullptr) std::abort();
        folder_ = name;
        LogSettings settings;
        settings.path = folder_ + "/audit.json";
        settings.host = "bench";
        settings.boot_id = "an earlier boot";
        auto log = Log::open(settings);
        if (!log) std::abort();
        for (int i = 0; i < kVerified; ++i) (*log)->append(outcome(), now());
        if (!(*log)->commit(Durability::durable)) std::abort();
        if (!take_first_key(settings.path, [this](std::string_view key) {
                key_ = key;
                return true;
            }))
            std::abort();
        bytes_ = std::filesystem::file_size(settings.path);
    }
    ~WrittenLog() {
        std::error_code ignored;
        std::filesystem::remove_all(folder_, ignored);
    }
    WrittenLog(const WrittenLog&) = delete;
    WrittenLog& operator=(const WrittenLog&) = delete;

    [[nodiscard]] VerifyRequest request() const { return {{folder_}, key_, {}}; }
    [[nodiscard]] std::int64_t bytes() const { return static_cast<std::int64_t>(bytes_); }

private:
    std::string folder_;
    std::string key_;
    std::uintmax_t bytes_ = 0;
};

void verify_log(benchmark::State& state) {
    const WrittenLog log;
    for (auto _ : state) {
        const auto report = verify(log.request());
        if (!report || !report->ok) state.SkipWithError("the log was to be proven");
    }
    state.SetBytesProcessed(state.iterations() * log.bytes());
    state.SetItemsProcessed(state.iterations() * kVerified);
}
BENCHMARK(verify_log);

}  // namespace
