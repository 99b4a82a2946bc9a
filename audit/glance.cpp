#include "audit/glance.h"

#include "audit/chain.h"
#include "base/text.h"

#include <algorithm>

namespace luminous_healing::audit {
namespace {

/// Takes what it expects off the front of a line.
class Places {
public:
    explicit Places(std::string_view line) : rest_(line) {}

    [[nodiscard]] bool skip(char expected) {
        if (rest_.empty() || rest_.front() != expected) return false;
        rest_.remove_prefix(1);
        return true;
    }
    [[nodiscard]] bool skip(std::string_view expected) {
        if (!rest_.starts_with(expected)) return false;
        rest_.remove_prefix(expected.size());
        return true;
    }

    /// Up to that character, which goes too.
    [[nodiscard]] std::optional<std::string_view> until(char end) {
        const auto at = rest_.find(end);
        if (at == std::string_view::npos) return {};
        const auto text = rest_.substr(0, at);
        rest_.remove_prefix(at + 1);
        return text;
    }

    /// A whole JSON value, as it is written.
    [[nodiscard]] std::optional<std::string_view> value() {
        const std::size_t size = size_of_value();
        if (size == 0 || size >= rest_.size()) return {};
        const auto text = rest_.substr(0, size);
        rest_.remove_prefix(size);
        return text;
    }

private:
    /// Up to the comma or bracket after it that is in no string and no brackets of its own; 0 when there is none.
    [[nodiscard]] std::size_t size_of_value() const {
        int depth = 0;
        for (std::size_t i = 0; i < rest_.size(); ++i) {
            const char c = rest_[i];
            if (c == '"') i = end_of_string(i + 1);
            else if (c == '{' || c == '[') ++depth;
            else if (depth == 0 && (c == ',' || c == '}' || c == ']')) return i;
            else if (c == '}' || c == ']') --depth;
        }
        return 0;
    }

    /// The quote that ends the string which begins at `begin`. Most have no backslash; find() looks at many bytes at a
    /// time.
    [[nodiscard]] std::size_t end_of_string(std::size_t begin) const {
        const std::size_t quote = rest_.find('"', begin);
        if (quote == std::string_view::npos) return rest_.size();
        std::size_t i = rest_.substr(0, quote).find('\\', begin);
        if (i == std::string_view::npos) return quote;
        for (; i < rest_.size() && rest_[i] != '"'; ++i) i += rest_[i] == '\\' ? 1 : 0;
        return i;
    }

    std::string_view rest_;
};

/// The text of a string without escapes; empty for null. Nothing for anything else.
std::optional<std::string_view> plain_text(std::string_view value) {
    if (value == "null") return std::string_view();
    if (value.size() < 2 || value.front() != '"' || value.find('\\') != std::string_view::npos) return {};
    return value.substr(1, value.size() - 2);
}

std::optional<LineHead> take_head(Places& places, std::string_view& timestamp) {
    if (!places.skip("{\"timestamp\":\"")) return {};
    const auto time = places.until('"');
    if (!time || !places.skip(",\"seq\":")) return {};
    const auto number = places.until(',');
    const auto seq = number ? parse_integer<std::int64_t>(*number) : std::nullopt;
    if (!seq || *seq <= 0 || !places.skip("\"event\":\"")) return {};
    const auto name = places.until('"');
    const auto event = name ? event_from_name(*name) : std::nullopt;
    if (!event || !places.skip(',')) return {};
    timestamp = *time;
    return LineHead{*seq, *event};
}

/// False for a value that is not as it is written.
bool note(Glance& glance, std::string_view name, std::string_view value) {
    std::string_view* text = nullptr;
    if (name == "request_id") text = &glance.request_id;
    else if (name == "action") text = &glance.action;
    else if (name == "code") text = &glance.code;
    else if (name == "caller") text = &glance.caller;
    else if (name == "mode") text = &glance.mode;
    else if (name == "decision") text = &glance.decision;
    else if (name == "request_mac") text = &glance.request_mac;
    else if (name == "boot_id") text = &glance.boot_id;
    if (text != nullptr) {
        const auto plain = plain_text(value);
        *text = plain.value_or("");
        return plain.has_value();
    }
    if (name == "success") glance.has_success = value != "null";
    if (name != "boottime_us") return true;
    const auto time = parse_integer<std::int64_t>(value);
    glance.boottime = BootTime{Micros(time.value_or(0))};
    return time.has_value();
}

}  // namespace

std::optional<LineHead> head_of_line(std::string_view line) {
    Places places(line);
    std::string_view timestamp;
    return take_head(places, timestamp);
}

std::optional<Glance> glance_at(std::string_view line) {
    Places places(line);
    std::string_view timestamp;
    const auto head = take_head(places, timestamp);
    if (!head || (head->event != EventType::decision && head->event != EventType::outcome)) return {};
    const auto time = parse_rfc3339(timestamp);
    if (!time || !split_chain(line)) return {};
    Glance glance;
    glance.seq = head->seq;
    glance.event = head->event;
    glance.timestamp = *time;
    while (places.skip('"')) {
        const auto name = places.until('"');
        if (!name || !places.skip(':')) return {};
        const auto value = places.value();
        if (!value || !note(glance, *name, *value)) return {};
        if (*name == "boottime_us") return glance;  // what matters stands before it
        if (!places.skip(',')) return {};
    }
    return {};
}

}  // namespace luminous_healing::audit
