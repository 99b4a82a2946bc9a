#pragma once
// HMAC-SHA256 (RFC 2104, FIPS 198-1) through OpenSSL's EVP_MAC, one prepared context a key.

#include "base/expected.h"

#include <array>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace luminous_healing::protocol {

inline constexpr std::size_t kMinKeyLength = 32;  // bytes of key text

struct Mac {
    std::array<char, 32> bytes{};

    [[nodiscard]] std::string hex() const;
    /// Exactly 64 lowercase hexadecimal digits, else nothing.
    [[nodiscard]] static std::optional<Mac> from_hex(std::string_view hex);
    /// In constant time (CRYPTO_memcmp).
    [[nodiscard]] bool equals(const Mac& other) const noexcept;
};

/// Holds a key, prepared. Where the process has called install_secret_memory() (secret_memory.h) everything that
/// depends on the key lives in memory that is locked, kept out of core dumps and empty in every child.
class MacKey {
public:
    /// `key` is used as it is; its text form, trimmed, is the key (configuration.md).
    [[nodiscard]] static Expected<MacKey> create(std::string_view key);
    ~MacKey();
    MacKey(MacKey&&) noexcept;
    MacKey& operator=(MacKey&&) noexcept;
    MacKey(const MacKey&) = delete;
    MacKey& operator=(const MacKey&) = delete;

    /// The MAC of the pieces one after the other.
    [[nodiscard]] Mac sign(std::initializer_list<std::string_view> pieces) const;

private:
    struct Context;
    explicit MacKey(std::unique_ptr<Context> context);
    std::unique_ptr<Context> context_;
};

/// SHA-256 of the text, as bytes.
[[nodiscard]] std::array<char, 32> sha256(std::string_view text);

/// Cryptographically secure random bytes from getrandom(2).
[[nodiscard]] std::string random_bytes(std::size_t count);

/// Overwrites a secret in a way that the compiler keeps.
void wipe(std::string& secret) noexcept;

[[nodiscard]] Mac request_mac(const MacKey& key, std::string_view request_bytes);
[[nodiscard]] Mac request_mac_v1(const MacKey& key, std::string_view id, std::string_view action,
                                 std::string_view timestamp);
[[nodiscard]] Mac response_mac(const MacKey& key, std::string_view request_mac_hex, std::string_view response_bytes);
[[nodiscard]] Mac event_mac(const MacKey& key, std::string_view request_mac_hex, std::string_view event_bytes);

}  // namespace luminous_healing::protocol
