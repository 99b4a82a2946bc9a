#pragma once
// What every fuzz target shares: a rule that must hold, and inputs made of lines.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <source_location>
#include <string_view>
#include <vector>

/// libFuzzer's entry, which replay.cpp calls too: one input, never kept between calls.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace luminous_healing::fuzz {

/// Ends the program when the rule does not hold: libFuzzer then keeps the input.
inline void must(bool holds, const char* rule, std::source_location where = std::source_location::current()) {
    if (holds) return;
    std::fprintf(stderr, "%s:%u: broken: %s\n", where.file_name(), static_cast<unsigned>(where.line()), rule);
    std::abort();
}

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
    return {reinterpret_cast<const char*>(data), size};  // NOLINT(*-reinterpret-cast): bytes are bytes
}

/// The part before the first `separator`, which is taken away together with it.
inline std::string_view next_part(std::string_view& rest, char separator) {
    const auto end = rest.find(separator);
    const auto part = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    return part;
}

inline std::vector<std::string_view> lines_of(std::string_view text) {
    std::vector<std::string_view> lines;
    while (!text.empty()) lines.push_back(next_part(text, '\n'));
    return lines;
}

}  // namespace luminous_healing::fuzz
