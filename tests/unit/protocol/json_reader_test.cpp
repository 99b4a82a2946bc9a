#include "protocol/json_reader.h"

#include "base/text.h"

#include <doctest/doctest.h>

using namespace luminous_healing;
using namespace luminous_healing::protocol;

namespace {

constexpr std::size_t kMost = 1U << 20U;

bool accepts(std::string_view text) { return read_json_object(text, kMost).has_value(); }

std::string nested(std::size_t depth, const char* open, const char* close) {
    std::string text = "{\"a\":";
    for (std::size_t i = 1; i < depth; ++i) text += open;
    text += "1";
    for (std::size_t i = 1; i < depth; ++i) text += close;
    return text + "}";
}

}  // namespace

TEST_CASE("an object is read with its members in the order sent") {
    const std::string text = R"( {"b":1,"a":"x\u00e4\n","c":[true,false,null,{}],"d":{"e":-1.5E+3}} )";
    const auto json = read_json_object(text, kMost);
    REQUIRE(json);
    REQUIRE(json->members.size() == 4);
    CHECK(json->members[0].name == "b");
    CHECK(json->find("b")->text == "1");
    CHECK(json->find("a")->text == "x\xc3\xa4\n");
    REQUIRE(json->find("c")->items.size() == 4);
    CHECK(json->find("c")->items[0].boolean);
    CHECK(json->find("c")->items[2].is(Json::Kind::null));
    CHECK(json->find("d")->find("e")->text == "-1.5E+3");
    CHECK(json->find("nothing") == nullptr);
}

TEST_CASE("the bytes of an object are those sent from brace to brace") {
    const std::string text = "{ \"request\" : { \"a\" : [ 1 , { } ] ,\n\"b\":\"}\" }  , \"x\":{\"y\":{}}}\n";
    const auto json = read_json_object(text, kMost);
    REQUIRE(json);
    CHECK(json->find("request")->raw == "{ \"a\" : [ 1 , { } ] ,\n\"b\":\"}\" }");
    CHECK(json->find("x")->raw == "{\"y\":{}}");
    CHECK(json->find("x")->find("y")->raw == "{}");
    CHECK(json->raw == trim(text));
    CHECK(json->find("request")->raw.data() == text.data() + 14);
}

TEST_CASE("A12: a member name that comes twice is refused at every depth") {
    for (const auto* const text :
         {R"({"a":1,"a":2})", R"({"a":1,"b":2,"a":1})", R"({"x":{"a":1,"a":1}})", R"({"x":[{"a":1,"a":1}]})",
          R"({"x":[[[{"y":{"a":1,"b":{},"a":1}}]]]})", R"({"a":1,"\u0061":2})", R"({"\u0061":1,"\u0061":2})",
          R"({"x":{"\u00e9":1,"é":2}})", R"({"":1,"":2})", R"({"a\/":1,"a/":2})", R"({"😀":1,"\ud83d\ude00":2})",
          R"({"A":1,"\u0041":1})"}) {
        CAPTURE(text);
        CHECK_FALSE(accepts(text));
    }
    CHECK(accepts(R"({"a":1,"A":1,"á":1,"a ":1,"":1,"x":{"a":1},"y":{"a":1}})"));
}

TEST_CASE("A13: nesting is bounded at 32") {
    CHECK(accepts(nested(32, "[", "]")));
    CHECK_FALSE(accepts(nested(33, "[", "]")));
    CHECK(accepts(nested(32, "{\"a\":", "}")));
    CHECK_FALSE(accepts(nested(33, "{\"a\":", "}")));
    CHECK_FALSE(accepts(nested(20'000, "[", "]")));
    CHECK_FALSE(accepts("{\"a\":" + std::string(60'000, '[')));
}

TEST_CASE("A13: numbers that are none or are infinite are refused and others keep their token") {
    for (const auto* const number :
         {"NaN", "nan", "Infinity", "-Infinity", "inf",   "1e999", "-1e999", "01",  "-01",   "00",    "+1", "1.", ".5",
          "-",   "1e",  "1e+",      "0x1",       "1_000", "1a",    "--1",    "1 2", "1.2.3", "1e5.5", "٣",  "-a"}) {
        CAPTURE(number);
        CHECK_FALSE(accepts(std::string("{\"a\":") + number + "}"));
        CHECK_FALSE(accepts(std::string("{\"a\":[") + number + "]}"));
    }
    for (const auto* const number : {"0", "-0", "1", "1e3", "1E-3", "0.1", "9223372036854775808",
                                     "18446744073709551616", "123456789012345678901234567890", "1e-999", "1.0"}) {
        CAPTURE(number);
        const auto json = read_json_object(std::string("{\"a\": ") + number + " }", kMost);
        REQUIRE(json);
        CHECK(json->find("a")->text == number);
    }
}

TEST_CASE("A13: strings are well-formed UTF-8 without lone surrogates or raw control characters") {
    for (const std::string text : {R"(\ud800)",
                                   R"(\udc00)",
                                   R"(\ud800x)",
                                   R"(\ud800\ud800)",
                                   R"(\udc00\ud800)",
                                   R"(\ud800\u0041)",
                                   R"(\uD83D)",
                                   "\x80",
                                   "\xc0\x80",
                                   "\xed\xa0\x80",
                                   "\xf5\x80\x80\x80",
                                   "\xc3",
                                   "\x01",
                                   "\x1f",
                                   "a\nb",
                                   "a\tb",
                                   "\r",
                                   R"(\x)",
                                   R"(\u12)",
                                   R"(\u12g4)",
                                   R"(\u)",
                                   R"(\')",
                                   R"(\0)",
                                   R"(\a)"}) {
        CAPTURE(text);
        CHECK_FALSE(accepts("{\"a\":\"" + text + "\"}"));
        CHECK_FALSE(accepts("{\"" + text + "\":1}"));
        CHECK_FALSE(accepts("{\"a\":[{\"b\":\"" + text + "\"}]}"));
    }
    CHECK_FALSE(accepts(std::string("{\"a\":\"x\0y\"}", 11)));
    CHECK_FALSE(accepts(std::string("{\"a\0\":1}", 8)));
}

TEST_CASE("an escaped NUL is kept in its string and does not end it") {
    const auto json = read_json_object(R"({"a\u0000b":"c\u0000d"})", kMost);
    REQUIRE(json);
    CHECK(json->members[0].name == std::string("a\0b", 3));
    CHECK(json->members[0].value.text == std::string("c\0d", 3));
}

TEST_CASE("escapes and surrogate pairs are decoded") {
    const auto json = read_json_object(R"({"a":"\"\\\/\b\f\n\r\t\u20ac\ud83d\ude00"})", kMost);
    REQUIRE(json);
    CHECK(json->find("a")->text == "\"\\/\b\f\n\r\t\xe2\x82\xac\xf0\x9f\x98\x80");
}

TEST_CASE("what is not exactly one object is refused") {
    for (const auto* const text : {"",
                                   " ",
                                   "1",
                                   "null",
                                   "true",
                                   "\"a\"",
                                   "[]",
                                   "[{}]",
                                   "{",
                                   "}",
                                   "{}}",
                                   "{}{}",
                                   "{} {}",
                                   "{},",
                                   "{}x",
                                   "{}\"",
                                   "x{}",
                                   "{}1",
                                   "{} null",
                                   "{]",
                                   "[}",
                                   "{\"a\":1]",
                                   "{\"a\":[1}",
                                   "{\"a\":[1}]",
                                   "{\"a\"}",
                                   "{\"a\":}",
                                   "{:1}",
                                   "{a:1}",
                                   "{'a':1}",
                                   "{1:1}",
                                   "{\"a\":1,}",
                                   "{,\"a\":1}",
                                   "{\"a\":1,,\"b\":2}",
                                   "{\"a\":1 \"b\":2}",
                                   "{\"a\"::1}",
                                   "{\"a\",1}",
                                   "{\"a\":[1,]}",
                                   "{\"a\":[,1]}",
                                   "{\"a\":[1 2]}",
                                   "{\"a\":[1,,2]}",
                                   "{\"a\":{\"b\":1,}}",
                                   "{\"a\":tru}",
                                   "{\"a\":truex}",
                                   "{\"a\":True}",
                                   "{\"a\":nul}",
                                   "{\"a\":nullx}",
                                   "{\"a\":falsey}",
                                   "{\"a\":fals}",
                                   "{\"a\":\"b}",
                                   "{\"a\":\"b\\\"}",
                                   "{\"a\":1}//x",
                                   "/**/{}",
                                   "{\"a\":1/**/}",
                                   "{\"a\" 1}",
                                   "{\"a\":undefined}",
                                   "{{}}",
                                   "{\"a\":\"b\"\"c\"}",
                                   "{\"a\":1}\v",
                                   "\xef\xbb\xbf{}",
                                   "{\"a\":1}\xff"}) {
        CAPTURE(text);
        CHECK_FALSE(accepts(text));
    }
    CHECK_FALSE(accepts(std::string_view("{}\0", 3)));
    CHECK_FALSE(accepts(std::string_view("\0{}", 3)));
    CHECK(accepts(" \t\r\n{ } \n"));
}

TEST_CASE("A13: a key of 64 KiB is read when it fits and refused when it does not") {
    const std::string text = "{\"" + std::string(65'536 - 6, 'k') + "\":1}";
    REQUIRE(text.size() == 65'536);
    const auto json = read_json_object(text, 65'536);
    REQUIRE(json);
    CHECK(json->members[0].name.size() == 65'530);
    CHECK_FALSE(read_json_object(text + " ", 65'536));
}

TEST_CASE("every prefix of a valid object is refused") {
    const std::string text = R"({"v":2,"caller":"a","mac":"\u00e4","request":{"id":[1,-2.5e3,true,null],"b":{}}})";
    REQUIRE(accepts(text));
    for (std::size_t i = 0; i < text.size(); ++i) {
        CAPTURE(i);
        CHECK_FALSE(accepts(text.substr(0, i)));
    }
}

TEST_CASE("a reader that failed reads the next object as if nothing had been") {
    for (int i = 0; i < 10; ++i) {
        CHECK_FALSE(accepts("{\"a\":[[[[{\"b\":\"\\ud800\"}"));
        CHECK(accepts(R"({"a":[[{"b":"c"}]]})"));
    }
}
