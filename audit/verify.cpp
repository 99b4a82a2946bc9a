#include "audit/verify.h"

#include "audit/glance.h"
#include "audit/reader.h"
#include "audit/record.h"
#include "audit/rotation.h"
#include "base/text.h"

#include <algorithm>
#include <array>

namespace luminous_healing::audit {
namespace {

constexpr std::array<std::string_view, 11> kDamageNames{"none",         "changed",   "inserted",   "missing",
                                                        "missing_file", "reordered", "duplicated", "truncated",
                                                        "spliced",      "bad_epoch", "unreadable"};

struct Place {
    std::size_t file = 0;
    std::uint64_t line = 0;
};

class Verifier {
public:
    Verifier(std::vector<Segment> files, ChainKey key, std::optional<Head> witness, bool whole)
        : files_(std::move(files)), key_(std::move(key)), witness_(std::move(witness)), whole_(whole) {}

    Expected<VerifyReport> run();

private:
    Expected<bool> check_file();
    bool check_line(std::string_view line);
    bool is_plainly_good(std::string_view line, const std::optional<ChainedLine>& chained);
    bool begin(const StoredRecord& first);
    bool check_place_of_file(const StoredRecord& record);
    bool accept(const StoredRecord& record, std::string_view chain);
    bool check_witness(const StoredRecord& record, std::string_view chain);
    void check_end();

    bool damaged(Damage damage, const std::string& explanation);
    bool explain_wrong_seq(const StoredRecord& record, std::string_view line);
    bool explain_wrong_chain(const StoredRecord& record, const ChainedLine& chained);
    /// A line with this seq in the files from `from` on, other than the one at hand.
    [[nodiscard]] std::optional<std::string> find_line(std::int64_t seq, std::size_t from_file) const;
    /// The host that wrote the last good record.
    [[nodiscard]] std::string host() const;
    [[nodiscard]] bool was_chained_with_other_key(const ChainedLine& chained) const;

    std::vector<Segment> files_;
    ChainKey key_;
    std::optional<ChainKey> key_before_;
    std::optional<Head> witness_;
    bool whole_;  // a folder's log: every file that must be there is looked for
    VerifyReport report_;
    Place at_;
    std::string host_;         // of the last record that was read; those after it were only glanced at
    std::int64_t oldest_ = 0;  // what the last rotation said the oldest file begins with
    bool met_witness_ = false;
};

bool Verifier::damaged(Damage damage, const std::string& explanation) {
    report_.damage = damage;
    report_.explanation = printable_line(explanation, 1024);
    report_.file = files_.empty() ? "" : files_[std::min(at_.file, files_.size() - 1)].path;
    report_.line = at_.line;
    report_.seq = report_.head.seq + 1;
    return false;
}

std::optional<std::string> Verifier::find_line(std::int64_t seq, std::size_t from_file) const {
    for (std::size_t i = from_file; i < files_.size(); ++i) {
        auto reader = LineReader::open(files_[i].path);
        while (reader) {
            const auto line = reader->next();
            if (!line || !*line) break;
            const bool itself = i == at_.file && (*line)->number == at_.line;
            if (!itself && seq_of_line((*line)->text) == seq) return std::string((*line)->text);
        }
    }
    return {};
}

bool Verifier::was_chained_with_other_key(const ChainedLine& chained) const {
    const auto fits = [&](const ChainKey& key) {
        return key.chain_of(report_.head.chain, chained.record_open) == chained.chain;
    };
    if (key_before_ && fits(*key_before_)) return true;
    auto later = key_.next();
    for (int i = 0; i < 1000 && later; ++i, later = later->next()) {
        if (fits(*later)) return true;
    }
    return false;
}

std::string Verifier::host() const {
    const auto line = report_.records > 0 ? find_line(report_.head.seq, 0) : std::nullopt;
    const auto last = read_record(line.value_or(""));
    return last ? last->host : host_;
}

bool Verifier::explain_wrong_seq(const StoredRecord& record, std::string_view line) {
    const std::int64_t expected = report_.head.seq + 1;
    const std::string found =
        "seq " + std::to_string(record.seq) + " stands where seq " + std::to_string(expected) + " belongs";
    if (record.host != host())
        return damaged(Damage::spliced, found + ", and it is from the host " + record.host + ", not " + host());
    if (record.seq < expected) {
        const auto first = find_line(record.seq, 0);
        if (first && *first == line) return damaged(Damage::duplicated, found + ": the same record stands twice");
        return damaged(Damage::inserted, found + ": that seq has another record");
    }
    if (find_line(expected, at_.file)) return damaged(Damage::reordered, found + ", which stands later");
    const std::string gap = found + ": " + std::to_string(record.seq - expected) + " records are missing";
    if (at_.line == 1) return damaged(Damage::missing_file, gap + " between two files");
    return damaged(Damage::missing, gap);
}

bool Verifier::explain_wrong_chain(const StoredRecord& record, const ChainedLine& chained) {
    if (was_chained_with_other_key(chained))
        return damaged(Damage::bad_epoch,
                       "the record was chained with the key of another epoch than " + std::to_string(key_.epoch()));
    if (record.host != host())
        return damaged(Damage::spliced, "the record is from the host " + record.host + ", not " + host());
    const auto twin = find_line(record.seq, at_.file);
    const auto twin_chained = twin ? split_chain(*twin) : std::nullopt;
    if (twin_chained && key_.chain_of(report_.head.chain, twin_chained->record_open) == twin_chained->chain)
        return damaged(Damage::inserted, "the record was never written: the true one of this seq stands later");
    return damaged(Damage::changed, "the record, or the one before it, is not what was written");
}

/// The first record of all: the log's first, or one that names the chain and key it continues.
bool Verifier::begin(const StoredRecord& first) {
    host_ = first.host;
    report_.first_seq = first.seq;
    if (first.seq == 1) return true;
    const auto link = read_link(first.record.detail);
    if (first.record.event != EventType::rotate || !link)
        return damaged(Damage::missing, "the records before seq " + std::to_string(first.seq) + " are missing");
    auto stepped = step_to(std::move(key_), link->epoch);
    if (!stepped) return damaged(Damage::bad_epoch, stepped.error().message);
    key_ = std::move(*stepped);
    report_.head = {first.seq - 1, link->chain, link->epoch};
    return true;
}

bool Verifier::check_place_of_file(const StoredRecord& record) {
    const auto& path = files_[at_.file].path;
    const auto dot = path.rfind('.');
    const auto named = dot == std::string::npos ? std::nullopt : seq_of_rotated_name(path.substr(0, dot), path);
    if (!named || *named == record.seq) return true;
    return damaged(Damage::reordered, "the file is named for seq " + std::to_string(*named) + " but begins with seq " +
                                          std::to_string(record.seq));
}

/// A record in its place whose chain fits: the daemon wrote it, so its beginning says all that matters here. False for
/// one that says more than itself, like a new key, and for whatever must be explained; check_line() looks closer.
bool Verifier::is_plainly_good(std::string_view line, const std::optional<ChainedLine>& chained) {
    const auto head = head_of_line(line);
    if (!chained || !head || at_.line == 1 || head->seq != report_.head.seq + 1) return false;
    if (head->event == EventType::key_epoch || head->event == EventType::rotate) return false;
    if (witness_ && head->seq == witness_->seq) return false;
    if (key_.chain_of(report_.head.chain, chained->record_open) != chained->chain) return false;
    report_.head.seq = head->seq;
    report_.head.chain = chained->chain;
    ++report_.records;
    return true;
}

bool Verifier::check_line(std::string_view line) {
    const auto chained = split_chain(line);
    if (is_plainly_good(line, chained)) return true;
    if (!chained) return damaged(Damage::unreadable, "the line does not end in a chain value");
    const auto record = read_record(line);
    if (!record) return damaged(Damage::unreadable, record.error().message);
    if (report_.first_seq == 0 && !begin(*record)) return false;
    if (at_.line == 1 && !check_place_of_file(*record)) return false;
    if (record->seq != report_.head.seq + 1) return explain_wrong_seq(*record, line);
    if (key_.chain_of(report_.head.chain, chained->record_open) != chained->chain)
        return explain_wrong_chain(*record, *chained);
    return accept(*record, chained->chain);
}

bool Verifier::accept(const StoredRecord& record, std::string_view chain) {
    if (record.record.event == EventType::key_epoch) {
        const auto epoch = read_epoch(record.record.detail);
        auto next = key_.next();
        if (!next || epoch != key_.epoch() + 1)
            return damaged(Damage::bad_epoch, "epoch " + std::to_string(key_.epoch()) + " is not followed by the next");
        key_before_ = std::move(key_);
        key_ = std::move(*next);
    }
    if (record.record.event == EventType::rotate) oldest_ = read_oldest(record.record.detail).value_or(0);
    host_ = record.host;
    if (!check_witness(record, chain)) return false;
    report_.head = {record.seq, std::string(chain), key_.epoch()};
    ++report_.records;
    return true;
}

bool Verifier::check_witness(const StoredRecord& record, std::string_view chain) {
    if (!witness_ || record.seq != witness_->seq) return true;
    met_witness_ = chain == witness_->chain;
    return met_witness_ || damaged(Damage::changed,
                                   "the witness saw another chain value at this seq: the log was "
                                   "written anew with its current key");
}

/// False: stop, the damage is in the report.
Expected<bool> Verifier::check_file() {
    auto reader = LineReader::open(files_[at_.file].path);
    if (!reader) return tl::unexpected(reader.error());
    ++report_.files;
    while (true) {
        at_.line = reader->lines() + 1;
        const auto line = reader->next();
        if (!line && line.error().system_error != EFBIG) return tl::unexpected(line.error());
        if (!line) return damaged(Damage::unreadable, line.error().message);
        if (!*line) break;
        if (!check_line((*line)->text)) return false;
    }
    // Whether something is missing there shows in the next record, or against the witness; the torn line itself is
    // what a crash leaves.
    if (reader->unfinished() > 0)
        report_.notes.push_back(files_[at_.file].path + " ends in a torn line of " +
                                std::to_string(reader->unfinished()) + " bytes, as after a crash");
    return true;
}

void Verifier::check_end() {
    at_ = {};
    if (whole_ && oldest_ > 0 && report_.first_seq > oldest_) {
        damaged(Damage::missing_file, "the oldest file must begin with seq " + std::to_string(oldest_) + ", not " +
                                          std::to_string(report_.first_seq));
        report_.seq = oldest_;
        return;
    }
    at_.file = files_.size() - 1;
    if (witness_ && witness_->seq > report_.head.seq) {
        damaged(Damage::truncated, "the log ends at seq " + std::to_string(report_.head.seq) +
                                       ", but the witness saw seq " + std::to_string(witness_->seq));
        return;
    }
    if (witness_ && !met_witness_ && witness_->seq > 0)
        report_.notes.emplace_back("the witness's record is older than the files that are here");
    report_.ok = true;
}

Expected<VerifyReport> Verifier::run() {
    for (; at_.file < files_.size(); ++at_.file) {
        const auto good = check_file();
        if (!good) return tl::unexpected(good.error());
        if (!*good) return std::move(report_);
    }
    if (report_.records == 0) return fail("the log holds no record");
    check_end();
    return std::move(report_);
}

Expected<std::vector<Segment>> files_of(const VerifyRequest& request) {
    if (request.paths.size() == 1 && is_folder(request.paths[0])) {
        const auto log = log_in_folder(request.paths[0]);
        if (!log) return tl::unexpected(log.error());
        return all_files(*log);
    }
    std::vector<Segment> files;
    for (const auto& path : request.paths) {
        auto reader = LineReader::open(path);
        if (!reader) return tl::unexpected(reader.error());
        const auto line = reader->next();
        const auto seq = line && *line ? seq_of_line((*line)->text) : std::nullopt;
        files.push_back({path, seq.value_or(0)});
    }
    std::stable_sort(files.begin(), files.end(),
                     [](const Segment& a, const Segment& b) { return a.first_seq < b.first_seq; });
    return files;
}

}  // namespace

std::string_view name_of(Damage damage) { return kDamageNames.at(static_cast<std::size_t>(damage)); }

Expected<VerifyReport> verify(const VerifyRequest& request) {
    auto bytes = from_hex(trim(request.first_key));
    if (!bytes || bytes->size() != kKeyBytes)
        return fail("the first key must be 64 hexadecimal digits, as healctl audit keys printed it");
    auto key = ChainKey::create(Secret(std::move(*bytes)), 0);
    if (!key) return tl::unexpected(key.error());
    auto files = files_of(request);
    if (!files) return tl::unexpected(files.error());
    if (files->empty()) return fail("there is no audit log to verify");
    const bool whole = request.paths.size() == 1 && is_folder(request.paths[0]);
    return Verifier(std::move(*files), std::move(*key), request.head, whole).run();
}

}  // namespace luminous_healing::audit
