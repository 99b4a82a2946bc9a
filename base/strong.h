#pragma once
// Ids, names and numbers as types of their own: a caller's name cannot be passed where an action's is wanted.

#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace luminous_healing {

template <class Tag>
class StrongString {
public:
    StrongString() = default;
    explicit StrongString(std::string_view text) : text_(text) {}
    [[nodiscard]] const std::string& str() const noexcept { return text_; }
    [[nodiscard]] bool empty() const noexcept { return text_.empty(); }
    auto operator<=>(const StrongString&) const = default;

private:
    std::string text_;
};

template <class Tag, class Int>
class StrongInt {
public:
    StrongInt() = default;
    constexpr explicit StrongInt(Int value) noexcept : value_(value) {}
    [[nodiscard]] constexpr Int value() const noexcept { return value_; }
    auto operator<=>(const StrongInt&) const = default;

private:
    Int value_{};
};

using CallerName = StrongString<struct CallerNameTag>;
using ActionName = StrongString<struct ActionNameTag>;
using RequestId = StrongString<struct RequestIdTag>;
using ConnectionId = StrongInt<struct ConnectionIdTag, std::uint64_t>;

}  // namespace luminous_healing

// NOLINTBEGIN(cert-dcl58-cpp): a specialisation for types of ours is what [namespace.std] allows
template <class Tag>
struct std::hash<luminous_healing::StrongString<Tag>> {
    std::size_t operator()(const luminous_healing::StrongString<Tag>& s) const noexcept {
        return std::hash<std::string>{}(s.str());
    }
};
template <class Tag, class Int>
struct std::hash<luminous_healing::StrongInt<Tag, Int>> {
    std::size_t operator()(const luminous_healing::StrongInt<Tag, Int>& s) const noexcept {
        return std::hash<Int>{}(s.value());
    }
};
// NOLINTEND(cert-dcl58-cpp)
