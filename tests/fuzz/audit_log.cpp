// The verifier and the readers against somebody who changes the files of a log. The log is written with a known key:
// thirteen records, three files, three epochs. The input's lines say what is done to it, by line number:
//
//   drop N | swap N M | copy N M | cut N K | byte N K TEXT | text N TEXT | move N M (between files) | torn TEXT
//   forge N TEXT    record N gets this reason, and from there on everything is chained anew with the last epoch's key,
//                   which is what a thief of the running daemon's key can do
//
// With a witness's head nothing goes unnoticed, without one nothing that was written before the last epoch.

#include "audit/chain.h"
#include "audit/reader.h"
#include "audit/record.h"
#include "audit/rotation.h"
#include "audit/tail.h"
#include "audit/verify.h"
#include "base/text.h"
#include "tests/fuzz/folder.h"
#include "tests/fuzz/support.h"

#include <algorithm>
#include <array>

using namespace luminous_healing;
using namespace luminous_healing::audit;
using namespace luminous_healing::fuzz;

namespace {

constexpr std::size_t kFiles = 3;

struct Line {
    std::string text;
    std::size_t file = 0;
    bool operator==(const Line&) const = default;
};

Secret first_key() { return Secret(std::string(kKeyBytes, 'k')); }

/// A whole log, and where it stands.
struct Original {
    std::vector<Line> lines;
    Head head;
    KeyState state;               // of the last epoch
    std::size_t epoch_began = 0;  // lines before the last epoch
    std::array<std::string, kFiles> names;
};

class Writer {
public:
    Original original;

    void add(EventType event, const std::string& detail = {}, std::optional<protocol::Code> code = {}) {
        Record record;
        record.event = event;
        record.detail = detail;
        record.code = code;
        if (code) record.request_id = "request-" + std::to_string(original.head.seq + 1);
        if (code) record.caller = "monitor";
        const std::int64_t seq = original.head.seq + 1;
        const Instant now{WallTime{Micros(1'790'000'000'000'000 + seq * 1000)}, BootTime{Micros(seq * 1000)}};
        const std::string written = write_record(record, {now, seq, "boot1", "host1", "digest"});
        const std::string chain =
            key_.chain_of(original.head.chain, std::string_view(written).substr(0, written.size() - 1));
        original.lines.push_back({chained_line(written, chain), file_});
        original.head = {seq, chain, key_.epoch()};
    }
    void next_epoch() {
        add(EventType::key_epoch, "{\"epoch\":" + std::to_string(key_.epoch() + 1) + "}");
        original.state = KeyState{key_.epoch() + 1, original.head.seq, original.head.chain, {}, key_.next_bytes()};
        key_ = *key_.next();
        original.head.epoch = key_.epoch();
        original.epoch_began = original.lines.size();
    }
    void next_file() {
        ++file_;
        original.names[file_ - 1] = rotated_name("audit.json", file_ == 1 ? 1 : rotated_at_);
        rotated_at_ = original.head.seq + 1;
        add(EventType::rotate,
            "{\"epoch\":" + std::to_string(key_.epoch()) + ",\"chain\":\"" + original.head.chain + "\",\"oldest\":1}");
    }

private:
    ChainKey key_ = *ChainKey::create(first_key(), 0);
    std::size_t file_ = 0;
    std::int64_t rotated_at_ = 1;
};

Original write_original() {
    using protocol::Code;
    Writer writer;
    writer.add(EventType::start);
    writer.add(EventType::decision, {}, Code::ok);
    writer.add(EventType::outcome, {}, Code::ok);
    writer.add(EventType::decision, {}, Code::rate_limited);
    writer.next_epoch();
    writer.add(EventType::decision, {}, Code::ok);
    writer.next_file();
    writer.add(EventType::outcome, {}, Code::not_healed);
    writer.next_epoch();
    writer.add(EventType::decision, {}, Code::ok);
    writer.next_file();
    writer.add(EventType::outcome, {}, Code::timeout);
    writer.add(EventType::stop);
    writer.original.names[kFiles - 1] = "audit.json";
    return std::move(writer.original);
}

const Original& original() {
    static const Original made = write_original();
    return made;
}

/// The log as somebody left it.
struct Changed {
    std::vector<Line> lines = original().lines;
    std::string torn;
    bool forged = false;

    void change(std::string_view order);
    void forge(std::size_t from, std::string_view reason);
    [[nodiscard]] std::size_t at(std::string_view& rest) const {
        return parse_integer<std::uint32_t>(next_part(rest, ' ')).value_or(0) % lines.size();
    }
    [[nodiscard]] std::string content(std::size_t file) const {
        std::string text;
        for (const auto& line : lines) {
            if (line.file == file) text += line.text + "\n";
        }
        return file + 1 == kFiles ? text + torn : text;
    }
};

std::string one_line(std::string_view text) { return std::string(text.substr(0, text.find('\n'))); }

void Changed::change(std::string_view order) {
    if (lines.empty() || lines.size() > 64) return;
    const auto word = next_part(order, ' ');
    if (word == "torn") {
        torn = one_line(order);
        return;
    }
    const std::size_t n = at(order);
    if (word == "drop") lines.erase(lines.begin() + static_cast<std::ptrdiff_t>(n));
    else if (word == "swap") std::swap(lines[n].text, lines[at(order)].text);
    else if (word == "copy") lines.insert(lines.begin() + static_cast<std::ptrdiff_t>(at(order)), Line(lines[n]));
    else if (word == "cut")
        lines[n].text.resize(parse_integer<std::uint32_t>(next_part(order, ' ')).value_or(0) %
                             (lines[n].text.size() + 1));
    else if (word == "text") lines[n].text = one_line(order);
    else if (word == "move") lines[n].file = parse_integer<std::uint32_t>(order).value_or(0) % kFiles;
    else if (word == "forge") forge(n, order);
    else if (word == "byte" && !lines[n].text.empty()) {
        const auto where = parse_integer<std::uint32_t>(next_part(order, ' ')).value_or(0) % lines[n].text.size();
        lines[n].text.replace(where, order.size(), one_line(order));
    }
    std::stable_sort(lines.begin(), lines.end(), [](const Line& a, const Line& b) { return a.file < b.file; });
}

void Changed::forge(std::size_t from, std::string_view reason) {
    forged = true;
    const auto key = ChainKey::create(Secret(std::string(original().state.key.bytes())), original().state.epoch);
    const auto before = from == 0 ? std::optional<ChainedLine>() : split_chain(lines[from - 1].text);
    std::string chain = before ? std::string(before->chain) : std::string(kGenesis);
    for (std::size_t i = from; i < lines.size(); ++i) {
        auto stored = read_record(lines[i].text);
        if (!stored) return;
        if (i == from) stored->record.reason = reason;
        const std::string written = write_record(
            stored->record,
            {{stored->timestamp, stored->boottime}, stored->seq, stored->boot_id, stored->host, stored->config});
        chain = key->chain_of(chain, std::string_view(written).substr(0, written.size() - 1));
        lines[i].text = chained_line(written, chain);
    }
}

bool same_texts(const std::vector<Line>& lines, std::size_t count) {
    const auto& from = original().lines;
    return lines.size() >= count &&
           std::equal(lines.begin(), lines.begin() + static_cast<std::ptrdiff_t>(count), from.begin(),
                      [](const Line& a, const Line& b) { return a.text == b.text; });
}

void check_report(const VerifyReport& report, const Changed& changed) {
    must(report.ok == (report.damage == Damage::none), "a damage has a name");
    must(report.ok == report.explanation.empty(), "and an explanation");
    must(report.explanation == printable_line(report.explanation, 4096), "that is safe to print");
    if (report.ok) must(report.records > 0 && report.head.seq > 0, "a good log has records");
    if (!changed.forged && report.first_seq == 1)
        must(report.head.seq == 0 || original().lines[static_cast<std::size_t>(report.head.seq - 1)].text.find(
                                         report.head.chain) != std::string::npos,
             "what is proven is what was written");
}

void check_verify(const Folder& folder, const Changed& changed) {
    const std::string key = to_hex(first_key().bytes());
    const auto& head = original().head;
    const std::size_t all = original().lines.size();
    const bool unchanged = changed.lines == original().lines;
    const auto witnessed = verify({{folder.path()}, key, head});
    const auto alone = verify({{folder.path()}, key, {}});
    if (unchanged) must(witnessed && witnessed->ok && alone && alone->ok, "a log that nobody touched is whole");
    if (witnessed) {
        check_report(*witnessed, changed);
        must(!witnessed->ok || same_texts(changed.lines, all), "with a witness nothing that changed is whole");
        must(!witnessed->ok || changed.forged || witnessed->records == all, "and nothing was added");
    }
    if (alone) {
        check_report(*alone, changed);
        const std::size_t sure = std::min(original().epoch_began, changed.lines.size());
        must(!alone->ok || same_texts(changed.lines, sure), "no key that is left signs the past again");
        must(!alone->ok || changed.forged || same_texts(changed.lines, changed.lines.size()), "nor does no key at all");
    }
    must(!witnessed || !witnessed->ok || alone->ok, "a witness only adds reasons to doubt");
}

void check_readers(const Folder& folder) {
    std::vector<std::int64_t> forward;
    std::vector<std::int64_t> back;
    std::size_t damaged = 0;
    const auto read = read_forward(folder.path(), [&](const StoredRecord& r, std::string_view) {
        forward.push_back(r.seq);
        return true;
    });
    const auto seen = read_back(
        folder.path(),
        [&](const StoredRecord& r) {
            back.push_back(r.seq);
            return true;
        },
        [&](const std::string& why) {
            must(!why.empty(), "damage is told");
            ++damaged;
            return true;
        });
    must(seen.has_value(), "damage is left out, never in the way");
    if (!read) return;
    std::reverse(back.begin(), back.end());
    must(damaged == 0 && forward == back, "both directions read the same records");
}

/// What the daemon does with the end of its file when it starts.
void check_tail(const Folder& folder, const Changed& changed) {
    const std::string text = changed.content(kFiles - 1);
    const UniqueFd fd(::open(folder.file("audit.json").c_str(), O_RDONLY | O_CLOEXEC));
    must(fd.valid(), "the file is there");
    const auto original_line = [](const std::string& line) {
        const auto& lines = original().lines;
        return std::any_of(lines.begin(), lines.end(), [&](const Line& l) { return l.text == line; });
    };
    const auto tail = read_tail(fd.get(), text.size());
    if (tail) {
        must(tail->complete_size + tail->torn == text.size(), "every byte is of a line or torn");
        // A foreign record is tried with ten thousand keys, which is not worth a fuzzer's time each time.
        const bool tried = changed.forged || original_line(tail->last_line) || tail->last_line.size() % 16 == 0;
        const auto position = tried ? match(*tail, original().state) : Expected<Position>(fail("not tried"));
        must(!position || changed.forged || original_line(tail->last_line), "no foreign record is continued");
        must(!position || position->head.epoch >= original().state.epoch, "no key comes back");
    }
    const auto proven = last_proven(fd.get(), text.size(), original().state);
    must(proven.has_value(), "a file that can be read is looked through");
    if (!*proven || !(*proven)->last) return;
    must((*proven)->complete_size + (*proven)->torn == text.size(), "what is not proven is torn");
    must(changed.forged || original_line((*proven)->last_line), "no foreign record is proven");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const Folder folder;
    Changed changed;
    for (const auto order : lines_of(text_of(data, size))) changed.change(order);
    // A link may name an epoch far ahead, which is stepped to: bounded, but not worth a fuzzer's time.
    for (const auto& line : changed.lines) {
        const auto epoch = line.text.find("\"epoch\":");
        if (epoch != std::string::npos && line.text.find_first_not_of("0123456789", epoch + 8) > epoch + 11) return 0;
    }
    for (std::size_t i = 0; i < kFiles; ++i) folder.write(original().names[i], changed.content(i));
    check_verify(folder, changed);
    check_readers(folder);
    check_tail(folder, changed);
    return 0;
}
