// Lets journalctl(1) remove old journal files, as a transient unit that may write the journal's folders and nothing
// else. The worker itself then needs no capability and no writable path, and deletion follows systemd's own rules.

#include "actions/rows.h"
#include "actions/transient_unit.h"
#include "base/text.h"
#include "base/units.h"

#include <fts.h>
#include <sys/stat.h>

#include <memory>

namespace luminous_healing::actions {
namespace {

using protocol::Code;
using protocol::Verdict;

constexpr const char* kPersistent = "/var/log/journal";
constexpr const char* kVolatile = "/run/log/journal";

// Bytes on disk, not lengths: journal files are sparse.
std::int64_t bytes_below(const char* folder) {
    std::string path(folder);
    char* const paths[] = {path.data(), nullptr};
    const std::unique_ptr<FTS, int (*)(FTS*)> tree(::fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, nullptr), ::fts_close);
    std::int64_t bytes = 0;
    while (tree != nullptr) {
        const FTSENT* const entry = ::fts_read(tree.get());
        if (entry == nullptr) break;
        if (entry->fts_info == FTS_F) bytes += std::int64_t{entry->fts_statp->st_blocks} * 512;
    }
    return bytes;
}

std::int64_t journal_bytes() { return bytes_below(kPersistent) + bytes_below(kVolatile); }

// "--vacuum-time=7d" or "--vacuum-size=BYTES": the numbers are ours, so nothing of the caller's text is an argument.
Result<std::string> limit_argument(const policy::Arguments& arguments) {
    if (arguments.has("keep_days") == arguments.has("keep_size"))
        return failed(Code::parameters_invalid, "give either \"keep_days\" or \"keep_size\"");
    if (arguments.has("keep_days")) return "--vacuum-time=" + arguments.shown("keep_days") + "d";
    const auto bytes = parse_size(arguments.text("keep_size"));
    if (!bytes)
        return failed(
            Code::parameters_invalid,
            "\"keep_size\" is \"" + printable_line(arguments.text("keep_size"), 40) + "\": write a size like 500MiB");
    return "--vacuum-size=" + std::to_string(*bytes);
}

Result<void> check(Context& context) {
    const auto limit = limit_argument(context.arguments);
    if (!limit) return tl::unexpected(limit.error());
    context.facts.set("bytes_before", journal_bytes());
    context.facts.set("limit", *limit);
    return {};
}

Result<std::vector<BusCall>> calls(const Context& context) {
    const auto limit = limit_argument(context.arguments);
    const auto journalctl = find_program("journalctl");
    if (!limit) return tl::unexpected(limit.error());
    if (!journalctl) return failed(Code::unavailable, "there is no journalctl");
    TransientWork work;
    work.description = "Luminous Healing: removes old journal files";
    // --rotate, because only archived files are ever removed.
    work.argvs = {{*journalctl, "--rotate"}, {*journalctl, "--no-pager", *limit}};
    work.sandbox.writes = {kPersistent, kVolatile};
    work.timeout = 2min;
    return transient_calls(context, work);
}

Result<std::string> run(Context& context) {
    if (const auto done = run_transient(context); !done) return tl::unexpected(done.error());
    return "Journal vacuumed";
}

Verification verify(Context& context) {
    (void)forget_transient(context.request_id);
    const std::int64_t after = journal_bytes();
    const std::int64_t freed = context.facts.integer("bytes_before") - after;
    context.facts.set("bytes_after", after);
    context.facts.set("freed_bytes", std::max<std::int64_t>(freed, 0));
    if (freed <= 0) return {Verdict::unchanged, "no journal file was old enough to be removed"};
    return {Verdict::healed, std::to_string(freed) + " bytes freed, " + std::to_string(after) + " in use"};
}

std::optional<std::string> missing(const Machine& /*machine*/) {
    if (!find_program("journalctl")) return "there is no journalctl";
    return SystemBus::missing();
}

}  // namespace

Action vacuum_journal() {
    Action row;
    row.name = "vacuum_journal";
    row.summary = "removes old journal files";
    row.parameters = {{.name = "keep_days",
                       .type = policy::ParameterType::integer,
                       .required = false,
                       .description = "keep the journal of that many days",
                       .minimum = 1,
                       .maximum = 3650},
                      {.name = "keep_size",
                       .required = false,
                       .description = "or keep at most that much, like 500MiB",
                       .max_length = 20}};
    row.privilege = {.user = RunAs::root, .syscalls = SyscallClass::bus};
    row.timeout = 2min;
    row.target_group = "journal";
    row.frees_space = true;
    row.verifies = "the bytes below /var/log/journal and /run/log/journal, before and after";
    row.missing = missing;
    row.check = check;
    row.run = run;
    row.bus_calls = calls;
    row.verify = verify;
    return row;
}

}  // namespace luminous_healing::actions
