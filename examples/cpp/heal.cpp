// Asks for an action from C++:  heal CALLER KEY_FILE ACTION [PARAMETERS_AS_JSON]
// Shows progress as it comes. Exit status: 0 done, 1 refused or failed, 2 no answer that can be trusted.

#include <luminous_healing/client.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>

namespace healing = luminous_healing;

namespace {

int fail(const std::string& message) {
    std::cerr << "heal: " << message << "\n";
    return 2;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 4) return fail("usage: heal CALLER KEY_FILE ACTION [PARAMETERS_AS_JSON]");
    std::ifstream key_file(argv[2]);
    std::string key{std::istreambuf_iterator<char>(key_file), {}};
    healing::client::Settings settings;
    settings.caller = argv[1];
    if (const char* socket = std::getenv("LUMINOUS_HEALING_SOCKET")) settings.socket = socket;
    const auto client = healing::Client::create(settings, key);
    healing::protocol::wipe(key);
    if (!client) return fail(std::string(argv[2]) + ": " + client.error().message);

    healing::protocol::RequestDraft draft;
    draft.action = argv[3];
    if (argc > 4) draft.parameters_json = argv[4];
    draft.stream = true;
    const auto request = client->sign(draft);
    if (!request) return fail(request.error().message);
    const auto show = [](const healing::protocol::Event& event) { std::cerr << event.text << "\n"; };
    const auto answer = client->ask(*request, {.event = show, .connection_lost = {}});
    if (!answer) return fail(answer.error().message);

    const auto& response = answer->response;
    std::cout << (response.success ? response.output : response.error.value_or(response.output)) << "\n";
    if (response.verdict) std::cout << "verdict: " << name_of(*response.verdict) << "\n";
    return response.success ? 0 : 1;
}
