// Drops clean caches of the kernel: /proc/sys/vm/drop_caches (proc_sys_vm(5)). Dirty pages cannot be dropped, so
// sync(2) comes first.

#include "actions/machine_files.h"
#include "actions/rows.h"
#include "base/text.h"

#include <unistd.h>

#include <algorithm>

namespace luminous_healing::actions {
namespace {

constexpr std::string_view kFile = "/proc/sys/vm/drop_caches";
constexpr std::string_view kMemory = "/proc/meminfo";

/// Less is no change: the counters behind /proc/meminfo are summed up per CPU and lag by some hundred pages.
constexpr std::int64_t kNoticeable = 1 << 20;  // bytes

/// Bytes, from /proc/meminfo (proc_meminfo(5)).
struct Memory {
    std::int64_t total = 0;
    std::int64_t available = 0;
    std::int64_t pages = 0;  ///< the page cache that can be dropped: Shmem is counted in Cached and cannot
    std::int64_t slab = 0;   ///< reclaimable dentries and inodes
};

std::optional<std::int64_t> entry(std::string_view meminfo, std::string_view name) {
    const std::string label = "\n" + std::string(name) + ":";
    const auto at = ("\n" + std::string(meminfo)).find(label);
    if (at == std::string::npos) return {};
    std::string_view line = meminfo.substr(at + label.size() - 1);
    line = trim(line.substr(0, line.find('\n')));
    if (!line.ends_with(" kB")) return {};
    const auto kilobytes = parse_integer<std::int64_t>(trim(line.substr(0, line.size() - 3)));
    if (!kilobytes) return {};
    return *kilobytes * 1024;
}

Result<Memory> read_memory() {
    const auto text = read_machine_file(kMemory);
    if (!text) return failed(text.error().message);
    const auto total = entry(*text, "MemTotal");
    const auto available = entry(*text, "MemAvailable");
    const auto cached = entry(*text, "Cached");
    if (!total || !available || !cached)
        return failed(std::string(kMemory) + " lacks MemTotal, MemAvailable or Cached");
    const auto pages = *cached + entry(*text, "Buffers").value_or(0) - entry(*text, "Shmem").value_or(0);
    return Memory{*total, *available, std::max<std::int64_t>(pages, 0), entry(*text, "SReclaimable").value_or(0)};
}

/// What a level drops: 1 the page cache, 2 dentries and inodes, 3 both.
std::int64_t droppable(const Memory& memory, std::int64_t level) {
    return ((level & 1) != 0 ? memory.pages : 0) + ((level & 2) != 0 ? memory.slab : 0);
}

std::optional<std::string> missing(const Machine& /*machine*/) { return never_writable(kFile); }

Result<void> check(Context& context) {
    const auto memory = read_memory();
    if (!memory) return tl::unexpected(memory.error());
    context.facts.set("available_before_bytes", memory->available);
    context.facts.set("cached_before_bytes", droppable(*memory, context.arguments.integer("level")));
    return {};
}

Result<std::string> run(Context& context) {
    context.progress("writing dirty pages to disk");
    ::sync();
    // What sync() wrote can be dropped too, and it may have taken long: look again, so that "before" is just before.
    if (const auto noted = check(context); !noted) return tl::unexpected(noted.error());
    context.progress("dropping caches");
    const auto written = write_machine_file(kFile, context.arguments.shown("level"));
    if (!written) return failed(written.error().message);
    return "System caches cleared";
}

/// Dropping clean caches barely raises MemAvailable, which counts them as available already. So: healed when the
/// caches shrank and nothing else ate the gain; unchanged when there was nothing to drop.
Verification verify(Context& context) {
    const auto memory = read_memory();
    if (!memory) return {protocol::Verdict::unverifiable, memory.error().message};
    const auto cached = droppable(*memory, context.arguments.integer("level"));
    const auto freed = context.facts.integer("cached_before_bytes") - cached;
    const auto gained = memory->available - context.facts.integer("available_before_bytes");
    context.facts.set("available_after_bytes", memory->available);
    context.facts.set("cached_after_bytes", cached);
    context.facts.set("freed_bytes", std::max<std::int64_t>(freed, 0));
    const std::string detail = "caches shrank by " + std::to_string(freed / 1024) +
                               " KiB and available memory changed by " + std::to_string(gained / 1024) + " KiB";
    const auto tolerated = std::max(kNoticeable, memory->total / 100);
    if (gained < -tolerated) return {protocol::Verdict::worse, "memory is being used up meanwhile: " + detail};
    if (freed < kNoticeable) return {protocol::Verdict::unchanged, "there was nothing to free: " + detail};
    return {protocol::Verdict::healed, detail};
}

}  // namespace

Action clear_system_cache() {
    Action row;
    row.name = "clear_system_cache";
    row.summary = "drops the kernel's clean caches";
    row.parameters = {{.name = "level",
                       .type = policy::ParameterType::integer,
                       .required = false,
                       .description = "1: page cache, 2: dentries and inodes, 3: both",
                       .default_value = "3",
                       .minimum = 1,
                       .maximum = 3}};
    row.privilege = {.user = RunAs::root, .writes = {std::string(kFile)}};
    row.timeout = 60s;  // sync(2) waits for the slowest disk
    row.target_group = "caches";
    row.verifies = "how far the caches shrank, and MemAvailable in " + std::string(kMemory);
    row.missing = missing;
    row.check = check;
    row.run = run;
    row.verify = verify;
    return row;
}

}  // namespace luminous_healing::actions
