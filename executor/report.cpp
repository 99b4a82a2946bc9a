#include "executor/report.h"

#include "base/text.h"
#include "executor/bytes.h"
#include "protocol/limits.h"

#include <algorithm>
#include <cstring>

namespace luminous_healing::executor {
namespace {

constexpr std::size_t kPrefix = 5;      // kind, length
constexpr std::size_t kMaxFacts = 256;  // entries of a report
constexpr std::size_t kMaxFact = 4096;  // bytes of a text fact
constexpr std::size_t kMaxName = 64;    // bytes of a fact's name
constexpr std::uint8_t kNoVerdict = 255;

void write_fact(ByteWriter& writer, const std::string& name, const actions::FactValue& value) {
    writer.text(name);
    writer.number(static_cast<char>(value.index()));
    if (const auto* const text = std::get_if<std::string>(&value)) return writer.text(*text);
    writer.number(std::holds_alternative<bool>(value) ? static_cast<std::int64_t>(std::get<bool>(value))
                                                      : std::get<std::int64_t>(value));
}

void read_fact(ByteReader& reader, actions::Facts& facts) {
    const std::string name = printable_line(reader.text(), kMaxName);
    const auto kind = reader.number<char>();
    if (kind == 0) return facts.set(name, printable(reader.text(), kMaxFact));
    const auto number = reader.number<std::int64_t>();
    if (kind == 2) facts.set(name, number != 0);
    else facts.set(name, number);
}

std::optional<actions::Report> read_report(std::string_view bytes) {
    ByteReader reader(bytes);
    actions::Report report;
    const auto code = reader.number<std::uint8_t>();
    const auto verdict = reader.number<std::uint8_t>();
    if (code > static_cast<std::uint8_t>(protocol::Code::interrupted)) return {};
    report.code = static_cast<protocol::Code>(code);
    if (verdict <= static_cast<std::uint8_t>(protocol::Verdict::unverifiable))
        report.verdict = static_cast<protocol::Verdict>(verdict);
    report.output = printable(reader.text(), protocol::kMaxOutput);
    if (reader.number<std::uint8_t>() != 0) report.error = printable(reader.text(), protocol::kMaxError);
    const auto facts = reader.number<std::uint32_t>();
    if (facts > kMaxFacts) return {};
    for (std::uint32_t i = 0; i < facts && reader.whole(); ++i) read_fact(reader, report.facts);
    if (!reader.at_end()) return {};
    return report;
}

}  // namespace

std::string encode_report(const actions::Report& report) {
    ByteWriter writer;
    writer.number(static_cast<std::uint8_t>(report.code));
    writer.number(report.verdict ? static_cast<std::uint8_t>(*report.verdict) : kNoVerdict);
    writer.text(std::string_view(report.output).substr(0, protocol::kMaxOutput));
    writer.number(report.error.has_value());
    if (report.error) writer.text(std::string_view(*report.error).substr(0, protocol::kMaxError));
    const auto& facts = report.facts.all();
    const auto count = static_cast<std::uint32_t>(std::min(facts.size(), kMaxFacts));
    writer.number(count);
    for (std::uint32_t i = 0; i < count; ++i) write_fact(writer, facts[i].first, facts[i].second);
    return encode_message(WorkerMessage::Kind::report, writer.take());
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
        auto report = read_report(payload);
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
