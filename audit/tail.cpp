#include "audit/tail.h"

#include "audit/glance.h"
#include "audit/reader.h"
#include "audit/rotation.h"
#include "base/file.h"
#include "base/text.h"
#include "base/unique_fd.h"

#include <fcntl.h>
#include <unistd.h>

#include <utility>
#include <vector>

namespace luminous_healing::audit {
namespace {

constexpr std::int64_t kMaxBehind = 10'000;         // steps that may wait to be stored: more than a year of hourly ones
constexpr std::uint64_t kMostSetAside = 2U << 20U;  // bytes: twice what may wait for fdatasync(2), log.cpp

/// The chain before a file's first record.
Expected<std::string> chain_before_file(const StoredRecord& first) {
    if (first.seq == 1) return std::string(kGenesis);
    const auto link = read_link(first.record.detail);
    if (!link) return fail("its first record does not say which chain it continues");
    return link->chain;
}

std::string torn_name(const std::string& path) {
    std::string time = format_rfc3339(now().wall);
    std::erase_if(time, [](char c) { return c == ':' || c == '-'; });
    return path + ".torn-" + time;
}

Expected<std::string> read_range(int fd, std::uint64_t offset, std::uint64_t size) {
    std::string bytes(size, '\0');
    std::size_t filled = 0;
    while (filled < size) {
        const ssize_t n = ::pread(fd, bytes.data() + filled, size - filled, static_cast<off_t>(offset + filled));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail_errno("read");
        if (n == 0) return fail("it became shorter while it was read");
        filled += static_cast<std::size_t>(n);
    }
    return bytes;
}

}  // namespace

Expected<Tail> read_tail(int fd, std::uint64_t size) {
    BackwardReader reader(fd, size);
    Tail tail;
    const auto line = reader.next();
    if (!line) return tl::unexpected(line.error());
    tail.complete_size = reader.complete_size();
    tail.torn = size - tail.complete_size;
    if (!*line) return tail;
    tail.last_line = **line;
    auto last = read_record(tail.last_line);
    if (!last) return fail("its last line is no record: " + last.error().message);
    const auto before = reader.next();
    if (!before) return tl::unexpected(before.error());
    const auto chained = *before ? split_chain(**before) : std::nullopt;
    if (*before && !chained) return fail("its last line but one has no chain");
    auto previous = chained ? Expected<std::string>(std::string(chained->chain)) : chain_before_file(*last);
    if (!previous) return tl::unexpected(previous.error());
    tail.previous_chain = std::move(*previous);
    tail.last = std::move(*last);
    return tail;
}

Expected<SetAside> set_torn_aside(int fd, const std::string& path, const Tail& tail) {
    const auto torn = read_range(fd, tail.complete_size, tail.torn);
    if (!torn) return tl::unexpected(torn.error());
    const std::string name = torn_name(path);
    const UniqueFd copy(::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640));
    if (!copy.valid()) return fail_errno("create " + name);
    if (auto written = write_all(copy.get(), *torn); !written)
        return fail_errno("write " + name, written.error().system_error);
    if (::fsync(copy.get()) != 0) return fail_errno("fsync " + name);
    if (auto synced = sync_folder_of(name); !synced) return tl::unexpected(synced.error());
    if (::ftruncate(fd, static_cast<off_t>(tail.complete_size)) != 0)
        return fail_errno("cut the torn line off " + path);
    if (::fsync(fd) != 0) return fail_errno("fsync " + path);
    const auto digest = protocol::sha256(*torn);
    return SetAside{name, torn->size(), to_hex({digest.data(), digest.size()}), torn->find('\n') != std::string::npos};
}

Expected<Position> match(const Tail& tail, const KeyState& state) {
    auto key = ChainKey::create(state.key, state.epoch);
    if (!key) return tl::unexpected(key.error());
    const auto chained = split_chain(tail.last_line);
    if (!tail.last || !chained) return fail("it has no last record");
    const std::int64_t last_seq = tail.last->seq;
    if (last_seq < state.seq)
        return fail("it ends at seq " + std::to_string(last_seq) + ", but its key was made at seq " +
                    std::to_string(state.seq) + ": records are missing at its end");
    if (last_seq == state.seq) {
        if (chained->chain != state.chain) return fail("its last record is not the one that its key file was made at");
        return Position{{last_seq, state.chain, state.epoch}, std::move(*key), {}};
    }
    std::optional<Secret> stepped;  // the bytes of *key, once it is not the stored one any more
    const auto step = [&]() -> Expected<void> {
        stepped = key->next_bytes();
        key = ChainKey::create(*stepped, key->epoch() + 1);
        return key ? Expected<void>() : tl::unexpected(key.error());
    };
    const auto fits = [&] { return key->chain_of(tail.previous_chain, chained->record_open) == chained->chain; };
    for (std::int64_t steps = 0; steps < kMaxBehind && !fits(); ++steps) {
        if (auto done = step(); !done) return tl::unexpected(done.error());
    }
    if (!fits()) return fail("its last record was not written with the key in its key file");
    if (tail.last->record.event == EventType::key_epoch) {
        if (auto done = step(); !done) return tl::unexpected(done.error());
    }
    const Head head{last_seq, std::string(chained->chain), key->epoch()};
    Position position{head, std::move(*key), {}};
    if (stepped)
        position.to_store = KeyState{head.epoch, last_seq, head.chain, tail.last->timestamp, std::move(*stepped)};
    return position;
}

namespace {

struct Span {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;  // of its newline, exclusive
};

/// Proves lines one after the other, forwards.
class Proof {
public:
    static Expected<Proof> begin(const KeyState& state) {
        auto key = ChainKey::create(state.key, state.epoch);
        if (!key) return tl::unexpected(key.error());
        return Proof(std::move(*key), state);
    }

    /// The file's first line says itself what it continues.
    [[nodiscard]] bool begins_with(const StoredRecord& first) {
        if (seq_ > 0 && first.seq <= seq_) return false;
        const auto before = chain_before_file(first);
        const auto link = read_link(first.record.detail);
        auto stepped = step_to(std::move(key_), link ? link->epoch : 0);
        if (!before || !stepped) return false;
        key_ = std::move(*stepped);
        seq_ = first.seq - 1;
        chain_ = *before;
        return true;
    }

    /// Whose chain fits was written by the daemon, so its beginning says enough; only the last is read as a record.
    [[nodiscard]] bool accept(const std::string& line) {
        const auto chained = split_chain(line);
        const auto head = head_of_line(line);
        if (!chained || !head || head->seq != seq_ + 1) return false;
        if (key_.chain_of(chain_, chained->record_open) != chained->chain) return false;
        if (head->event == EventType::key_epoch) {
            auto next = key_.next();
            if (!next) return false;
            key_ = std::move(*next);
        }
        seq_ = head->seq;
        previous_chain_ = std::exchange(chain_, std::string(chained->chain));
        return true;
    }
    /// The chain before the line accepted last.
    [[nodiscard]] const std::string& previous_chain() const { return previous_chain_; }

private:
    Proof(ChainKey key, const KeyState& state) : key_(std::move(key)), seq_(state.seq), chain_(state.chain) {}
    ChainKey key_;
    std::int64_t seq_;
    std::string chain_;
    std::string previous_chain_;
};

/// The lines from the record that the key was made at on, newest first, or those of the whole file.
struct Lines {
    std::vector<Span> newest_first;
    bool anchored = false;  // the oldest of them is that record
};

Expected<Lines> lines_to_prove(int fd, std::uint64_t size, const KeyState& state) {
    BackwardReader reader(fd, size);
    Lines lines;
    for (std::uint64_t end = 0;;) {
        const auto line = reader.next();
        if (!line) return tl::unexpected(line.error());
        if (lines.newest_first.empty()) end = reader.complete_size();
        if (!*line) return lines;
        lines.newest_first.push_back({end - (*line)->size() - 1, end});
        end -= (*line)->size() + 1;
        const auto chained = split_chain(**line);
        lines.anchored = seq_of_line(**line) == state.seq && chained && chained->chain == state.chain;
        if (lines.anchored || seq_of_line(**line).value_or(state.seq + 1) < state.seq) return lines;
    }
}

Expected<std::string> text_of(int fd, const Span& span) {
    return read_range(fd, span.begin, span.end - span.begin - 1);
}

}  // namespace

Expected<std::optional<Tail>> last_proven(int fd, std::uint64_t size, const KeyState& state) {
    const auto lines = lines_to_prove(fd, size, state);
    auto proof = Proof::begin(state);
    if (!lines || !proof) return std::optional<Tail>();
    Tail tail;
    for (auto span = lines->newest_first.rbegin(); span != lines->newest_first.rend(); ++span) {
        auto line = text_of(fd, *span);
        if (!line) return tl::unexpected(line.error());
        const bool oldest = span == lines->newest_first.rbegin();
        if (oldest && !lines->anchored) {
            const auto first = read_record(*line);
            if (!first) break;
            if (!proof->begins_with(*first)) return std::optional<Tail>();
        }
        if ((!oldest || !lines->anchored) && !proof->accept(*line)) {
            if (oldest) return std::optional<Tail>();
            break;
        }
        tail.complete_size = span->end;
        tail.last_line = std::move(*line);
        tail.previous_chain = proof->previous_chain();
    }
    tail.torn = size - tail.complete_size;
    if (tail.torn > kMostSetAside) return std::optional<Tail>();
    if (tail.last_line.empty()) return std::optional(std::move(tail));
    auto last = read_record(tail.last_line);
    if (!last) return std::optional<Tail>();
    tail.last = std::move(*last);
    return std::optional(std::move(tail));
}

}  // namespace luminous_healing::audit
