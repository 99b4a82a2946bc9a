// What the gate does with the bytes of a client: cuts them into frames and reads each. Both are held against RapidJSON,
// the envelope's verdict against a second reading of luminous-healing-protocol(7).

#include "protocol/envelope.h"

#include "protocol/framing.h"
#include "protocol/limits.h"
#include "tests/fuzz/second_reader.h"
#include "tests/fuzz/support.h"

#include <algorithm>
#include <array>

using namespace luminous_healing;
using namespace luminous_healing::fuzz;
using namespace luminous_healing::protocol;

namespace {

using State = FrameSplitter::State;

struct Cut {
    std::vector<std::string> frames;
    State end = State::incomplete;
    std::size_t left = 0;  // bytes that are in no frame yet

    bool operator==(const Cut&) const = default;
};

/// All frames of the input, which arrives in pieces of this size.
Cut cut(std::string_view input, std::size_t piece) {
    FrameSplitter splitter;
    Cut result;
    for (std::size_t at = 0; at < input.size(); at += piece) {
        splitter.feed(input.substr(at, piece));
        while ((result.end = splitter.poll()) == State::frame) {
            must(splitter.poll() == State::frame, "a frame stays announced until it is taken");
            result.frames.push_back(splitter.take());
        }
        if (result.end != State::incomplete) return result;
    }
    result.left = splitter.buffered();
    return result;
}

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

/// The frames stand in the input one after the other with white space between them, each whole by RapidJSON's reading
/// where that knows an object there.
void check_frames(const Cut& whole, std::string_view rest) {
    const auto skip_space = [&] {
        while (!rest.empty() && is_space(rest.front())) rest.remove_prefix(1);
    };
    for (const auto& frame : whole.frames) {
        skip_space();
        must(rest.starts_with(frame) && frame.starts_with('{') && frame.size() <= kMaxFrame, "a frame is sent bytes");
        if (const auto object = read_first(rest))
            must(object->end == frame.size(), "a valid object is one frame, neither cut nor joined with what follows");
        rest.remove_prefix(frame.size());
    }
    skip_space();
    if (whole.end == State::garbage) must(rest.empty() || rest.front() != '{', "garbage does not begin with {");
    if (whole.end == State::incomplete) {
        must(whole.left == rest.size(), "what is no frame yet is kept, and nothing else");
        must(rest.empty() || !read_first(rest), "a whole object is not held back");
    }
}

std::optional<std::string> text_in(const Node& object, std::string_view name) {
    const Node* const found = object.find(name);
    return found != nullptr && found->is_text() ? std::optional(found->text) : std::nullopt;
}

std::optional<std::string> hex_in(const Node& object, std::string_view name) {
    auto text = text_in(object, name);
    if (!text || text->size() != 64 || text->find_first_not_of("0123456789abcdef") != std::string::npos) return {};
    return text;
}

bool has_only(const Node& object, const std::vector<std::string_view>& names) {
    return std::all_of(object.members.begin(), object.members.end(), [&](const Member& member) {
        return std::find(names.begin(), names.end(), member.name) != names.end();
    });
}

/// Version 2 by its description: exactly the four members, and the request's bytes as sent.
void check_v2(const Expected<Envelope>& read, const Node& object, std::string_view frame) {
    const Node* const version = object.find("v");
    const Node* const request = object.find("request");
    const auto caller = text_in(object, "caller");
    const auto mac = hex_in(object, "mac");
    const bool good = version->kind == Json::Kind::number && version->text == "2" && request != nullptr &&
                      request->kind == Json::Kind::object && caller && caller->size() <= 128 && mac &&
                      has_only(object, {"v", "caller", "mac", "request"});
    must(read.has_value() == good, "version 2 is accepted exactly when its description says so");
    if (!good) return;
    const auto* const v2 = std::get_if<EnvelopeV2>(&*read);
    must(v2 != nullptr && v2->caller == *caller && v2->mac.hex() == *mac, "caller and MAC are those that were sent");
    must(v2->request == request->bytes_in(frame), "what is signed is what was sent, to the byte");
}

/// A single {"type":"ping"}, version 1, and its unsigned probe.
void check_others(const Expected<Envelope>& read, const Node& object, std::string_view frame) {
    const auto type = text_in(object, "type");
    if (object.members.size() == 1 && type == "ping")
        return must(read && std::holds_alternative<Ping>(*read), "a ping is a ping");
    const auto id = text_in(object, "id");
    const auto action = text_in(object, "action");
    const auto timestamp = text_in(object, "timestamp");
    const Node* const parameters = object.find("parameters");
    const bool members = id && action && timestamp && parameters != nullptr && parameters->kind == Json::Kind::object &&
                         has_only(object, {"id", "action", "parameters", "timestamp", "signature"});
    const bool probe = members && object.find("signature") == nullptr && action == "status" &&
                       parameters->bytes_in(frame) == "{}" && id->size() <= kMaxIdLength;
    const auto signature = hex_in(object, "signature");
    must(read.has_value() == (members && (probe || signature)), "version 1 is accepted exactly as it was described");
    if (!read) return;
    if (probe) return must(std::get<LegacyProbe>(*read).id == *id, "an unsigned probe carries its id");
    const auto& v1 = std::get<EnvelopeV1>(*read);
    must(v1.id == *id && v1.action == *action && v1.timestamp == *timestamp && v1.signature.hex() == *signature &&
             v1.parameters == parameters->bytes_in(frame),
         "the members of version 1 are those that were sent");
}

void check_envelope(std::string_view frame) {
    if (has_large_exponent(frame)) return;
    const auto ours = read_json_object(frame, kMaxFrame);
    const auto theirs = read_all(frame);
    must(ours.has_value() == (theirs.has_value() && frame.size() <= kMaxFrame), "both readers give the same verdict");
    const auto envelope = parse_envelope(frame);
    if (!theirs) return must(!envelope, "what is no JSON object is no envelope");
    if (!ours) return;
    must(same(*ours, *theirs, frame), "both readers see the same values at the same place");
    if (theirs->find("v") != nullptr) check_v2(envelope, *theirs, frame);
    else check_others(envelope, *theirs, frame);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto input = text_of(data, size);
    check_envelope(input);  // also what no splitter would let through
    const Cut whole = cut(input, input.size() + 1);
    check_frames(whole, input);
    for (const std::size_t piece : {std::size_t{1}, size % 13 + 2}) {
        const Cut pieces = cut(input, piece);
        must(pieces.frames == whole.frames && pieces.end == whole.end, "how bytes arrive changes nothing");
    }
    for (const auto& frame : whole.frames) check_envelope(frame);
    return 0;
}
