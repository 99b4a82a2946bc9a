// bench_verify FOLDER FIRST-KEY-FILE ROUNDS: the rate of audit::verify() beside plain HMAC-SHA256 of the same lines, in
// turn, one line of JSON a round. The lines lie in memory for the plain one: reading and taking them apart is what
// verification adds.

#include "audit/verify.h"
#include "base/file.h"
#include "base/text.h"
#include "bench/times.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

using namespace luminous_healing;
using namespace luminous_healing::bench;

namespace {

constexpr std::size_t kMaxFileBytes = 1U << 30U;

std::string content(const std::string& path) {
    auto bytes = read_file(path, kMaxFileBytes);
    if (!bytes) give_up(bytes.error().message.c_str());
    return std::move(*bytes);
}

/// The log's files: audit.json and what rotation made of it, no keys.
std::vector<std::string> log_files(const std::string& folder) {
    std::vector<std::string> files;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        const std::string name = entry.path().filename();
        const bool numbered = name.starts_with("audit.json.") && parse_integer<unsigned>(name.substr(11)).has_value();
        if (name == "audit.json" || numbered) files.push_back(entry.path());
    }
    return files;
}

/// OpenSSL itself, its key prepared once: what any program would pay for one MAC a line.
class PlainHmac {
public:
    explicit PlainHmac(std::string_view key) : algorithm_(EVP_MAC_fetch(nullptr, "HMAC", nullptr)) {
        context_ = EVP_MAC_CTX_new(algorithm_);
        char digest[] = "SHA256";
        const std::array<OSSL_PARAM, 2> parameters{OSSL_PARAM_construct_utf8_string("digest", digest, 0),
                                                   OSSL_PARAM_construct_end()};
        if (EVP_MAC_init(context_, bytes(key), key.size(), parameters.data()) != 1) give_up("EVP_MAC_init");
    }
    ~PlainHmac() {
        EVP_MAC_CTX_free(context_);
        EVP_MAC_free(algorithm_);
    }
    PlainHmac(const PlainHmac&) = delete;
    PlainHmac& operator=(const PlainHmac&) = delete;

    void sign(std::string_view line) {
        std::size_t length = 0;
        EVP_MAC_init(context_, nullptr, 0, nullptr);
        EVP_MAC_update(context_, bytes(line), line.size());
        if (EVP_MAC_final(context_, mac_.data(), &length, mac_.size()) != 1) give_up("EVP_MAC_final");
    }

private:
    static const unsigned char* bytes(std::string_view text) {
        return reinterpret_cast<const unsigned char*>(text.data());
    }
    EVP_MAC* algorithm_;
    EVP_MAC_CTX* context_ = nullptr;
    std::array<unsigned char, 32> mac_{};
};

double seconds_of_hmac(const std::vector<std::string>& texts, std::string_view key) {
    PlainHmac hmac(key);
    const auto began = Clock::now();
    for (const std::string_view text : texts) {
        for (std::size_t from = 0, end = 0; (end = text.find('\n', from)) != std::string_view::npos; from = end + 1)
            hmac.sign(text.substr(from, end - from));
    }
    return std::chrono::duration<double>(Clock::now() - began).count();
}

double seconds_of_verify(const std::string& folder, const std::string& key) {
    const auto began = Clock::now();
    const auto report = audit::verify({{folder}, key, {}});
    if (!report || !report->ok) give_up(report ? report->explanation.c_str() : report.error().message.c_str());
    return std::chrono::duration<double>(Clock::now() - began).count();
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) give_up("usage: bench_verify FOLDER FIRST-KEY-FILE ROUNDS");
    const std::string folder = argv[1];
    const std::string key(trim(content(argv[2])));
    std::vector<std::string> texts;
    std::size_t bytes = 0;
    for (const auto& path : log_files(folder)) bytes += texts.emplace_back(content(path)).size();
    const auto rounds = parse_integer<unsigned>(argv[3]).value_or(1);
    seconds_of_verify(folder, key);
    for (unsigned i = 0; i < rounds; ++i) {
        const double verified = seconds_of_verify(folder, key);
        const double plain = seconds_of_hmac(texts, key.substr(0, 32));
        std::printf("{\"bytes\":%zu,\"verify_per_second\":%.0f,\"hmac_per_second\":%.0f}\n", bytes,
                    static_cast<double>(bytes) / verified, static_cast<double>(bytes) / plain);
    }
    return 0;
}
