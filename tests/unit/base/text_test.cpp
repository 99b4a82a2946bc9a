#include "base/text.h"

#include <doctest/doctest.h>

#include <cstdint>

using namespace luminous_healing;

TEST_CASE("hexadecimal is lowercase and comes back as the same bytes") {
    std::string all;
    for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
    CHECK(to_hex(std::string_view("\x00\x0f\xf0\xff", 4)) == "000ff0ff");
    CHECK(from_hex(to_hex(all)) == all);
    CHECK(from_hex("") == "");
}

TEST_CASE("hexadecimal in upper case or of odd length or with anything else is refused") {
    for (const auto* const text : {"A0", "aF", "0", "abc", "0g", "0x", " 0", "0 ", "-1", "\xff\xff"}) {
        CAPTURE(text);
        CHECK_FALSE(from_hex(text));
    }
    CHECK_FALSE(from_hex(std::string_view("0\0", 2)));
}

TEST_CASE("UTF-8 is accepted exactly where RFC 3629 allows it") {
    for (const auto* const good : {"", "plain", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf",
                                   "\xee\x80\x80", "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"}) {
        CAPTURE(to_hex(good));
        CHECK(is_valid_utf8(good));
    }
    for (const auto* const bad :
         {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2 ", "\xe0\x80\x80", "\xe0\x9f\xbf", "\xe1\x80",
          "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80",
          "\xf5\x80\x80\x80", "\xf8\x88\x80\x80\x80", "\xff", "ok\xfe", "\xe2\x82"}) {
        CAPTURE(to_hex(bad));
        CHECK_FALSE(is_valid_utf8(bad));
    }
}

TEST_CASE("every code point is valid UTF-8 but the surrogates") {
    std::size_t wrong = 0;
    for (std::uint32_t cp = 0x800; cp < 0x10000; ++cp) {
        const char bytes[] = {static_cast<char>(0xE0U | (cp >> 12U)), static_cast<char>(0x80U | ((cp >> 6U) & 63U)),
                              static_cast<char>(0x80U | (cp & 63U))};
        if (is_valid_utf8({bytes, 3}) == (cp >= 0xD800 && cp <= 0xDFFF)) ++wrong;
    }
    CHECK(wrong == 0);
}

TEST_CASE("A20: text for people loses what could drive a terminal or turn its direction") {
    CHECK(printable("a\x1b[31mred\x07\r\x7f", 99) == "a[31mred");
    CHECK(printable("c1 \xc2\x9b and \xc2\x85 gone", 99) == "c1  and  gone");
    CHECK(printable("bidi \xe2\x80\xae\xe2\x80\xaa\xe2\x81\xa6\xe2\x81\xa9\xe2\x80\x8e x", 99) == "bidi  x");
    CHECK(printable("line\xe2\x80\xa8"
                    "sep\xe2\x80\xa9"
                    "par",
                    99) == "lineseppar");
    CHECK(printable("keeps\nlines\tand \xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 99) ==
          "keeps\nlines\tand \xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
    CHECK(printable(std::string_view("nul\0nul", 7), 99) == "nulnul");
}

TEST_CASE("ill-formed bytes each become one replacement character") {
    CHECK(printable("\xff", 99) == "\xef\xbf\xbd");
    CHECK(printable("a\xc3(", 99) == "a\xef\xbf\xbd(");
    CHECK(is_valid_utf8(printable("\xed\xa0\x80\xf8\x80\xe2\x82", 99)));
}

TEST_CASE("text is cut at the border of a character and says so") {
    bool cut = true;
    CHECK(printable("\xe2\x82\xac\xe2\x82\xac", 6, &cut) == "\xe2\x82\xac\xe2\x82\xac");
    CHECK_FALSE(cut);
    CHECK(printable("\xe2\x82\xac\xe2\x82\xac", 5, &cut) == "\xe2\x82\xac");
    CHECK(cut);
    CHECK(printable("abc", 0, &cut).empty());
    CHECK(cut);
    CHECK(printable("abc\x1b", 3, &cut) == "abc");
    CHECK_FALSE(cut);  // nothing that would have been shown is missing
}

TEST_CASE("a line for people is one line") {
    CHECK(printable_line("a\nb\tc\r\n", 99) == "a b c ");
    CHECK(printable_line("forged\n{\"event\":1}", 99) == "forged {\"event\":1}");
}

TEST_CASE("trimming takes white space off both ends alone") {
    CHECK(trim(" \t\r\n a b \n") == "a b");
    CHECK(trim("").empty());
    CHECK(trim(" \n").empty());
    CHECK(trim("x") == "x");
}

TEST_CASE("a number is the whole text in plain decimal digits") {
    CHECK(parse_integer<std::int64_t>("-9223372036854775808") == INT64_MIN);
    CHECK(parse_integer<std::int64_t>("9223372036854775807") == INT64_MAX);
    CHECK(parse_integer<std::uint32_t>("4294967295") == UINT32_MAX);
    CHECK(parse_integer<int>("007") == 7);
    for (const auto* const text :
         {"", "-", "+1", " 1", "1 ", "1e3", "1.0", "0x1", "1,0", "9223372036854775808", "--1"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_integer<std::int64_t>(text));
    }
    CHECK_FALSE(parse_integer<std::uint32_t>("4294967296"));
    CHECK_FALSE(parse_integer<std::uint32_t>("-1"));
    CHECK_FALSE(parse_integer<int>(std::string_view("1\0", 2)));
}

TEST_CASE("JSON that is shown has no control character of two bytes left, and says the same") {
    CHECK(with_controls_escaped("{\"a\":\"\xC2\x9B"
                                "31m\xC2\x80\xC2\x9F\"}") == R"({"a":"\u009b31m\u0080\u009f"})");
    const std::string as_it_was = "{\"a\":\"\xC2\xA0\xC3\xBC\xE2\x82\xAC\\u001b\"}";
    CHECK(with_controls_escaped(as_it_was) == as_it_was);
    CHECK(with_controls_escaped("\xC2") == "\xC2");
    CHECK(with_controls_escaped("\xE2\x80\xAE\xE2\x81\xA6\x7F") == "\\u202e\\u2066\\u007f");
    CHECK(with_controls_escaped("\xE2\x80\xA9\xE2\x81\xAA\xE2\x80") == "\xE2\x80\xA9\xE2\x81\xAA\xE2\x80");
    CHECK(with_controls_escaped("{\t\"a\":\r\n1}") == "{ \"a\":  1}");
}
