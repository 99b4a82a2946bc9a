// Packets of a gate that may have been taken over, as the executor receives them: through a real channel, taken apart
// into messages that are together the bytes that were sent, each understood only when it is exactly what encode() would
// have written.

#include "executor/channel.h"

#include "tests/fuzz/support.h"

#include <cerrno>
#include <string>
#include <vector>

using namespace luminous_healing;
using namespace luminous_healing::fuzz;
using namespace luminous_healing::executor;

namespace {

std::pair<UniqueFd, UniqueFd>& channel() {
    static auto made = make_channel();
    must(made.has_value(), "a channel can be made");
    return *made;
}

/// From the gate's end to the executor's, in one packet.
std::vector<std::string> passed_on(std::string_view bytes) {
    static Outbox outbox;
    static Inbox inbox;
    outbox.add(std::string(bytes));
    must(outbox.flush(channel().second.get()).has_value(), "an empty channel takes a message");
    const auto received = inbox.receive(channel().first.get());
    must(received && !received->empty(), "at least one message arrives");
    std::vector<std::string> arrived;
    for (const auto& one : *received) {
        must(!one.fd.valid(), "without a descriptor when none was sent");
        must(!one.bytes.empty() || bytes.empty(), "only an empty packet has an empty message");
        arrived.emplace_back(one.bytes);
    }
    const auto more = inbox.receive(channel().first.get());
    must(!more && more.error().system_error == EAGAIN, "and no other");
    return arrived;
}

bool lies_in(std::string_view part, std::string_view whole) {
    return part.empty() || (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

/// The bytes as the fields of an honest message.
void check_round_trip(std::string_view bytes) {
    Message message;
    message.type = static_cast<MessageType>(1 + bytes.size() % 8);
    message.connection = ConnectionId(bytes.size() * 0x9E3779B97F4A7C15U);
    message.number = ~message.connection.value();
    std::string_view rest = bytes;
    for (auto& field : message.fields) field = next_part(rest, '\n');
    const std::string written = encode(message);
    const auto read = decode(written);
    must(read && read->type == message.type && read->connection == message.connection &&
             read->number == message.number && read->fields == message.fields,
         "what one end encodes the other decodes");
    must(!decode(written + "x") && !decode(std::string_view(written).substr(0, written.size() - 1)),
         "a byte more or less is no message");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto sent = text_of(data, size);
    check_round_trip(sent);
    std::string together;
    for (const auto& bytes : passed_on(sent)) {
        together += bytes;
        const auto message = decode(bytes);
        if (!message) continue;
        must(message->type >= MessageType::connection && message->type <= MessageType::pong, "its type is one of ours");
        for (const auto field : message->fields) must(lies_in(field, bytes), "its fields lie within it");
        must(encode(*message) == bytes, "exactly one well-formed message, and nothing beside it");
    }
    must(together == sent, "what arrives is what was sent");
    return 0;
}
