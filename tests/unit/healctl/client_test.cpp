#include "clients/cpp/client.h"

#include "clients/cpp/connection.h"
#include "protocol/envelope.h"
#include "protocol/limits.h"
#include "tests/unit/healctl/canned_server.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

using namespace luminous_healing;
using tests::CannedServer;
using tests::Reply;

namespace {

constexpr std::string_view kKey = "0123456789abcdef0123456789abcdef";

protocol::MacKey key() { return std::move(*protocol::MacKey::create(kKey)); }

Client client_for(const std::string& socket, Micros timeout = 5s) {
    return std::move(*Client::create({.socket = socket, .caller = "tester", .timeout = timeout}, kKey));
}

client::SignedRequest signed_request(const Client& client) {
    protocol::RequestDraft draft;
    draft.id = "request-1";
    draft.action = "status";
    return *client.sign(draft);
}

std::string mac_of(const std::string& frame) {
    return std::get<protocol::EnvelopeV2>(*protocol::parse_envelope(frame)).mac.hex();
}

std::string response_bytes(std::string_view id, protocol::Code code = protocol::Code::ok) {
    protocol::Response response;
    response.request_id = id;
    response.success = code == protocol::Code::ok;
    response.code = code;
    response.output = "all well";
    return protocol::write_response(response);
}

std::string good_answer(const std::string& frame) {
    const auto prepared = key();
    return protocol::frame_response(response_bytes("request-1"), &prepared, mac_of(frame));
}

Reply always(std::string text) {
    return [text = std::move(text)](const std::string&) { return text; };
}

}  // namespace

TEST_CASE("an answer with the right MAC is delivered with its events before it") {
    const CannedServer server({[](const std::string& frame) {
        protocol::Event event{"request-1", 1, protocol::EventKind::progress, "half way"};
        return protocol::frame_event(event, key(), mac_of(frame)) + good_answer(frame);
    }});
    const Client client = client_for(server.path());
    std::vector<std::string> events;
    const auto answer = client.ask(signed_request(client),
                                   {.event = [&](const auto& e) { events.push_back(e.text); }, .connection_lost = {}});
    REQUIRE(answer);
    CHECK(answer->authenticated);
    CHECK(answer->response.output == "all well");
    CHECK(answer->raw == response_bytes("request-1"));
    CHECK(events == std::vector<std::string>{"half way"});
}

TEST_CASE("an answer whose MAC is wrong is refused and not asked for again") {
    const CannedServer server({[](const std::string& frame) {
                                   std::string answer = good_answer(frame);
                                   const auto at = answer.find("all well");
                                   return answer.replace(at, 8, "all evil");
                               },
                               good_answer});
    const Client client = client_for(server.path());
    const auto answer = client.ask(signed_request(client));
    REQUIRE_FALSE(answer);
    CHECK(answer.error().system_error == EBADMSG);
    CHECK(answer.error().message.find("MAC") != std::string::npos);
}

TEST_CASE("the answer to another request is refused though the daemon made it") {
    const CannedServer server({[](const std::string&) {
        const auto prepared = key();
        return protocol::frame_response(response_bytes("request-1"), &prepared, std::string(64, 'a'));
    }});
    const Client client = client_for(server.path());
    const auto answer = client.ask(signed_request(client));
    REQUIRE_FALSE(answer);
    CHECK(answer.error().system_error == EBADMSG);
}

TEST_CASE("an answer that names another request is refused though its MAC is right") {
    const CannedServer server({[](const std::string& frame) {
        const auto prepared = key();
        return protocol::frame_response(response_bytes("request-2"), &prepared, mac_of(frame));
    }});
    const Client client = client_for(server.path());
    const auto answer = client.ask(signed_request(client));
    REQUIRE_FALSE(answer);
    CHECK(answer.error().message.find("another request") != std::string::npos);
}

TEST_CASE("success without a MAC is refused and a refusal without one is passed on") {
    const CannedServer server(
        {always(protocol::frame_response(response_bytes("request-1"), nullptr, "")),
         always(protocol::frame_response(response_bytes("request-1", protocol::Code::bad_signature), nullptr, ""))});
    const Client client = client_for(server.path());
    CHECK_FALSE(client.ask(signed_request(client)));
    const auto refused = client.ask(signed_request(client));
    REQUIRE(refused);
    CHECK_FALSE(refused->authenticated);
    CHECK(refused->response.code == protocol::Code::bad_signature);
}

TEST_CASE("after a lost connection the same bytes are sent again") {
    const CannedServer server({always(""), always("{\"v\":2,\"mac\":"), good_answer});
    const Client client = client_for(server.path());
    std::vector<std::string> lost;
    const auto request = signed_request(client);
    const auto answer =
        client.ask(request, {.event = {}, .connection_lost = [&](auto why) { lost.emplace_back(why); }});
    REQUIRE(answer);
    CHECK(lost == std::vector<std::string>{"the connection was lost before an answer",
                                           "the connection was lost in the middle of an answer"});
    CHECK(server.seen() == request.frame + request.frame + request.frame);
}

TEST_CASE("a refusal without proof says nothing about the same request on an earlier connection") {
    for (const auto code : {protocol::Code::busy, protocol::Code::bad_signature}) {
        const std::string refusal = protocol::frame_response(response_bytes("unknown", code), nullptr, "");
        const CannedServer server({always(""), always(refusal), always(refusal), always(refusal), always(refusal)});
        const Client client = client_for(server.path(), 300ms);
        const auto answer = client.ask(signed_request(client));
        REQUIRE_FALSE(answer);
        CHECK(answer.error().message.find("healctl audit show --id request-1") != std::string::npos);
    }
}

TEST_CASE("an answer to a request that could not be read has no id and is delivered for its MAC") {
    const CannedServer server({[](const std::string& frame) {
        const auto prepared = key();
        return protocol::frame_response(response_bytes("unknown", protocol::Code::bad_request), &prepared,
                                        mac_of(frame));
    }});
    const Client client = client_for(server.path());
    const auto answer = client.ask(signed_request(client));
    REQUIRE(answer);
    CHECK(answer->response.code == protocol::Code::bad_request);
}

TEST_CASE("a connection that stays lost ends with the request id and where to look for it") {
    CannedServer server({always(""), always(""), always(""), always(""), always(""), always(""), always("")});
    const Client client = client_for(server.path(), 300ms);
    const auto answer = client.ask(signed_request(client));
    REQUIRE_FALSE(answer);
    CHECK(answer.error().system_error == ECONNRESET);
    CHECK(answer.error().message.find("healctl audit show --id request-1") != std::string::npos);
}

TEST_CASE("a daemon that does not come back is given up long before a long timeout") {
    auto server = std::make_unique<CannedServer>(std::vector<Reply>{always("")});
    const Client client = std::move(
        *Client::create({.socket = server->path(), .caller = "tester", .timeout = 24h, .patience = 200ms}, kKey));
    const auto answer =
        client.ask(signed_request(client), {.event = {}, .connection_lost = [&](auto) { server.reset(); }});
    REQUIRE_FALSE(answer);
    CHECK(answer.error().system_error == ECONNRESET);
}

TEST_CASE("a daemon that never answers is given up at the timeout") {
    const CannedServer server({});
    const Client client = client_for(server.path(), 50ms);
    const auto answer = client.ask(signed_request(client));
    REQUIRE_FALSE(answer);
    CHECK(answer.error().system_error == ETIMEDOUT);
}

TEST_CASE("an endless answer is cut off at the frame limit") {
    const CannedServer server({always("{\"v\":2,\"output\":\"" + std::string(protocol::kMaxFrame, 'x'))});
    const Client client = client_for(server.path());
    const auto answer = client.ask(signed_request(client));
    REQUIRE_FALSE(answer);
    CHECK(answer.error().system_error == EMSGSIZE);
}

TEST_CASE("an answer that is no JSON is refused") {
    const CannedServer server({always("HTTP/1.1 400 Bad Request\r\n\r\n")});
    const Client client = client_for(server.path());
    const auto answer = client.ask(signed_request(client));
    REQUIRE_FALSE(answer);
    CHECK(answer.error().system_error == EBADMSG);
}

TEST_CASE("a missing socket and a dead one have errors of their own that say what to start") {
    const Client missing = client_for("/nonexistent/luminous-healing.sock");
    const auto no_socket = missing.ask(signed_request(missing));
    REQUIRE_FALSE(no_socket);
    CHECK(no_socket.error().system_error == ENOENT);
    CHECK(no_socket.error().message.find("systemctl start") != std::string::npos);

    std::array<char, 64> path{"/tmp/healctl-dead-XXXXXX"};
    const UniqueFd file(::mkstemp(path.data()));
    const Client dead = client_for(path.data());
    const auto refused = dead.ask(signed_request(dead));
    ::unlink(path.data());
    REQUIRE_FALSE(refused);
    CHECK(refused.error().system_error == ECONNREFUSED);
    CHECK(refused.error().message.find("daemon is down") != std::string::npos);
}

TEST_CASE("a socket that may not be used names the group to join") {
    if (::geteuid() != 0) return;  // only root can make a socket for others and become nobody
    const CannedServer server({good_answer});
    REQUIRE(::chmod(server.path().c_str(), 0600) == 0);
    REQUIRE(::chmod(server.path().substr(0, server.path().rfind('/')).c_str(), 0755) == 0);
    REQUIRE(::seteuid(65534) == 0);
    const Client client = client_for(server.path());
    const auto answer = client.ask(signed_request(client));
    REQUIRE(::seteuid(0) == 0);
    REQUIRE_FALSE(answer);
    CHECK(answer.error().system_error == EACCES);
    CHECK(answer.error().message.find("usermod -aG root") != std::string::npos);
}

TEST_CASE("a request that would not fit into a frame is refused before it is sent") {
    const Client client = client_for("/unused");
    protocol::RequestDraft draft;
    draft.action = "status";
    draft.parameters_json = "{\"text\":\"" + std::string(protocol::kMaxFrame, 'x') + "\"}";
    const auto request = client.sign(draft);
    REQUIRE_FALSE(request);
    CHECK(request.error().system_error == EMSGSIZE);
}

TEST_CASE("a signed request is what the daemon reads and gets an id and a time of its own") {
    const Client client = client_for("/unused");
    protocol::RequestDraft draft;
    draft.action = "status";
    const auto first = client.sign(draft);
    const auto second = client.sign(draft);
    REQUIRE(first);
    CHECK(first->id != second->id);
    const auto envelope = protocol::parse_envelope(first->frame);
    REQUIRE(envelope);
    const auto& v2 = std::get<protocol::EnvelopeV2>(*envelope);
    CHECK(v2.caller == "tester");
    CHECK(protocol::request_mac(key(), v2.request).equals(v2.mac));
    const auto request = protocol::parse_request(v2.request);
    REQUIRE(request);
    CHECK(request->id.str() == first->id);
}

TEST_CASE("an empty key makes no client") { CHECK_FALSE(Client::create({}, " \n")); }
