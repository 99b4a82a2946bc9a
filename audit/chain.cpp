#include "audit/chain.h"

#include "audit/record.h"
#include "base/text.h"
#include "protocol/json_reader.h"

namespace luminous_healing::audit {
namespace {

constexpr std::string_view kBefore = ",\"chain\":\"";
constexpr std::string_view kAfter = "\"}";
constexpr std::size_t kHexDigits = 64;

/// 64 digits, all looked at without a branch: which range a digit is in cannot be predicted. In bytes and of a length
/// that is known, so that the compiler takes sixteen at a time.
bool is_chain_value(std::string_view text) {
    if (text.size() != kHexDigits) return false;
    unsigned char good = 1;
    for (std::size_t i = 0; i < kHexDigits; ++i) {
        const auto from_0 = static_cast<unsigned char>(text[i] - '0');
        const auto from_a = static_cast<unsigned char>(text[i] - 'a');
        good &= static_cast<unsigned char>((from_0 < 10 ? 1 : 0) | (from_a < 6 ? 1 : 0));
    }
    return good != 0;
}

std::optional<std::int64_t> epoch_of(const protocol::Json& detail) {
    const auto* const epoch = detail.find("epoch");
    if (epoch == nullptr || !epoch->is(protocol::Json::Kind::number)) return {};
    const auto value = parse_integer<std::int64_t>(epoch->text);
    return value && *value >= 0 && *value <= kMaxEpoch ? value : std::nullopt;
}

}  // namespace

Expected<ChainKey> ChainKey::create(const Secret& bytes, std::int64_t epoch) {
    if (bytes.bytes().size() != kKeyBytes) return fail("an audit key must have 32 bytes");
    auto key = protocol::MacKey::create(bytes.bytes());
    if (!key) return tl::unexpected(key.error());
    return ChainKey(std::move(*key), epoch);
}

std::string ChainKey::chain_of(std::string_view previous_chain, std::string_view record_open) const {
    return key_.sign({previous_chain, record_open, "}"}).hex();
}

Secret ChainKey::next_bytes() const {
    const auto mac = key_.sign({"luminous-healing/2 audit key\n"});
    return Secret(std::string(mac.bytes.data(), mac.bytes.size()));
}

Expected<ChainKey> step_to(ChainKey key, std::int64_t epoch) {
    if (epoch < key.epoch() || epoch > kMaxEpoch)
        return fail("no key of epoch " + std::to_string(epoch) + " follows from one of epoch " +
                    std::to_string(key.epoch()));
    while (key.epoch() < epoch) {
        auto next = key.next();
        if (!next) return next;
        key = std::move(*next);
    }
    return key;
}

std::optional<ChainedLine> split_chain(std::string_view line) {
    constexpr std::size_t kSuffix = kBefore.size() + kHexDigits + kAfter.size();
    if (line.size() < kSuffix + 2 || line.front() != '{') return {};
    const auto suffix = line.substr(line.size() - kSuffix);
    const auto chain = suffix.substr(kBefore.size(), kHexDigits);
    if (!suffix.starts_with(kBefore) || !suffix.ends_with(kAfter) || !is_chain_value(chain)) return {};
    return ChainedLine{line.substr(0, line.size() - kSuffix), chain};
}

void append_chained(std::string& lines, std::string_view record, std::string_view chain) {
    lines.append(record.substr(0, record.size() - 1)).append(kBefore).append(chain).append(kAfter);
}

std::string chained_line(std::string_view record, std::string_view chain) {
    std::string line;
    append_chained(line, record, chain);
    return line;
}

std::optional<Link> read_link(std::string_view detail) {
    const auto object = protocol::read_json_object(detail, kMaxLine);
    if (!object) return {};
    const auto epoch = epoch_of(*object);
    const auto* const chain = object->find("chain");
    if (!epoch || chain == nullptr || !is_chain_value(chain->text)) return {};
    return Link{*epoch, chain->text};
}

std::optional<std::int64_t> read_oldest(std::string_view detail) {
    const auto object = protocol::read_json_object(detail, kMaxLine);
    const auto* const oldest = object ? object->find("oldest") : nullptr;
    const auto seq = oldest != nullptr ? parse_integer<std::int64_t>(oldest->text) : std::nullopt;
    return seq && *seq > 0 ? seq : std::nullopt;
}

std::optional<std::int64_t> read_epoch(std::string_view detail) {
    const auto object = protocol::read_json_object(detail, kMaxLine);
    return object ? epoch_of(*object) : std::nullopt;
}

}  // namespace luminous_healing::audit
