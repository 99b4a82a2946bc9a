#include "bench/frames.h"

#include "base/clock.h"
#include "base/text.h"
#include "bench/times.h"
#include "protocol/json_writer.h"
#include "protocol/request.h"

#include <array>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <utility>

namespace luminous_healing::bench {
namespace {

/// Refused each for a reason of its own, by a caller that may use "mine" and not "other" (bench/setup.py). The daemon
/// records ten refusals of one kind and caller in a minute and counts the rest; many callers times three kinds are
/// what it takes to have every one of some ten thousand recorded.
struct Kind {
    const char* action;
    const char* parameters;
};
constexpr std::array<Kind, 3> kDenials{{{"nonsense", "{}"}, {"other", "{}"}, {"mine", R"({"nonsense":1})"}}};

std::string naive_local_time() {
    const auto since_epoch = now().wall.since_epoch;
    const std::time_t seconds = since_epoch.count() / 1'000'000;
    std::tm local{};
    ::localtime_r(&seconds, &local);
    std::array<char, 32> text{};
    const std::size_t length = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &local);
    std::array<char, 16> fraction{};
    std::snprintf(fraction.data(), fraction.size(), ".%06d", static_cast<int>(since_epoch.count() % 1'000'000));
    return std::string(text.data(), length) + fraction.data();
}

}  // namespace

Frames::Frames(FrameOptions options) : options_(std::move(options)), series_(to_hex(protocol::random_bytes(8))) {
    std::ifstream file(options_.callers);
    std::string name;
    std::string key;
    while (file >> name >> key) {
        auto prepared = protocol::MacKey::create(key);
        if (!prepared) give_up(prepared.error().message.c_str());
        callers_.push_back({name, std::move(*prepared)});
    }
    if (callers_.empty()) give_up("no callers: --callers names a file of lines NAME KEY");
}

std::string Frames::make(std::size_t number, const std::string& parameters) const {
    number += options_.skip;
    const Caller& caller = callers_[number % callers_.size()];
    std::array<char, 17> count{};
    std::snprintf(count.data(), count.size(), "%016zx", number);
    const std::string id = series_ + count.data();
    if (options_.legacy_v1) return sign_v1(caller, id, parameters);
    protocol::RequestDraft draft;
    draft.id = id;
    draft.timestamp = format_rfc3339(now().wall);
    draft.action = options_.action;
    draft.parameters_json = parameters;
    if (options_.action == "denial") {
        const Kind& kind = kDenials[number / callers_.size() % kDenials.size()];
        draft.action = kind.action;
        draft.parameters_json = kind.parameters;
    }
    const std::string signed_bytes = protocol::write_request(draft);
    return protocol::write_envelope(caller.name, protocol::request_mac(caller.key, signed_bytes).hex(), signed_bytes);
}

std::string Frames::sign_v1(const Caller& caller, const std::string& id, const std::string& parameters) const {
    const std::string timestamp = naive_local_time();
    const auto signature = protocol::request_mac_v1(caller.key, id, options_.action, timestamp);
    protocol::JsonWriter writer;
    writer.begin_object().member("id", id).member("action", options_.action).key("parameters").raw(parameters);
    writer.member("timestamp", timestamp).member("signature", signature.hex()).end_object();
    return writer.take();
}

}  // namespace luminous_healing::bench
