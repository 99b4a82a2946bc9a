#pragma once
// The chain that makes the log tamper-evident, without files or clocks.
//
//   chain(n) = HMAC-SHA256(K_epoch, chain(n-1) as hex || the record's JSON object without its `chain` member)
//   K(e+1)   = HMAC-SHA256(K(e), "luminous-healing/2 audit key\n"), and K(e) is erased
//
// chain(0) is 64 zeros. The two uses of a key cannot be confused: the first always begins with a hexadecimal digit.
// A `key_epoch` record ends an epoch: it is chained under the old key, its detail is {"epoch":N}, and every record
// after it is chained under K(N). Who steals K(e) can therefore forge nothing that was written before epoch e began.
//
// The first record of each file but the very first carries {"epoch":N,"chain":"…"} in its detail: the key it is chained
// under and the chain before it. So a file can be checked when those before it are gone.

#include "base/expected.h"
#include "protocol/mac.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace luminous_healing::audit {

inline constexpr std::string_view kGenesis = "0000000000000000000000000000000000000000000000000000000000000000";
inline constexpr std::size_t kKeyBytes = 32;
inline constexpr std::int64_t kMaxEpoch = 2'000'000;  // of one an hour, 228 years; bounds what a forged number can cost

/// The last record: what a witness keeps. `epoch` is that of the key which the next record will be chained under.
struct Head {
    std::int64_t seq = 0;
    std::string chain = std::string(kGenesis);
    std::int64_t epoch = 0;
};

inline constexpr std::size_t kChainAndNewline = 76;  // bytes that a line has more than its record: `,"chain":"…"`, '\n'

/// Key bytes that are overwritten when they go out of scope.
class Secret {
public:
    explicit Secret(std::string bytes) : bytes_(std::move(bytes)) {}
    Secret(Secret&&) = default;
    Secret& operator=(Secret&&) = default;
    Secret(const Secret&) = delete;
    Secret& operator=(const Secret&) = delete;
    ~Secret() { protocol::wipe(bytes_); }
    [[nodiscard]] const std::string& bytes() const noexcept { return bytes_; }

private:
    std::string bytes_;
};

/// K(epoch), prepared.
class ChainKey {
public:
    /// `bytes` are kKeyBytes raw bytes.
    [[nodiscard]] static Expected<ChainKey> create(const Secret& bytes, std::int64_t epoch);

    /// The chain value, as hex, of a record whose JSON is `record_open` and a closing brace.
    [[nodiscard]] std::string chain_of(std::string_view previous_chain, std::string_view record_open) const;
    [[nodiscard]] Secret next_bytes() const;
    [[nodiscard]] Expected<ChainKey> next() const { return create(next_bytes(), epoch_ + 1); }
    [[nodiscard]] std::int64_t epoch() const noexcept { return epoch_; }

private:
    ChainKey(protocol::MacKey key, std::int64_t epoch) : key_(std::move(key)), epoch_(epoch) {}
    protocol::MacKey key_;
    std::int64_t epoch_;
};

/// Steps a key forward to `epoch`; an error for one that lies behind it or beyond kMaxEpoch.
[[nodiscard]] Expected<ChainKey> step_to(ChainKey key, std::int64_t epoch);

/// A line taken apart. Views into the line.
struct ChainedLine {
    std::string_view record_open;  ///< the record without `chain` and without its closing brace
    std::string_view chain;
};

/// Nothing when the line does not end in a chain member as chained_line() writes it.
[[nodiscard]] std::optional<ChainedLine> split_chain(std::string_view line);

/// The record with its chain as last member, without newline. `record` is what write_record() returned.
[[nodiscard]] std::string chained_line(std::string_view record, std::string_view chain);
/// The same, put behind what `lines` holds.
void append_chained(std::string& lines, std::string_view record, std::string_view chain);

/// {"epoch":N,"chain":"…"} of a file's first record.
struct Link {
    std::int64_t epoch = 0;
    std::string chain;
};
[[nodiscard]] std::optional<Link> read_link(std::string_view detail);

/// "oldest" of the same detail: the seq that the oldest file of the log begins with.
[[nodiscard]] std::optional<std::int64_t> read_oldest(std::string_view detail);

/// N of {"epoch":N}, the detail of a key_epoch record.
[[nodiscard]] std::optional<std::int64_t> read_epoch(std::string_view detail);

}  // namespace luminous_healing::audit
