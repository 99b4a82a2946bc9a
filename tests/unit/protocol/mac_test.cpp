#include "protocol/mac.h"

#include "base/text.h"

#include <doctest/doctest.h>

using namespace luminous_healing;
using namespace luminous_healing::protocol;

namespace {

MacKey key_of(std::string_view text) {
    auto key = MacKey::create(text);
    REQUIRE(key);
    return std::move(*key);
}

std::string repeated(const char* hex, std::size_t count) {
    std::string bytes;
    for (std::size_t i = 0; i < count; ++i) bytes += *luminous_healing::from_hex(hex);
    return bytes;
}

}  // namespace

TEST_CASE("the MAC is HMAC-SHA256 as in RFC 4231") {
    struct Case {
        std::string key, data;
        const char* mac;
    };
    const Case cases[] = {
        {repeated("0b", 20), "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
        {"Jefe", "what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
        {repeated("aa", 20), repeated("dd", 50), "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
        {*luminous_healing::from_hex("0102030405060708090a0b0c0d0e0f10111213141516171819"), repeated("cd", 50),
         "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
        {repeated("0c", 20), "Test With Truncation", "a3b6167473100ee06e0c796c2955552b"},
        {repeated("aa", 131), "Test Using Larger Than Block-Size Key - Hash Key First",
         "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
        {repeated("aa", 131),
         "This is a test using a larger than block-size key and a larger than block-size data. The key needs to be "
         "hashed before being used by the HMAC algorithm.",
         "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
    };
    for (const auto& each : cases) {
        CAPTURE(each.data);
        CHECK(key_of(each.key).sign({each.data}).hex().find(each.mac) == 0);
    }
}

TEST_CASE("the version 1 signature is that of the prototype") {
    CHECK(request_mac_v1(key_of("default-dev-key"), "test", "clear_system_cache", "2025-01-01T00:00:00").hex() ==
          "444156c5c9c6213c911821da7a07aab21e3a3131fc172b1811955459ba62c8e0");
}

TEST_CASE("pieces are signed as if they were one text and a key signs again and again") {
    const auto key = key_of("0123456789abcdef0123456789abcdef");
    const auto whole = key.sign({"one two three"});
    CHECK(key.sign({"one", " ", "two", "", " three"}).equals(whole));
    CHECK(key.sign({"one two three"}).equals(whole));
    CHECK_FALSE(key.sign({"one two thre"}).equals(whole));
}

TEST_CASE("request and response and event are signed apart") {
    const auto key = key_of("0123456789abcdef0123456789abcdef");
    const std::string mac = request_mac(key, "{}").hex();
    CHECK(request_mac(key, "{}").equals(key.sign({"luminous-healing/2 request\n{}"})));
    CHECK(response_mac(key, mac, "{}").equals(key.sign({"luminous-healing/2 response\n" + mac + "\n{}"})));
    CHECK(event_mac(key, mac, "{}").equals(key.sign({"luminous-healing/2 event\n" + mac + "\n{}"})));
    CHECK_FALSE(response_mac(key, mac, "{}").equals(event_mac(key, mac, "{}")));
}

TEST_CASE("A09: changing any single bit of a signed request changes its MAC") {
    const auto key = key_of("0123456789abcdef0123456789abcdef");
    std::string request = R"({"id":"a","action":"x","parameters":{"pid":7},"timestamp":"2026-11-21T10:00:00Z"})";
    const auto mac = request_mac(key, request);
    for (std::size_t bit = 0; bit < request.size() * 8; ++bit) {
        const auto flipped = static_cast<char>(1U << (bit % 8));
        request[bit / 8] = static_cast<char>(request[bit / 8] ^ flipped);
        CHECK_FALSE(request_mac(key, request).equals(mac));
        request[bit / 8] = static_cast<char>(request[bit / 8] ^ flipped);
    }
    CHECK_FALSE(request_mac(key, request + " ").equals(mac));
    CHECK_FALSE(request_mac(key_of("0123456789abcdef0123456789abcdeF"), request).equals(mac));
}

TEST_CASE("A14: a MAC is 64 lowercase hexadecimal digits and nothing else") {
    const std::string good = "444156c5c9c6213c911821da7a07aab21e3a3131fc172b1811955459ba62c8e0";
    REQUIRE(Mac::from_hex(good));
    CHECK(Mac::from_hex(good)->hex() == good);
    std::string upper = good;
    upper[5] = 'C';
    const std::string bad[] = {"",
                               good.substr(1),
                               good + "0",
                               good + "00",
                               upper,
                               "0x" + good.substr(2),
                               good.substr(0, 63) + "g",
                               good.substr(0, 63) + " ",
                               std::string(64, '\0'),
                               std::string(32, 'a')};
    for (const auto& each : bad) {
        CAPTURE(each);
        CHECK_FALSE(Mac::from_hex(each));
    }
}

TEST_CASE("A14: MACs that differ in any one byte are unequal") {
    const Mac first = *Mac::from_hex(std::string(64, '0'));
    for (std::size_t i = 0; i < first.bytes.size(); ++i) {
        Mac second = first;
        second.bytes.at(i) = 1;
        CHECK_FALSE(first.equals(second));
    }
    CHECK(first.equals(Mac{}));
}

TEST_CASE("an empty key is no key") { CHECK_FALSE(MacKey::create("")); }

TEST_CASE("a moved key signs as before") {
    auto first = key_of("0123456789abcdef0123456789abcdef");
    const auto mac = first.sign({"x"});
    const MacKey second = std::move(first);
    CHECK(second.sign({"x"}).equals(mac));
}

TEST_CASE("SHA-256 is that of FIPS 180-4") {
    const auto digest = sha256("abc");
    CHECK(to_hex({digest.data(), digest.size()}) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    const auto empty = sha256("");
    CHECK(to_hex({empty.data(), empty.size()}) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST_CASE("random bytes come in the asked number and never twice") {
    CHECK(random_bytes(0).empty());
    CHECK(random_bytes(1000).size() == 1000);
    CHECK(random_bytes(32) != random_bytes(32));
}

TEST_CASE("a wiped secret is gone") {
    std::string secret = "0123456789abcdef0123456789abcdef";
    const char* const where = secret.data();
    wipe(secret);
    CHECK(secret.empty());
    CHECK(std::string_view(where, 32) == std::string_view(std::string(32, '\0')));
}
