#include "protocol/json_writer.h"

#include "base/text.h"
#include "protocol/json_reader.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <random>

using namespace luminous_healing;
using namespace luminous_healing::protocol;

namespace {

std::string written(std::string_view text) {
    JsonWriter writer;
    writer.begin_object().member("k", text).end_object();
    return writer.take();
}

std::string read_back(const std::string& json) {
    const auto object = read_json_object(json, 1U << 20U);
    REQUIRE_MESSAGE(object, json);
    return object->members.at(0).value.text;
}

bool is_plain(const std::string& json) {
    return std::all_of(json.begin(), json.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
}

}  // namespace

TEST_CASE("objects and arrays and every kind of value are written compactly in order") {
    JsonWriter writer;
    writer.begin_object().member("text", "a\"b\\c/").member("number", std::int64_t{-5});
    writer.member_bool("yes", true).key("nothing").null().key("list").begin_array();
    writer.integer(INT64_MIN).integer(INT64_MAX).boolean(false).begin_object().end_object().end_array();
    writer.key("raw").raw("{\"x\":1}").member_or_null("absent", std::optional<std::string>());
    writer.member_or_null("present", std::optional<std::int64_t>(7)).end_object();
    CHECK(writer.text() == R"({"text":"a\"b\\c/","number":-5,"yes":true,"nothing":null,"list":[-9223372036854775808,)"
                           R"(9223372036854775807,false,{}],"raw":{"x":1},"absent":null,"present":7})");
}

TEST_CASE("A20: control characters and DEL and C1 and bidi and line separators are escaped") {
    CHECK(written("a\nb\tc\rd\x1b[0m") == R"({"k":"a\nb\tc\rd\u001B[0m"})");
    CHECK(written(std::string_view("\0", 1)) == R"({"k":"\u0000"})");
    CHECK(written("a\x7f"
                  "b") == R"({"k":"a\u007Fb"})");
    CHECK(written("\xc2\x85\xc2\x9b") == R"({"k":"\u0085\u009B"})");
    CHECK(written("\xe2\x80\xae\xe2\x81\xa6\xe2\x80\x8f") == R"({"k":"\u202E\u2066\u200F"})");
    CHECK(written("\xe2\x80\xa8\xe2\x80\xa9") == R"({"k":"\u2028\u2029"})");
    CHECK(written("\xf0\x9f\x98\x80") == R"({"k":"\uD83D\uDE00"})");
}

TEST_CASE("ill-formed UTF-8 becomes the replacement character and nothing else changes") {
    CHECK(written("\xff") == R"({"k":"\uFFFD"})");
    CHECK(written("a\x7f\x1b\n\xc3") == R"({"k":"a\u007F\u001B\n\uFFFD"})");
    CHECK(written("\xed\xa0\x80") == R"({"k":"\uFFFD\uFFFD\uFFFD"})");
    CHECK(written("\xe2\x80\xae\xfe") == R"({"k":"\u202E\uFFFD"})");
}

TEST_CASE("member names are escaped as values are") {
    JsonWriter writer;
    writer.begin_object()
        .key_text("a\x7f\"\n")
        .string("x")
        .key_text("\xff")
        .string("y")
        .key_text("")
        .string("z")
        .end_object();
    CHECK(writer.text() == R"({"a\u007F\"\n":"x","\uFFFD":"y","":"z"})");
}

TEST_CASE("a string without any memory is an empty one") { CHECK(written(std::string_view()) == R"({"k":""})"); }

TEST_CASE("whatever bytes are written come out as plain ASCII and read back the same") {
    std::mt19937 random(20261121);  // NOLINT(cert-msc51-cpp): the same texts each time
    const char* const pieces[] = {"a",
                                  "\"",
                                  "\\",
                                  "\n",
                                  "\x7f",
                                  "\x1b",
                                  "\xc2\x9b",
                                  "\xe2\x80\xa8",
                                  "\xe2\x80\xae",
                                  "\xf0\x9f\x98\x80",
                                  "\xff",
                                  "\xc3",
                                  "\xed\xa0\x80",
                                  "{",
                                  "}",
                                  "\\u0041",
                                  "/"};
    for (int round = 0; round < 2000; ++round) {
        std::string text;
        for (auto length = random() % 12; length > 0; --length) text += pieces[random() % std::size(pieces)];
        const std::string json = written(text);
        CHECK(is_plain(json));
        CHECK(read_back(json) == repaired_utf8(text));
        CHECK(written(read_back(json)) == json);
    }
}

TEST_CASE("a value that was read is written anew compact and escaped") {
    const auto json = read_json_object(
        "{ \"a\" : [ 1.50 , 1e3, true , null, \"\xe2\x80\xae\x7f\" ] , \"b\":{ } , \"c\":18446744073709551616 }", 1000);
    REQUIRE(json);
    JsonWriter writer;
    writer.value(*json);
    CHECK(writer.text() == R"({"a":[1.50,1e3,true,null,"\u202E\u007F"],"b":{},"c":18446744073709551616})");
}
