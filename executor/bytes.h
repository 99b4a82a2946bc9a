#pragma once
// Numbers and texts one after the other, as a worker and its executor tell them to each other: one program, or two that
// are built and installed together, and one machine, so numbers are as in memory, and a text has its length (32 bits)
// before it.

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace luminous_healing::executor {

class ByteWriter {
public:
    template <class T>
    void number(T value) {
        static_assert(std::is_trivially_copyable_v<T>);
        bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);  // NOLINT(*-reinterpret-cast): its bytes
    }
    void text(std::string_view value) {
        number(static_cast<std::uint32_t>(value.size()));
        bytes_ += value;
    }
    [[nodiscard]] std::string take() { return std::move(bytes_); }

private:
    std::string bytes_;
};

/// Once something is not there whole, everything after it is empty too.
class ByteReader {
public:
    explicit ByteReader(std::string_view bytes) : rest_(bytes) {}
    template <class T>
    T number() {
        static_assert(std::is_trivially_copyable_v<T>);
        T value{};
        const auto found = next(sizeof value);
        if (found.size() == sizeof value) std::memcpy(&value, found.data(), sizeof value);
        return value;
    }
    std::string_view text() { return next(number<std::uint32_t>()); }
    [[nodiscard]] bool whole() const { return whole_; }
    [[nodiscard]] bool at_end() const { return whole_ && rest_.empty(); }

private:
    std::string_view next(std::size_t size) {
        if (!whole_ || size > rest_.size()) {
            whole_ = false;
            return {};
        }
        const auto found = rest_.substr(0, size);
        rest_.remove_prefix(size);
        return found;
    }
    std::string_view rest_;
    bool whole_ = true;
};

}  // namespace luminous_healing::executor
