#include "healctl/parameters.h"

#include <doctest/doctest.h>

using luminous_healing::healctl::read_parameters;

TEST_CASE("text that is a whole decimal number or a truth value is sent as one and all other text as a string") {
    const struct {
        const char* word;
        const char* json;
    } cases[] = {
        {"pid=123", R"({"pid":123})"},
        {"value=-7", R"({"value":-7})"},
        {"value=0", R"({"value":0})"},
        {"value=007", R"({"value":"007"})"},
        {"value=-0", R"({"value":"-0"})"},
        {"value=+1", R"({"value":"+1"})"},
        {"value=1.5", R"({"value":"1.5"})"},
        {"value=1e3", R"({"value":"1e3"})"},
        {"value=99999999999999999999", R"({"value":"99999999999999999999"})"},
        {"flag=true", R"({"flag":true})"},
        {"flag=false", R"({"flag":false})"},
        {"flag=True", R"({"flag":"True"})"},
        {"service=nginx", R"({"service":"nginx"})"},
        {"service=", R"({"service":""})"},
        {"text=a=b", R"({"text":"a=b"})"},
        {"text=null", R"({"text":"null"})"},
    };
    for (const auto& c : cases) {
        CAPTURE(c.word);
        CHECK(read_parameters({c.word}).value_or("") == c.json);
    }
}

TEST_CASE("colon equals sends exactly the JSON that follows") {
    CHECK(read_parameters({R"(service:="123")"}).value_or("") == R"({"service":"123"})");
    CHECK(read_parameters({"list:=[1, \"a\", null]"}).value_or("") == R"({"list":[1,"a",null]})");
    CHECK(read_parameters({"value:=1.50"}).value_or("") == R"({"value":1.50})");
}

TEST_CASE("parameters keep the order they were given in") {
    CHECK(read_parameters({"b=1", "a=2"}).value_or("") == R"({"b":1,"a":2})");
    CHECK(read_parameters({}).value_or("") == "{}");
}

TEST_CASE("what is no parameter is refused with the way to write it") {
    CHECK(read_parameters({"nginx"}).error().message.find("name=value") != std::string::npos);
    CHECK(read_parameters({"service:=nginx"}).error().message.find("service:='\"text\"'") != std::string::npos);
    CHECK_FALSE(read_parameters({"=value"}));
    CHECK_FALSE(read_parameters({":=1"}));
    CHECK_FALSE(read_parameters({"a b=1"}));
    CHECK(read_parameters({"a=1", "a=2"}).error().message.find("twice") != std::string::npos);
}

TEST_CASE("JSON cannot smuggle in a second parameter") {
    CHECK_FALSE(read_parameters({R"(a:=1,"b":2)"}));
    CHECK_FALSE(read_parameters({R"(a:=1}{"b":2)"}));
    CHECK_FALSE(read_parameters({"a:="}));
}
