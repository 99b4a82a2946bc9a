// audit: reads, follows, counts and proves the audit log, from its files alone.

#include "audit/key_file.h"
#include "audit/query.h"
#include "audit/reader.h"
#include "audit/rotation.h"
#include "audit/verify.h"
#include "base/file.h"
#include "base/text.h"
#include "healctl/audit_filter.h"
#include "healctl/command.h"
#include "healctl/follow.h"
#include "healctl/render.h"
#include "protocol/json_writer.h"

#include <CLI/CLI.hpp>

#include <unistd.h>

namespace luminous_healing::healctl {
namespace {

constexpr const char* kLogFolder = "/var/log/luminous-healing";

struct AuditOptions {
    std::vector<std::string> paths;
    FilterWords filter;
    std::size_t lines = 10;
    bool follow = false;
    std::optional<std::string> first_key;
    std::optional<std::string> head;

    [[nodiscard]] std::string path() const { return paths.empty() ? kLogFolder : paths.front(); }
};

ExitStatus report_unreadable(const Error& error) {
    complain(printable_line(error.message, 1000));
    if (error.system_error == EACCES) note("  read it with sudo, or as a member of the group that owns it\n");
    return ExitStatus::error;
}

std::string shown(const audit::StoredRecord& record, std::string_view line, bool json) {
    return (json ? with_controls_escaped(line) : audit::render(record)) + "\n";  // who wrote it, nobody has proven
}

/// The log's own file, for what cannot be asked of a folder.
Expected<std::string> log_file(const std::string& path) {
    return audit::is_folder(path) ? audit::log_in_folder(path) : Expected<std::string>(path);
}

ExitStatus show(const AuditOptions& options, const Globals& globals) {
    const auto filter = read_filter(options.filter, now().wall);
    if (!filter) return report_usage(filter.error());
    const auto read = audit::read_forward(options.path(), [&](const auto& record, std::string_view line) {
        if (audit::matches(*filter, record)) print(shown(record, line, globals.json));
        return !filter->until || record.timestamp < *filter->until;
    });
    return read ? ExitStatus::done : report_unreadable(read.error());
}

/// The last seq that is not to be shown, so that `lines` matching records come after it.
Expected<std::int64_t> seq_before_last(const std::string& path, const audit::Filter& filter, std::size_t lines) {
    std::int64_t before = 0;
    std::size_t found = 0;
    const auto read = audit::read_back(path, [&](const audit::StoredRecord& record) {
        before = record.seq;
        if (found >= lines || (filter.since && record.timestamp < *filter.since)) return false;
        if (audit::matches(filter, record)) ++found;
        before = record.seq - 1;
        return true;
    });
    if (!read) return tl::unexpected(read.error());
    return before;
}

ExitStatus tail(const AuditOptions& options, const Globals& globals) {
    const auto filter = read_filter(options.filter, now().wall);
    if (!filter) return report_usage(filter.error());
    const auto path = log_file(options.path());
    if (!path) return report_unreadable(path.error());
    const auto before = seq_before_last(*path, *filter, options.lines);
    if (!before) return report_unreadable(before.error());
    const auto visit = [&](const audit::StoredRecord& record, std::string_view line) {
        if (audit::matches(*filter, record)) print(shown(record, line, globals.json));
        return !options.follow || end_output();  // shown at once; the end of whoever reads it is ours too
    };
    const auto read = options.follow ? follow(*path, *before, visit) : read_after(*path, *before, visit);
    return read ? ExitStatus::done : report_unreadable(read.error());
}

void write_counts(protocol::JsonWriter& writer, protocol::JsonName name, const audit::Stats::Counts& counts) {
    writer.key(name).begin_object();
    for (const auto& [key, count] : counts) writer.key_text(key).integer(count);
    writer.end_object();
}

std::string stats_json(const audit::Stats& stats) {
    protocol::JsonWriter writer;
    writer.begin_object().member("records", stats.records()).member("suppressed", stats.suppressed());
    writer.member_or_null("median_ms", stats.median_ms()).member_or_null("longest_ms", stats.longest_ms());
    write_counts(writer, "events", stats.events());
    write_counts(writer, "codes", stats.codes());
    write_counts(writer, "actions", stats.actions());
    write_counts(writer, "callers", stats.callers());
    write_counts(writer, "verdicts", stats.verdicts());
    writer.end_object();
    return writer.take();
}

ExitStatus stats(const AuditOptions& options, const Globals& globals) {
    const auto filter = read_filter(options.filter, now().wall);
    if (!filter) return report_usage(filter.error());
    audit::Stats counted;
    const auto read = audit::read_forward(options.path(), [&](const auto& record, std::string_view) {
        if (audit::matches(*filter, record)) counted.add(record);
        return true;
    });
    if (!read) return report_unreadable(read.error());
    const std::string json = stats_json(counted);
    print(globals.json ? json + "\n" : aligned(flatten_text(json), Look::of(STDOUT_FILENO, globals.no_color)));
    return ExitStatus::done;
}

std::string verify_json(const audit::VerifyReport& report) {
    protocol::JsonWriter writer;
    writer.begin_object().member_bool("ok", report.ok).member("damage", audit::name_of(report.damage));
    writer.member("explanation", report.explanation).member("file", report.file);
    writer.member("line", static_cast<std::int64_t>(report.line)).member("seq", report.seq);
    writer.member("records", static_cast<std::int64_t>(report.records));
    writer.member("files", static_cast<std::int64_t>(report.files)).member("first_seq", report.first_seq);
    writer.key("head").begin_object().member("seq", report.head.seq).member("chain", report.head.chain).end_object();
    writer.key("notes").begin_array();
    for (const auto& text : report.notes) writer.string(text);
    writer.end_array().end_object();
    return writer.take() + "\n";
}

std::string verify_text(const audit::VerifyReport& report, const Look& look) {
    std::string text = look.mark(report.ok) + " " + std::to_string(report.records) + " records in " +
                       std::to_string(report.files) + (report.files == 1 ? " file" : " files");
    text +=
        report.ok ? " are as they were written\n" : " are proven, then: " + std::string(name_of(report.damage)) + "\n";
    if (!report.ok) text += "  " + printable_line(report.explanation, 2000) + "\n";
    Rows rows;
    if (!report.ok)
        rows.emplace_back("where", printable_line(report.file, 300) +
                                       (report.line != 0 ? ":" + std::to_string(report.line) : "") + ", record " +
                                       std::to_string(report.seq));
    if (report.first_seq > 1)
        rows.emplace_back("begins with", std::to_string(report.first_seq) + " (older files were rotated away)");
    rows.emplace_back("head", std::to_string(report.head.seq) + ":" + report.head.chain);
    return text + aligned(rows, look);
}

ExitStatus verify(const AuditOptions& options, const Globals& globals) {
    auto key = read_file(*options.first_key, 4096);
    if (!key) return report_unreadable(key.error());
    audit::VerifyRequest request;
    request.paths = options.paths.empty() ? std::vector<std::string>{kLogFolder} : options.paths;
    request.first_key = std::string(trim(*key));
    if (options.head) {
        const auto head = read_head(*options.head);
        if (!head) return report_usage(head.error());
        request.head = *head;
    }
    const auto report = audit::verify(request);
    protocol::wipe(*key);
    protocol::wipe(request.first_key);
    if (!report) return report_unreadable(report.error());
    print(globals.json ? verify_json(*report) : verify_text(*report, Look::of(STDOUT_FILENO, globals.no_color)));
    for (const auto& text : report->notes) complain("note: " + printable_line(text, 1000));
    if (report->ok && !options.head)
        complain(
            "note: whether records are missing at the end shows only with --head from a witness (journalctl -u "
            "luminous-healing, or healctl status)");
    return report->ok ? ExitStatus::done : ExitStatus::error;
}

/// True when the key is out of our hands: on a disk if standard output is a file, else with whoever reads it.
bool hand_over(std::string_view key) {
    std::string line = std::string(key) + "\n";
    print(line);
    protocol::wipe(line);
    if (!end_output()) return false;
    // A pipe or a terminal has nothing to make durable, fsync(2) EINVAL.
    return ::fsync(STDOUT_FILENO) == 0 || errno == EINVAL || errno == EROFS || errno == ENOTSUP;
}

ExitStatus keys(const AuditOptions& options) {
    const auto path = log_file(options.path());
    if (!path) return report_unreadable(path.error());
    const auto taken = audit::take_first_key(*path, hand_over);
    if (!taken) return report_unreadable(taken.error());
    complain("this key proves the log from its first record on. It has been erased here: keep it on another machine");
    return ExitStatus::done;
}

using Handler = ExitStatus (*)(const AuditOptions&, const Globals&);

struct AuditCommand {
    CLI::App* command;
    std::shared_ptr<AuditOptions> options;
};

AuditCommand add(CLI::App& audit, CommandLine& line, const char* name, const char* summary, Handler handler) {
    CLI::App* const command = audit.add_subcommand(name, summary);
    auto options = std::make_shared<AuditOptions>();
    command->add_option("PATH", options->paths, std::string("the log, or its folder [") + kLogFolder + "]")
        ->type_name("");
    command->callback([options, handler, &line] {
        line.chosen = [options, handler](const Globals& globals) { return handler(*options, globals); };
    });
    return {command, std::move(options)};
}

void add_filter(const AuditCommand& target) {
    FilterWords& words = target.options->filter;
    CLI::App& command = *target.command;
    command.add_option("--event", words.event, "decision, outcome, interrupted, …")->type_name("EVENT");
    command.add_option("--action", words.action, "this action only")->type_name("ACTION");
    command.add_option("--by", words.caller, "this caller only")->type_name("CALLER");
    command.add_option("--code", words.code, "this code only")->type_name("CODE");
    command.add_option("--verdict", words.verdict, "healed, unchanged, worse or unverifiable")->type_name("VERDICT");
    command.add_option("--id", words.id, "this request only")->type_name("ID");
    command.add_option("--since", words.since, "from then on: 1h, or 2026-11-21T10:00:00Z")->type_name("MOMENT");
    command.add_option("--until", words.until, "before then")->type_name("MOMENT");
    command.add_flag("--denied", words.denied, "what was denied");
    command.add_flag("--allowed", words.allowed, "what was allowed");
}

}  // namespace

void add_audit(CLI::App& command, CommandLine& line) {
    command.require_subcommand(1);
    command.fallthrough();
    add_filter(add(command, line, "show", "every record that matches, oldest first", show));
    const auto last = add(command, line, "tail", "the newest records that match", tail);
    add_filter(last);
    last.command->add_option("-n,--lines", last.options->lines, "how many [10]")->type_name("N");
    last.command->add_flag("-f,--follow", last.options->follow, "and those to come");
    add_filter(add(command, line, "stats", "counts and durations", stats));
    const auto proof = add(command, line, "verify", "prove that nothing was changed", verify);
    proof.command->add_option("--first-key", proof.options->first_key, "the key of healctl audit keys")
        ->required()
        ->type_name("FILE");
    proof.command->add_option("--head", proof.options->head, "the newest record that a witness saw")
        ->type_name("SEQ:CHAIN");
    add(command, line, "keys", "hand over the first key, once; it is erased here",
        [](const AuditOptions& options, const Globals&) { return keys(options); });
}

}  // namespace luminous_healing::healctl
