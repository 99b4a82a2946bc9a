// The C++ side of tests/vectors/requests.json.
//   vector_tool sign < requests.json     the frame of each request, signed by the client library
//   vector_tool verify KEY < frames      what the daemon's own reading makes of each frame, one JSON object a line

#include "base/text.h"
#include "clients/cpp/client.h"
#include "protocol/envelope.h"
#include "protocol/framing.h"
#include "protocol/json_writer.h"
#include "protocol/limits.h"

#include <iostream>
#include <iterator>

using namespace luminous_healing;
using protocol::Json;
using protocol::JsonWriter;

namespace {

std::optional<std::string> text(const Json& object, std::string_view name) {
    const Json* const found = object.find(name);
    return found != nullptr ? std::optional(found->text) : std::nullopt;
}

int sign(const std::string& input) {
    const auto vectors = protocol::read_json_object(input, input.size());
    if (!vectors) return std::cerr << vectors.error().message << "\n", 1;
    client::Settings settings;
    settings.caller = *text(*vectors, "caller");
    const auto client = Client::create(settings, *text(*vectors, "key"));
    for (const auto& vector : vectors->find("requests")->items) {
        protocol::RequestDraft draft;
        draft.id = *text(vector, "id");
        draft.action = *text(vector, "action");
        draft.parameters_json = *text(vector, "parameters");
        draft.timestamp = *text(vector, "timestamp");
        draft.plan = text(vector, "mode") == "plan";
        draft.stream = vector.find("stream") != nullptr;
        draft.audience = text(vector, "audience");
        draft.reason = text(vector, "reason");
        if (const auto deadline = text(vector, "deadline_ms"))
            draft.deadline_ms = parse_integer<std::int64_t>(*deadline);
        const auto request = client->sign(draft);
        if (!request) return std::cerr << draft.id << ": " << request.error().message << "\n", 1;
        std::cout << request->frame;
    }
    return 0;
}

std::string describe(const std::string& frame, const protocol::MacKey& key) {
    JsonWriter writer;
    writer.begin_object();
    const auto envelope = protocol::parse_envelope(frame);
    const auto* const v2 = envelope ? std::get_if<protocol::EnvelopeV2>(&*envelope) : nullptr;
    if (v2 == nullptr)
        return writer.member("error", envelope ? "version" : envelope.error().message).end_object().take();
    writer.member("caller", v2->caller).member_bool("proven", protocol::request_mac(key, v2->request).equals(v2->mac));
    const auto request = protocol::parse_request(v2->request);
    if (!request) return writer.member("error", request.error().message).end_object().take();
    writer.member("id", request->id.str()).member("action", request->action.str());
    writer.key("parameters").raw(protocol::write_parameters(request->parameters));
    writer.member("time_us", static_cast<std::int64_t>(request->timestamp.since_epoch.count()));
    writer.member_bool("plan", request->mode == protocol::Mode::plan).member_bool("stream", request->stream);
    writer.member_or_null("audience", request->audience).member_or_null("reason", request->reason);
    const auto deadline = request->deadline ? std::optional<std::int64_t>(request->deadline->count()) : std::nullopt;
    return writer.member_or_null("deadline_ms", deadline).end_object().take();
}

int verify(const std::string& input, std::string_view key_text) {
    const auto key = protocol::MacKey::create(key_text);
    if (!key) return std::cerr << key.error().message << "\n", 1;
    protocol::FrameSplitter splitter;
    splitter.feed(input);
    while (splitter.poll() == protocol::FrameSplitter::State::frame)
        std::cout << describe(splitter.take(), *key) << "\n";
    return splitter.buffered() > 1 ? 1 : 0;  // one newline may be left
}

}  // namespace

int main(int argc, char** argv) {
    const std::string input{std::istreambuf_iterator<char>(std::cin), {}};
    if (argc == 2 && argv[1] == std::string_view("sign")) return sign(input);
    if (argc == 3 && argv[1] == std::string_view("verify")) return verify(input, argv[2]);
    std::cerr << "usage: vector_tool sign | verify KEY\n";
    return 2;
}
