#include "executor/duty.h"

#include <doctest/doctest.h>

#include <limits>
#include <string>

using namespace luminous_healing;
using namespace luminous_healing::executor;

namespace {

Duty some_duty() {
    Duty duty;
    duty.plan = true;
    duty.action = ActionName("restart_service");
    duty.request_id = "monitor:1";
    duty.credentials = {65534, 100, {4, 4'294'967'294U}};
    duty.arguments.set("service", std::string("a\0b\xFF", 4));
    duty.arguments.set("empty", std::string());
    duty.arguments.set("least", std::numeric_limits<std::int64_t>::min());
    duty.arguments.set("no", false);
    duty.arguments.set("yes", true);
    return duty;
}

}  // namespace

TEST_CASE("a worker is told its duty as it was given, byte for byte") {
    const Duty duty = some_duty();
    const auto read = decode_duty(encode_duty(duty));
    REQUIRE(read.has_value());
    CHECK(read->plan);
    CHECK_FALSE(read->adopted);
    CHECK(read->action.str() == "restart_service");
    CHECK(read->request_id == duty.request_id);
    CHECK(read->credentials.uid == 65534);
    CHECK(read->credentials.gid == 100);
    CHECK(read->credentials.groups == duty.credentials.groups);
    CHECK(read->arguments.all() == duty.arguments.all());
}

TEST_CASE("orders that are cut off anywhere, or followed by anything, are no orders") {
    const std::string whole = encode_duty(some_duty());
    for (std::size_t size = 0; size < whole.size(); ++size) CHECK_FALSE(decode_duty(whole.substr(0, size)).has_value());
    CHECK_FALSE(decode_duty(whole + '\0').has_value());
}
