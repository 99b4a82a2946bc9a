#include "actions/rows.h"
#include "support.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>

using namespace luminous_healing;
using namespace luminous_healing::actions;
using namespace luminous_healing::actions::test;
using protocol::Code;
using protocol::Verdict;

namespace {

constexpr auto kFile = "/proc/sys/vm/drop_caches";
const Action kRow = clear_system_cache();

Request asking(const std::string& json = "{}") {
    Request request;
    request.arguments = arguments_for(kRow, json);
    return request;
}

struct Memory {
    long available = 2'000'000, buffers = 10'000, cached = 900'000, shmem = 100'000, slab = 50'000;  // kB
};

std::string meminfo(const Memory& m) {
    return "MemTotal:        4000000 kB\nMemFree:         1000000 kB\nMemAvailable:    " + std::to_string(m.available) +
           " kB\nBuffers:  " + std::to_string(m.buffers) + " kB\nCached:   " + std::to_string(m.cached) +
           " kB\nSwapCached:  77 kB\nShmem:    " + std::to_string(m.shmem) +
           " kB\nSReclaimable:  " + std::to_string(m.slab) + " kB\nHugePages_Total:       0\n";
}

/// Carries it out on a machine whose memory becomes `after` once the caches have been dropped.
Report from_to(const Memory& before, const Memory& after, const std::string& json = "{}") {
    const FakeMachine machine;
    machine.write(kFile, "");
    machine.write("/proc/meminfo", meminfo(before));
    auto request = asking(json);
    request.progress = [&](std::string_view line) {
        if (line == "verifying") machine.write("/proc/meminfo", meminfo(after));
    };
    auto report = carry_out_here(kRow, request);
    report.facts.set("written", machine.read(kFile));
    return report;
}

constexpr std::size_t kCachedFile = 32U << 20U;  // bytes

/// How many pages of the file are in the page cache, mincore(2).
std::size_t cached_pages(const std::string& path) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    void* const mapped = ::mmap(nullptr, kCachedFile, PROT_READ, MAP_SHARED, fd.get(), 0);
    REQUIRE(mapped != MAP_FAILED);
    std::vector<unsigned char> resident(kCachedFile / 4096);
    REQUIRE(::mincore(mapped, kCachedFile, resident.data()) == 0);
    ::munmap(mapped, kCachedFile);
    return static_cast<std::size_t>(
        std::count_if(resident.begin(), resident.end(), [](auto p) { return (p & 1) != 0; }));
}

}  // namespace

TEST_CASE("caches that shrink while available memory stays are healed in the words of the prototype") {
    const auto report = from_to({}, {.buffers = 0, .cached = 200'000, .slab = 10'000});
    CHECK(report.code == Code::ok);
    CHECK(report.verdict == Verdict::healed);
    CHECK(report.output == "System caches cleared");
    CHECK(report.facts.integer("freed_bytes") == 750'000LL * 1024);
    CHECK(report.facts.text("written") == "3");
}

TEST_CASE("A40: caches that held nothing to free are unchanged and not a success") {
    const Memory empty{.buffers = 0, .cached = 100'000, .shmem = 100'000, .slab = 500};
    const auto report = from_to(empty, empty);
    CHECK(report.code == Code::not_healed);
    CHECK(report.verdict == Verdict::unchanged);
}

TEST_CASE("A40: available memory that falls while caches are dropped is worse") {
    const auto report = from_to({}, {.available = 1'500'000, .buffers = 0, .cached = 200'000});
    CHECK(report.code == Code::not_healed);
    CHECK(report.verdict == Verdict::worse);
}

TEST_CASE("each level counts only what it drops") {
    const Memory only_slab_shrinks{.slab = 10'000};
    CHECK(from_to({}, only_slab_shrinks, R"({"level":1})").verdict == Verdict::unchanged);
    CHECK(from_to({}, only_slab_shrinks, R"({"level":2})").verdict == Verdict::healed);
    const Memory only_pages_shrink{.cached = 300'000};
    CHECK(from_to({}, only_pages_shrink, R"({"level":1})").facts.text("written") == "1");
    CHECK(from_to({}, only_pages_shrink, R"({"level":1})").verdict == Verdict::healed);
    CHECK(from_to({}, only_pages_shrink, R"({"level":2})").verdict == Verdict::unchanged);
}

TEST_CASE("shared memory is no cache that could be dropped") {
    // Cached falls only because Shmem does: nothing was dropped.
    const auto report = from_to({}, {.cached = 850'000, .shmem = 50'000});
    CHECK(report.verdict == Verdict::unchanged);
}

TEST_CASE("a level outside 1 to 3 is refused") {
    for (const auto* const given : {"0", "4", "-1", "\"3\""}) {
        CAPTURE(given);
        const auto object = protocol::read_json_object(std::string("{\"level\":") + given + "}", 65536);
        CHECK_FALSE(policy::check_parameters(kRow.parameters, object->members));
    }
}

TEST_CASE("a meminfo that cannot be understood stops the action before it drops anything") {
    for (const auto* const text : {"", "MemTotal: 5 kB\n", "MemTotal: x kB\nMemAvailable: 5 kB\nCached: 5 kB\n",
                                   "MemTotal: 5 MB\nMemAvailable: 5 kB\nCached: 5 kB\n"}) {
        CAPTURE(text);
        const FakeMachine machine;
        machine.write(kFile, "");
        machine.write("/proc/meminfo", text);
        CHECK(carry_out_here(kRow, asking()).code == Code::action_failed);
        CHECK(machine.read(kFile).empty());
    }
}

TEST_CASE("uid 0 without any capability drops the real cache of a file that was just written") {
    if (::geteuid() != 0 || never_writable(kFile)) return;
    const std::string path = "cache-test-" + std::to_string(::getpid());  // on a disk: /tmp may be all cache
    std::ofstream(path) << std::string(kCachedFile, 'x');
    const auto before = cached_pages(path);
    const auto report = in_worker(kRow, asking(), [](Request&, pid_t) { drop_all_capabilities(); });
    const auto after = cached_pages(path);
    std::filesystem::remove(path);
    CAPTURE(report.error);
    CAPTURE(report.facts);
    CHECK(before == kCachedFile / 4096);
    CHECK(after < before / 10);
    CHECK(report.output == "System caches cleared");
    // Others may fill the caches meanwhile, so the verdict itself is not for this test to demand.
    CHECK(report.facts.find("\"freed_bytes\":") != std::string::npos);
}
