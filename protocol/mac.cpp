#include "protocol/mac.h"

#include "base/text.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <sys/random.h>

#include <cstdlib>

namespace luminous_healing::protocol {
namespace {

const unsigned char* bytes(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

/// Fetched once: a fetch costs more than a MAC.
EVP_MAC* hmac_algorithm() {
    static EVP_MAC* const algorithm = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
    return algorithm;
}

}  // namespace

struct MacKey::Context {
    EVP_MAC_CTX* context = nullptr;
    Context() = default;
    Context(const Context&) = delete;
    Context& operator=(const Context&) = delete;
    ~Context() { EVP_MAC_CTX_free(context); }
};

std::string Mac::hex() const { return to_hex({bytes.data(), bytes.size()}); }

std::optional<Mac> Mac::from_hex(std::string_view hex) {
    Mac mac;
    if (hex.size() != mac.bytes.size() * 2) return {};
    const auto decoded = luminous_healing::from_hex(hex);
    if (!decoded) return {};
    decoded->copy(mac.bytes.data(), mac.bytes.size());
    return mac;
}

bool Mac::equals(const Mac& other) const noexcept {
    return CRYPTO_memcmp(bytes.data(), other.bytes.data(), bytes.size()) == 0;
}

MacKey::MacKey(std::unique_ptr<Context> context) : context_(std::move(context)) {}
MacKey::~MacKey() = default;
MacKey::MacKey(MacKey&&) noexcept = default;
MacKey& MacKey::operator=(MacKey&&) noexcept = default;

Expected<MacKey> MacKey::create(std::string_view key) {
    if (key.empty()) return fail("an empty key");  // anybody could sign with that one
    EVP_MAC* const algorithm = hmac_algorithm();
    if (algorithm == nullptr) return fail("OpenSSL offers no HMAC: is its default provider disabled in openssl.cnf?");
    auto context = std::make_unique<Context>();
    context->context = EVP_MAC_CTX_new(algorithm);
    char digest[] = "SHA256";
    const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                                     OSSL_PARAM_construct_end()};
    if (context->context == nullptr || EVP_MAC_init(context->context, bytes(key), key.size(), parameters) != 1)
        return fail("OpenSSL could not prepare an HMAC-SHA256 key");
    return MacKey(std::move(context));
}

Mac MacKey::sign(std::initializer_list<std::string_view> pieces) const {
    Mac mac;
    std::size_t length = 0;
    EVP_MAC_CTX* const context = context_->context;
    bool ok = EVP_MAC_init(context, nullptr, 0, nullptr) == 1;  // a null key: the prepared one again, EVP_MAC(3)
    for (const auto piece : pieces) ok = ok && EVP_MAC_update(context, bytes(piece), piece.size()) == 1;
    ok = ok &&
         EVP_MAC_final(context, reinterpret_cast<unsigned char*>(mac.bytes.data()), &length, mac.bytes.size()) == 1;
    if (!ok || length != mac.bytes.size()) std::abort();  // an unprepared context would answer alike for every key
    return mac;
}

std::array<char, 32> sha256(std::string_view text) {
    std::array<char, 32> digest{};
    static EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    if (EVP_Digest(text.data(), text.size(), reinterpret_cast<unsigned char*>(digest.data()), nullptr, algorithm,
                   nullptr) != 1)
        std::abort();
    return digest;
}

std::string random_bytes(std::size_t count) {
    std::string result(count, '\0');
    std::size_t filled = 0;
    while (filled < count) {
        const ssize_t n = ::getrandom(result.data() + filled, count - filled, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) std::abort();  // the kernel has no other failure for a valid buffer, and no key may be weaker
        filled += static_cast<std::size_t>(n);
    }
    return result;
}

void wipe(std::string& secret) noexcept {
    OPENSSL_cleanse(secret.data(), secret.size());
    secret.clear();
}

Mac request_mac(const MacKey& key, std::string_view request_bytes) {
    return key.sign({"luminous-healing/2 request\n", request_bytes});
}

Mac request_mac_v1(const MacKey& key, std::string_view id, std::string_view action, std::string_view timestamp) {
    return key.sign({id, ":", action, ":", timestamp});
}

Mac response_mac(const MacKey& key, std::string_view request_mac_hex, std::string_view response_bytes) {
    return key.sign({"luminous-healing/2 response\n", request_mac_hex, "\n", response_bytes});
}

Mac event_mac(const MacKey& key, std::string_view request_mac_hex, std::string_view event_bytes) {
    return key.sign({"luminous-healing/2 event\n", request_mac_hex, "\n", event_bytes});
}

}  // namespace luminous_healing::protocol
