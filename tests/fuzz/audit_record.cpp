// The writer of audit records and its reader. The input's lines are "FIELD text" of a record to be written; a line that
// begins with { is read as a record of anybody's. What is written is one line of ASCII that is read as the same record,
// and writing what was read changes nothing more.

#include "audit/record.h"

#include "audit/chain.h"
#include "audit/query.h"
#include "audit/rotation.h"
#include "base/text.h"
#include "protocol/limits.h"
#include "tests/fuzz/second_reader.h"
#include "tests/fuzz/support.h"

#include <algorithm>

using namespace luminous_healing;
using namespace luminous_healing::audit;
using namespace luminous_healing::fuzz;

namespace {

constexpr std::size_t kReadTwice = 8 * 1024;                  // bytes up to which RapidJSON reads it too
constexpr std::int64_t kYear10000 = 253'402'300'800'000'000;  // microseconds: no clock is set that far

/// A record and what the log would add to it.
struct Draft {
    Record record;
    std::int64_t seq = 1;
    std::int64_t wall = 1'790'000'000'000'000;
    std::int64_t boot = 0;
    std::string boot_id = "boot1";
    std::string host = "host1";
    std::string config = "digest";

    [[nodiscard]] Stamp stamp() const {
        return {{WallTime{Micros(wall)}, BootTime{Micros(boot)}}, seq, boot_id, host, config};
    }
};

std::int64_t number(std::string_view text) { return parse_integer<std::int64_t>(text).value_or(0); }

/// Sets a field of the record that is a text or a blob; false when it is none.
bool set_text(Record& r, std::string_view field, std::string_view text) {
    if (field == "request_id") r.request_id = text;
    else if (field == "action") r.action = text;
    else if (field == "parameters") r.parameters = text;
    else if (field == "error") r.error = text;
    else if (field == "rule") r.rule = text;
    else if (field == "caller") r.caller = text;
    else if (field == "mode") r.mode = text;
    else if (field == "result") r.result = text;
    else if (field == "reason") r.reason = text;
    else if (field == "output") r.output = text;
    else if (field == "detail") r.detail = text;
    else if (field == "request_mac") r.request_mac = text;
    else return false;
    return true;
}

void set(Draft& draft, std::string_view line) {
    std::string_view text = line;
    const auto field = next_part(text, ' ');
    Record& r = draft.record;
    if (set_text(r, field, text)) return;
    if (field == "event") r.event = event_from_name(text).value_or(EventType::decision);
    else if (field == "success") r.success = text == "true";
    else if (field == "duration_ms") r.duration_ms = number(text);
    else if (field == "allowed") r.allowed = text == "true";
    else if (field == "code") r.code = protocol::code_from_name(text);
    else if (field == "verdict") r.verdict = protocol::verdict_from_name(text);
    else if (field == "count") r.count = number(text);
    else if (field == "exe") r.peer = PeerFields{1000, 1000, 42, std::string(text), "nginx.service"};
    else if (field == "unit") r.peer = PeerFields{-1, number(text), 0, "", std::string(text)};
    else if (field == "repeat") r.output = r.output.value_or("x") + std::string(number(text) & 0x3FFF, 'y');
    else if (field == "large") r.parameters = "{\"x\":\"" + std::string(number(text) & 0x1FFFF, 'y') + "\"}";
    else if (field == "seq") draft.seq = number(text);
    else if (field == "wall")
        draft.wall = static_cast<std::int64_t>(static_cast<std::uint64_t>(number(text)) % kYear10000);
    else if (field == "boot") draft.boot = number(text);
    else if (field == "boot_id") draft.boot_id = text;
    else if (field == "host") draft.host = text;
    else if (field == "config") draft.config = text;
}

bool is_printable_ascii(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7F; });
}

/// The same text, or what of it may be shown.
bool kept(const std::optional<std::string>& was, const std::optional<std::string>& is) {
    return was.has_value() == is.has_value() && (!was || printable_line(*was, 1U << 20U).starts_with(*is));
}

/// The same object, or a digest in its place. An absent one is "".
bool kept_object(const std::string& was, const std::string& is) {
    return is == was || is.starts_with("{\"truncated\":true,\"bytes\":" + std::to_string(was.size()) + ",");
}

void check_kept(const Record& was, const Record& is) {
    must(is.event == was.event && is.success == was.success && is.duration_ms == was.duration_ms &&
             is.allowed == was.allowed && is.code == was.code && is.verdict == was.verdict && is.count == was.count,
         "what is no text is read as it was written");
    must(kept(was.request_id, is.request_id) && kept(was.action, is.action) && kept(was.error, is.error) &&
             kept(was.rule, is.rule) && kept(was.caller, is.caller) && kept(was.mode, is.mode) &&
             kept(was.reason, is.reason) && kept(was.request_mac, is.request_mac),
         "texts are cut and cleaned, and otherwise what they were");
    must(was.output.has_value() == is.output.has_value(), "so is an output");
    must(!was.output || printable(*was.output, 1U << 20U).starts_with(*is.output), "with its lines");
    must(kept_object(was.parameters, is.parameters) && kept_object(was.result, is.result) &&
             kept_object(was.detail, is.detail),
         "objects are what they were, or their digest");
    must(was.peer.has_value() == is.peer.has_value() &&
             (!was.peer ||
              (was.peer->uid == is.peer->uid && was.peer->gid == is.peer->gid && was.peer->pid == is.peer->pid &&
               kept(was.peer->exe, is.peer->exe) && kept(was.peer->unit, is.peer->unit))),
         "a peer is who it was");
}

StoredRecord written_and_read(const Record& record, const Stamp& stamp, std::string& written) {
    written = write_record(record, stamp);
    must(is_printable_ascii(written), "a record is one line of printable ASCII");
    must(written.size() + kChainAndNewline <= kMaxLine, "and no longer than a line may be");
    const std::string line = chained_line(written, kGenesis);
    must(line.size() + 1 == written.size() + kChainAndNewline, "the chain adds what it is said to add");
    const auto chained = split_chain(line);
    must(chained && std::string(chained->record_open) + "}" == written && chained->chain == kGenesis,
         "what was chained can be taken apart");
    must(line.size() > kReadTwice || has_large_exponent(line) || read_all(line), "any reader of JSON can read it");
    must(seq_of_line(line) == (stamp.seq > 0 ? std::optional(stamp.seq) : std::nullopt),
         "its seq is found at a glance");
    const auto stored = read_record(line);
    must(stored.has_value(), "every record that is written can be read");
    must(stored->seq == stamp.seq && stored->timestamp == stamp.now.wall && stored->boottime == stamp.now.boot &&
             stored->chain == kGenesis && kept(std::string(stamp.boot_id), stored->boot_id) &&
             kept(std::string(stamp.host), stored->host) && kept(std::string(stamp.config), stored->config),
         "with what the log added");
    return *stored;
}

/// Written and read once more, nothing changes.
void check_fixed_point(const StoredRecord& stored) {
    const auto stamp_of = [](const StoredRecord& s) {
        return Stamp{{s.timestamp, s.boottime}, s.seq, s.boot_id, s.host, s.config};
    };
    std::string once;
    std::string twice;
    const auto again = written_and_read(stored.record, stamp_of(stored), once);
    (void)written_and_read(again.record, stamp_of(again), twice);
    must(once == twice, "a record that was written is written the same again");
    const std::string shown = render(stored);
    must(shown == printable_line(shown, 1U << 20U), "what is shown of a record is one line, safe for a terminal");
    must(matches({}, stored), "an empty filter leaves nothing out");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Draft draft;
    for (const auto line : lines_of(text_of(data, size))) {
        if (!line.starts_with('{')) {
            set(draft, line);
            continue;
        }
        const auto stored = read_record(line);
        must(!stored || has_large_exponent(line) || read_all(line), "a record is valid JSON by any reader");
        if (stored && stored->timestamp.since_epoch.count() >= 0) check_fixed_point(*stored);
    }
    std::string written;
    const auto stored = written_and_read(draft.record, draft.stamp(), written);
    check_kept(draft.record, stored.record);
    check_fixed_point(stored);
    return 0;
}
