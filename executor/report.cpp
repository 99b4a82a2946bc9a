#include "executor/report.h"

#include "base/text.h"
#include "protocol/limits.h"

#include <cstring>

namespace luminous_healing::executor {
namespace {

constexpr std::size_t kPrefix = 5;      // kind, length
constexpr std::size_t kMaxFacts = 256;  // entries of a report
constexpr std::size_t kMaxFact = 4096;  // bytes of a text fact
constexpr std::size_t kMaxName = 64;    // bytes of a fact's name

void put(std::string& out, std::string_view text) {
    const auto length = static_cast<std::uint32_t>(text.size());
    out.append(reinterpret_cast<const char*>(&length), sizeof length);
    out += text;
}

/// Takes values off the front; once something does not fit, everything after it is empty and ok is false.
struct Taker {
    std::string_view rest;
    bool ok = true;

    std::string_view bytes(std::size_t count) {
        if (!ok || rest.size() < count) {
            ok = false;
            return {};
        }
        const auto taken = rest.substr(0, count);
        rest.remove_prefix(count);
        return taken;
    }
    template <class Int>
    Int number() {
        Int value{};
        if (const auto raw = bytes(sizeof value); ok) std::memcpy(&value, raw.data(), sizeof value);
        return value;
    }
    std::string text(std::size_t most) {
        const auto raw = bytes(number<std::uint32_t>());
        return printable(raw, most);
    }
};

void put_fact(std::string& out, const std::string& name, const actions::FactValue& value) {
    put(out, name);
    out += static_cast<char>(value.index());
    if (const auto* const text = std::get_if<std::string>(&value)) return put(out, *text);
    const std::int64_t number = std::holds_alternative<bool>(value) ? static_cast<std::int64_t>(std::get<bool>(value))
                                                                    : std::get<std::int64_t>(value);
    out.append(reinterpret_cast<const char*>(&number), sizeof number);
}

void take_fact(Taker& taker, actions::Facts& facts) {
    const std::string name = printable_line(taker.text(kMaxName), kMaxName);
    const auto kind = taker.number<char>();
    if (kind == 0) return facts.set(name, taker.text(kMaxFact));
    const auto number = taker.number<std::int64_t>();
    if (kind == 2) facts.set(name, number != 0);
    else facts.set(name, number);
}

std::optional<actions::Report> take_report(std::string_view bytes) {
    Taker taker{bytes};
    actions::Report report;
    const auto code = taker.number<std::uint8_t>();
    const auto verdict = taker.number<std::uint8_t>();
    if (code > static_cast<std::uint8_t>(protocol::Code::interrupted)) return {};
    report.code = static_cast<protocol::Code>(code);
    if (verdict <= static_cast<std::uint8_t>(protocol::Verdict::unverifiable))
        report.verdict = static_cast<protocol::Verdict>(verdict);
    report.output = taker.text(protocol::kMaxOutput);
    if (taker.number<std::uint8_t>() != 0) report.error = taker.text(protocol::kMaxError);
    const auto facts = taker.number<std::uint32_t>();
    if (facts > kMaxFacts) return {};
    for (std::uint32_t i = 0; i < facts && taker.ok; ++i) take_fact(taker, report.facts);
    if (!taker.ok || !taker.rest.empty()) return {};
    return report;
}

std::string frame(WorkerMessage::Kind kind, std::string_view payload) {
    std::string out(1, static_cast<char>(kind));
    put(out, payload);
    return out;
}

}  // namespace

std::string encode_text(WorkerMessage::Kind kind, std::string_view text) { return frame(kind, text.substr(0, 4096)); }

std::string encode_report(const actions::Report& report) {
    std::string payload;
    payload += static_cast<char>(report.code);
    payload += report.verdict ? static_cast<char>(*report.verdict) : '\xFF';
    put(payload, std::string_view(report.output).substr(0, protocol::kMaxOutput));
    payload += static_cast<char>(report.error.has_value());
    if (report.error) put(payload, std::string_view(*report.error).substr(0, protocol::kMaxError));
    const auto& facts = report.facts.all();
    const auto count = static_cast<std::uint32_t>(std::min(facts.size(), kMaxFacts));
    payload.append(reinterpret_cast<const char*>(&count), sizeof count);
    for (std::uint32_t i = 0; i < count; ++i) put_fact(payload, facts[i].first, facts[i].second);
    return frame(WorkerMessage::Kind::report, payload);
}

std::optional<WorkerMessage> ReportReader::next() {
    if (broken_ || buffer_.size() < kPrefix) return {};
    std::uint32_t length = 0;
    std::memcpy(&length, buffer_.data() + 1, sizeof length);
    if (length > kMaxReport) {
        broken_ = true;
        return {};
    }
    if (buffer_.size() < kPrefix + length) return {};
    const std::string payload = buffer_.substr(kPrefix, length);
    WorkerMessage message;
    message.kind = static_cast<WorkerMessage::Kind>(buffer_[0]);
    buffer_.erase(0, kPrefix + length);
    if (message.kind == WorkerMessage::Kind::report) {
        auto report = take_report(payload);
        if (report) message.report = std::move(*report);
        broken_ = !report;
    } else if (message.kind == WorkerMessage::Kind::progress || message.kind == WorkerMessage::Kind::setup ||
               message.kind == WorkerMessage::Kind::refused) {
        message.text = printable_line(payload, 1024);
    } else {
        broken_ = true;
    }
    if (broken_) return {};
    return message;
}

}  // namespace luminous_healing::executor
