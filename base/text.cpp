#include "base/text.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

namespace luminous_healing {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

struct Decoded {
    std::uint32_t code_point;
    std::size_t length;  // bytes taken; 1 for an ill-formed one
    bool ok;
};

constexpr bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U; }

constexpr std::uint64_t each(unsigned char byte) { return 0x0101010101010101U * byte; }

/// Are eight bytes all from 0x20 to 0x7E? A byte's highest bit tells: of the byte itself, where 0x20 was taken from
/// less (borrowed from above, but then the answer is no in any case), and where 1 was added to 0x7F.
bool is_plain_word(const char* bytes) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes, sizeof word);
    return ((word | (word - each(0x20)) | (word + each(1))) & each(0x80)) == 0;
}

Decoded decode_multibyte(std::string_view text) {
    const auto lead = static_cast<unsigned char>(text[0]);
    const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return {0, 1, false};
    std::uint32_t cp = lead & (0xFFU >> (length + 1));
    for (std::size_t i = 1; i < length; ++i) {
        if (!is_continuation(text[i])) return {0, 1, false};
        cp = (cp << 6U) | (static_cast<unsigned char>(text[i]) & 0x3FU);
    }
    constexpr std::uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
    if (cp < kSmallest[length] || cp > 0x10FFFF || (cp >= 0xD800 && cp <= 0xDFFF)) return {0, 1, false};
    return {cp, length, true};
}

Decoded decode(std::string_view text) {
    const auto c = static_cast<unsigned char>(text[0]);
    return c < 0x80 ? Decoded{c, 1, true} : decode_multibyte(text);
}

/// How many bytes from the front are ASCII that can be shown as it is: nearly all of nearly every text. Eight at a time
/// while they are; which of eight it was that is not, the last loop finds.
std::size_t plain_prefix(std::string_view text) {
    const auto is_plain = [](char c) { return c >= 0x20 && c < 0x7F; };
    std::size_t at = 0;
    while (at + sizeof(std::uint64_t) <= text.size() && is_plain_word(text.data() + at)) at += sizeof(std::uint64_t);
    while (at < text.size() && is_plain(text[at])) ++at;
    return at;
}

constexpr std::array<signed char, 256> kHexValues = [] {
    std::array<signed char, 256> values{};
    values.fill(-1);
    for (std::size_t i = 0; i < 10; ++i) values.at('0' + i) = static_cast<signed char>(i);
    for (std::size_t i = 0; i < 6; ++i) values.at('a' + i) = static_cast<signed char>(10 + i);
    return values;
}();

constexpr std::array<std::array<char, 2>, 256> kHexDigits = [] {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::array<std::array<char, 2>, 256> digits{};
    for (std::size_t i = 0; i < digits.size(); ++i) digits.at(i) = {kDigits[i / 16], kDigits[i % 16]};
    return digits;
}();

int digit_of(char c) { return kHexValues[static_cast<unsigned char>(c)]; }

bool is_unsafe(std::uint32_t cp) {
    if (cp == '\n' || cp == '\t') return false;
    return cp < 0x20 || (cp >= 0x7F && cp <= 0x9F) || cp == 0x2028 || cp == 0x2029 || (cp >= 0x202A && cp <= 0x202E) ||
           (cp >= 0x2066 && cp <= 0x2069) || cp == 0x200E || cp == 0x200F;
}

}  // namespace

std::string to_hex(std::string_view bytes) {
    std::string hex(bytes.size() * 2, '0');
    char* at = hex.data();
    for (const char c : bytes) {
        std::memcpy(at, kHexDigits[static_cast<unsigned char>(c)].data(), 2);
        at += 2;
    }
    return hex;
}

std::optional<std::string> from_hex(std::string_view hex) {
    if (hex.size() % 2 != 0) return {};
    std::string bytes(hex.size() / 2, '\0');
    int wrong = 0;  // negative once a character was no digit
    const char* from = hex.data();
    for (char& byte : bytes) {
        const int high = digit_of(*from++);
        const int low = digit_of(*from++);
        wrong |= high | low;
        byte = static_cast<char>(high * 16 + low);
    }
    if (wrong < 0) return {};
    return bytes;
}

bool is_valid_utf8(std::string_view text) {
    text.remove_prefix(plain_prefix(text));
    while (!text.empty()) {
        const Decoded d = decode(text);
        if (!d.ok) return false;
        text.remove_prefix(d.length);
    }
    return true;
}

std::string repaired_utf8(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        const Decoded d = decode(text);
        out += d.ok ? text.substr(0, d.length) : kReplacement;
        text.remove_prefix(d.length);
    }
    return out;
}

std::string printable(std::string_view text, std::size_t max_bytes, bool* truncated) {
    const std::size_t plain = std::min(plain_prefix(text), max_bytes);
    std::string out(text.substr(0, plain));
    text.remove_prefix(plain);
    if (truncated != nullptr) *truncated = false;
    while (!text.empty()) {
        const Decoded d = decode(text);
        const std::string_view piece = d.ok ? text.substr(0, d.length) : kReplacement;
        text.remove_prefix(d.length);
        if (d.ok && is_unsafe(d.code_point)) continue;
        if (out.size() + piece.size() > max_bytes) {
            if (truncated != nullptr) *truncated = true;
            break;
        }
        out += piece;
    }
    return out;
}

bool is_printable_line(std::string_view text) { return plain_prefix(text) == text.size(); }

std::string printable_line(std::string_view text, std::size_t max_bytes) {
    if (text.size() <= max_bytes && is_printable_line(text)) return std::string(text);
    std::string line = printable(text, max_bytes);
    std::replace_if(
        line.begin(), line.end(), [](char c) { return c == '\n' || c == '\t'; }, ' ');
    return line;
}

std::string_view trim(std::string_view text) {
    constexpr std::string_view kSpace = " \t\r\n";
    const auto first = text.find_first_not_of(kSpace);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

std::string with_controls_escaped(std::string_view json) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string text;
    const auto escape = [&](unsigned int character) {
        text += "\\u";
        for (unsigned int shift = 16; shift > 0; shift -= 4) text += kDigits[(character >> (shift - 4)) & 0xFU];
    };
    const auto byte = [&](std::size_t at) { return at < json.size() ? static_cast<unsigned char>(json[at]) : 0U; };
    for (std::size_t i = 0; i < json.size(); ++i) {
        const unsigned int first = byte(i);
        const unsigned int second = byte(i + 1);
        const unsigned int last = second << 8U | byte(i + 2);
        if (first < 0x20U) {
            text += ' ';
        } else if (first == 0x7FU) {
            escape(first);
        } else if (first == 0xC2U && second >= 0x80U && second <= 0x9FU) {
            escape(second);
            i += 1;
        } else if (first == 0xE2U && ((last >= 0x80AAU && last <= 0x80AEU) || (last >= 0x81A6U && last <= 0x81A9U))) {
            escape(0x2000U + ((second & 0x3FU) << 6U) + (last & 0x3FU));
            i += 2;
        } else {
            text += json[i];
        }
    }
    return text;
}

}  // namespace luminous_healing
