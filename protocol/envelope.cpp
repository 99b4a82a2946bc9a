#include "protocol/envelope.h"

#include "base/text.h"
#include "protocol/json_reader.h"
#include "protocol/limits.h"

#include <algorithm>
#include <initializer_list>

namespace luminous_healing::protocol {
namespace {

constexpr std::size_t kMaxCallerLength = 128;
constexpr std::size_t kShown = 64;  // bytes of what was sent that a message repeats

Expected<const Json*> member(const Json& object, std::string_view name, Json::Kind kind) {
    const Json* const found = object.find(name);
    if (found == nullptr) return fail("the member \"" + std::string(name) + "\" is missing");
    if (!found->is(kind)) return fail("the member \"" + std::string(name) + "\" is of the wrong type");
    return found;
}

Expected<void> only_members(const Json& object, std::initializer_list<std::string_view> allowed) {
    for (const auto& m : object.members) {
        if (std::find(allowed.begin(), allowed.end(), m.name) == allowed.end())
            return fail("unknown member \"" + printable_line(m.name, kShown) + "\"");
    }
    return {};
}

Expected<Mac> mac_member(const Json& object, std::string_view name) {
    const auto text = member(object, name, Json::Kind::string);
    if (!text) return tl::unexpected(text.error());
    const auto mac = Mac::from_hex((*text)->text);
    if (!mac) return fail("\"" + std::string(name) + "\" is not 64 lowercase hexadecimal digits");
    return *mac;
}

Expected<Envelope> read_v2(const Json& object) {
    if (auto only = only_members(object, {"v", "caller", "mac", "request"}); !only) return tl::unexpected(only.error());
    const auto version = member(object, "v", Json::Kind::number);
    if (!version) return tl::unexpected(version.error());
    if ((*version)->text != "2")
        return fail("protocol version " + printable_line((*version)->text, kShown) + " is not known; this is 2");
    const auto caller = member(object, "caller", Json::Kind::string);
    if (!caller) return tl::unexpected(caller.error());
    if ((*caller)->text.size() > kMaxCallerLength) return fail("the caller's name is too long");
    const auto mac = mac_member(object, "mac");
    if (!mac) return tl::unexpected(mac.error());
    const auto request = member(object, "request", Json::Kind::object);
    if (!request) return tl::unexpected(request.error());
    return EnvelopeV2{(*caller)->text, *mac, std::string((*request)->raw)};
}

bool is_text(const Json& object, std::string_view name, std::string_view text) {
    const Json* const found = object.find(name);
    return found != nullptr && found->is(Json::Kind::string) && found->text == text;
}

Expected<Envelope> read_v1(const Json& object) {
    if (auto only = only_members(object, {"id", "action", "parameters", "timestamp", "signature"}); !only)
        return tl::unexpected(only.error());
    EnvelopeV1 v1;
    for (const auto& [name, into] : {std::pair<std::string_view, std::string*>{"id", &v1.id},
                                     {"action", &v1.action},
                                     {"timestamp", &v1.timestamp}}) {
        const auto found = member(object, name, Json::Kind::string);
        if (!found) return tl::unexpected(found.error());
        *into = (*found)->text;
    }
    const auto parameters = member(object, "parameters", Json::Kind::object);
    if (!parameters) return tl::unexpected(parameters.error());
    v1.parameters = (*parameters)->raw;
    // The prototype's client has no status call; its guide probes with an unsigned one through nc.
    if (object.find("signature") == nullptr && v1.action == "status" && v1.parameters.size() == 2 &&
        v1.id.size() <= kMaxIdLength)
        return LegacyProbe{v1.id};
    const auto signature = mac_member(object, "signature");
    if (!signature) return tl::unexpected(signature.error());
    v1.signature = *signature;
    return v1;
}

}  // namespace

Expected<Envelope> parse_envelope(std::string_view frame) {
    const auto object = read_json_object(frame, kMaxFrame);
    if (!object) return tl::unexpected(object.error());
    if (object->find("v") != nullptr) return read_v2(*object);
    if (object->members.size() == 1 && is_text(*object, "type", "ping")) return Ping{};
    return read_v1(*object);
}

}  // namespace luminous_healing::protocol
