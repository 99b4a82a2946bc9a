#include "policy/parameters.h"

#include <doctest/doctest.h>

using namespace luminous_healing;
using namespace luminous_healing::policy;
using protocol::Code;

namespace {

tl::expected<Arguments, ParameterProblem> check(const std::vector<ParameterSpec>& specification,
                                                const std::string& json) {
    const auto object = protocol::read_json_object(json, 65536);
    REQUIRE_MESSAGE(object, json);
    return check_parameters(specification, object->members);
}

Code code_of(const std::vector<ParameterSpec>& specification, const std::string& json) {
    const auto checked = check(specification, json);
    return checked ? Code::ok : checked.error().code;
}

const std::vector<ParameterSpec> kPid{
    {.name = "pid", .type = ParameterType::integer, .minimum = 2, .maximum = 4'194'304}};

std::vector<ParameterSpec> text_with(const char* pattern) {
    ParameterSpec spec{.name = "name"};
    if (pattern != nullptr) spec.pattern = *Pattern::compile(pattern);
    return {spec};
}

}  // namespace

TEST_CASE("A05: a whole number is plain digits within its bounds") {
    CHECK(check(kPid, R"({"pid":2})")->integer("pid") == 2);
    CHECK(check(kPid, R"({"pid":4194304})")->integer("pid") == 4'194'304);
    for (const auto* const given : {"-1",
                                    "0",
                                    "1",
                                    "4194305",
                                    "4294967297",
                                    "18446744073709551618",
                                    "9223372036854775808",
                                    "1e3",
                                    "1E3",
                                    "10.0",
                                    "1.5",
                                    "\"0x1\"",
                                    "\"-1\"",
                                    "\"10\"",
                                    "\"\"",
                                    "true",
                                    "null",
                                    "[10]",
                                    "{\"pid\":10}",
                                    "-0",
                                    "\" 10\"",
                                    "\"10\\u0000\""}) {
        CAPTURE(given);
        CHECK(code_of(kPid, std::string("{\"pid\":") + given + "}") == Code::parameters_invalid);
    }
}

TEST_CASE("a missing or unknown parameter is invalid") {
    CHECK(code_of(kPid, "{}") == Code::parameters_invalid);
    CHECK(code_of(kPid, R"({"pid":5,"x":1})") == Code::parameters_invalid);
    CHECK(code_of(kPid, R"({"PID":5})") == Code::parameters_invalid);
    CHECK(code_of({}, R"({"pid":5})") == Code::parameters_invalid);
    CHECK(code_of({}, "{}") == Code::ok);
    CHECK(code_of(kPid, R"({"pid\u0000":5})") == Code::parameters_invalid);
}

TEST_CASE("defaults fill what may be left out and nothing else appears") {
    const std::vector<ParameterSpec> specification{
        {.name = "level", .type = ParameterType::integer, .required = false, .default_value = "3"},
        {.name = "signal", .required = false, .default_value = "TERM"},
        {.name = "force", .type = ParameterType::boolean, .required = false, .default_value = "true"},
        {.name = "guard", .required = false}};
    const auto checked = check(specification, "{}");
    REQUIRE(checked);
    CHECK(checked->integer("level") == 3);
    CHECK(checked->text("signal") == "TERM");
    CHECK(checked->shown("force") == "true");
    CHECK_FALSE(checked->has("guard"));
    CHECK(checked->all().size() == 3);
    CHECK(check(specification, R"({"level":1,"force":false})")->shown("level") == "1");
    CHECK(check(specification, R"({"level":1,"force":false})")->shown("force") == "false");
}

TEST_CASE("a string is bounded and not empty and has no NUL") {
    CHECK(code_of(text_with(nullptr), R"({"name":""})") == Code::parameters_invalid);
    CHECK(code_of(text_with(nullptr), R"({"name":"a\u0000b"})") == Code::parameters_invalid);
    CHECK(code_of(text_with(nullptr), "{\"name\":\"" + std::string(256, 'x') + "\"}") == Code::ok);
    CHECK(code_of(text_with(nullptr), "{\"name\":\"" + std::string(257, 'x') + "\"}") == Code::parameters_invalid);
    for (const auto* const given : {"1", "true", "null", "[]", "{}"}) {
        CAPTURE(given);
        CHECK(code_of(text_with(nullptr), std::string("{\"name\":") + given + "}") == Code::parameters_invalid);
    }
}

TEST_CASE("A06: a value that begins with a dash is refused unless the pattern itself does") {
    for (const auto* const pattern : {static_cast<const char*>(nullptr), ".*", "[-a-z]+", "(-a|b)"}) {
        CHECK(code_of(text_with(pattern), R"({"name":"-a"})") == Code::parameters_invalid);
        CHECK(code_of(text_with(pattern), R"({"name":"\u002da"})") == Code::parameters_invalid);
    }
    CHECK(code_of(text_with("-[a-z]"), R"({"name":"-a"})") == Code::ok);
    CHECK(code_of(text_with("-[a-z]"), R"({"name":"-ab"})") == Code::parameters_not_allowed);
}

TEST_CASE("a value outside the pattern of the policy is not allowed") {
    CHECK(code_of(text_with("[a-z]{1,5}"), R"({"name":"abc"})") == Code::ok);
    for (const auto* const given : {"abcdef", "abc ", "abc\\n", "ABC", "a b", "abc;x"}) {
        CAPTURE(given);
        CHECK(code_of(text_with("[a-z]{1,5}"), std::string("{\"name\":\"") + given + "\"}") ==
              Code::parameters_not_allowed);
    }
    CHECK(code_of(text_with("(a)|(b)"), R"({"name":"a; rm -rf"})") == Code::parameters_not_allowed);
}

TEST_CASE("choices are the only values there are") {
    const std::vector<ParameterSpec> signal{{.name = "signal", .choices = {"TERM", "KILL"}}};
    CHECK(code_of(signal, R"({"signal":"KILL"})") == Code::ok);
    for (const auto* const given : {"STOP", "term", "TERM ", "TER", "TERM,KILL"}) {
        CAPTURE(given);
        CHECK(code_of(signal, std::string("{\"signal\":\"") + given + "\"}") == Code::parameters_invalid);
    }
}

TEST_CASE("what the policy narrows is valid but not allowed outside") {
    auto number = kPid;
    number[0].allowed_minimum = 100;
    number[0].allowed_maximum = 200;
    CHECK(code_of(number, R"({"pid":100})") == Code::ok);
    CHECK(code_of(number, R"({"pid":200})") == Code::ok);
    CHECK(code_of(number, R"({"pid":99})") == Code::parameters_not_allowed);
    CHECK(code_of(number, R"({"pid":201})") == Code::parameters_not_allowed);
    CHECK(code_of(number, R"({"pid":1})") == Code::parameters_invalid);
    ParameterSpec word{.name = "name"};
    word.allowed = {"a", "b"};
    CHECK(code_of({word}, R"({"name":"b"})") == Code::ok);
    CHECK(code_of({word}, R"({"name":"c"})") == Code::parameters_not_allowed);
}

TEST_CASE("a unit parameter reaches the action in its full form") {
    const std::vector<ParameterSpec> unit{{.name = "service", .type = ParameterType::unit}};
    CHECK(check(unit, R"({"service":"nginx"})")->text("service") == "nginx.service");
    CHECK(check(unit, R"({"service":"getty@tty1"})")->text("service") == "getty@tty1.service");
    for (const auto* const given : {"\"-Hevil\"", "\"\"", "\"a b\"", "\"getty@\"", "5", "null", "[\"nginx\"]"}) {
        CAPTURE(given);
        CHECK(code_of(unit, std::string("{\"service\":") + given + "}") == Code::parameters_invalid);
    }
}

TEST_CASE("a truth value is true or false") {
    const std::vector<ParameterSpec> flag{{.name = "force", .type = ParameterType::boolean}};
    CHECK(check(flag, R"({"force":true})")->shown("force") == "true");
    for (const auto* const given : {"1", "0", "\"true\"", "null", "[]"}) {
        CAPTURE(given);
        CHECK(code_of(flag, std::string("{\"force\":") + given + "}") == Code::parameters_invalid);
    }
}

TEST_CASE("A20: what a refusal repeats of a value is short and safe to print") {
    const auto refused = check(text_with("[a-z]"), "{\"name\":\"\\u001b[31m\\n" + std::string(200, 'x') + "\"}");
    REQUIRE_FALSE(refused);
    CHECK(refused.error().detail.find_first_of("\x1b\n") == std::string::npos);
    CHECK(refused.error().detail.size() < 250);
}

TEST_CASE("the value of a secret parameter is not in what the audit log gets") {
    ParameterSpec secret{.name = "token"};
    secret.secret = true;
    const auto object = protocol::read_json_object(R"({"token":"hunter2","name":"x"})", 1000);
    REQUIRE(object);
    const std::string audited = audited_parameters({secret, {.name = "name"}}, object->members);
    CHECK(audited.find("hunter2") == std::string::npos);
    // printf hunter2 | sha256sum
    CHECK(audited ==
          R"({"token":"sha256:f52fbd32b2b3b86ff88ef6c490628285f482af15ddcb29541f94bcf526a3f6c7","name":"x"})");
}
