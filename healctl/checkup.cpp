#include "healctl/checkup.h"

#include "base/file.h"
#include "base/text.h"
#include "clients/cpp/connection.h"
#include "healctl/ask.h"
#include "healctl/configuration.h"
#include "protocol/json_reader.h"
#include "protocol/limits.h"
#include "protocol/mac.h"

#include <spawn.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

namespace luminous_healing::healctl {
namespace {

using protocol::Code;
using protocol::Json;

Finding good(std::string name, std::string what) { return {std::move(name), Health::good, std::move(what), {}}; }
Finding bad(std::string name, std::string what, std::string mend) {
    return {std::move(name), Health::bad, std::move(what), std::move(mend)};
}
Finding unknown(std::string name, std::string what, std::string mend = {}) {
    return {std::move(name), Health::unknown, std::move(what), std::move(mend)};
}

Finding look_at_configuration(const std::string& path) {
    if (::access(path.c_str(), F_OK) != 0 && errno == ENOENT)
        return bad("configuration", path + " does not exist",
                   "install one from examples/config.toml, or name it with --config");
    if (::access(path.c_str(), R_OK) != 0)
        return unknown("configuration", path + " is not readable by you", "sudo healctl check " + path);
    const auto config = executor::read_config(path, config_sources());
    if (config) return good("configuration", path + " is in order");
    const auto& first = config.error().front();
    return bad("configuration", first.where + ": " + first.what, "healctl check " + path);
}

Finding look_at_key(const Globals& globals) {
    const auto found = find_credentials(globals.credentials);
    if (!found) return bad("key", found.error().message, "healctl keygen ~/.config/luminous-healing/key");
    if (!found->warning.empty()) return bad("key", found->warning, "chmod 0400 " + found->source);
    if (found->key.size() < protocol::kMinKeyLength)
        return bad("key", found->source + " is shorter than 32 bytes: the daemon refuses it",
                   "healctl keygen FILE, and the same file for the daemon");
    return good("key", "caller " + found->caller + ", key from " + found->source);
}

/// systemctl's exit status says it all, systemctl(1) "is-active"; it is looked for in $PATH, without a shell.
Finding look_at_unit() {
    struct stat status {};
    if (::stat("/run/systemd/system", &status) != 0)  // sd_booted(3)
        return unknown("unit", "systemd does not run here", "start luminous-healingd by hand");
    char program[] = "systemctl";
    char verb[] = "is-active";
    char quiet[] = "--quiet";
    char service[] = "luminous-healing.service";
    char socket[] = "luminous-healing.socket";
    char* const arguments[] = {program, verb, quiet, service, socket, nullptr};
    pid_t child = 0;
    if (::posix_spawnp(&child, program, nullptr, nullptr, arguments, environ) != 0)
        return unknown("unit", "systemctl cannot be run");
    int ended = 0;
    while (::waitpid(child, &ended, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(ended) && WEXITSTATUS(ended) == 0) return good("unit", "luminous-healing is active");
    return bad("unit", "neither luminous-healing.service nor its socket is active",
               "systemctl enable --now luminous-healing.socket; then journalctl -u luminous-healing");
}

Expected<std::string> ping(const std::string& socket) {
    const BootTime deadline = now().boot + 3s;
    auto connection = client::Connection::open(socket, deadline);
    if (!connection) return tl::unexpected(connection.error());
    if (auto sent = connection->send("{\"type\":\"ping\"}\n", deadline); !sent) return tl::unexpected(sent.error());
    return connection->receive(deadline);
}

Finding look_at_socket(const Globals& globals) {
    const std::string path = globals.socket_path();
    const auto pong = ping(path);
    if (!pong) return bad("socket", pong.error().message, "journalctl -u luminous-healing");
    const auto object = protocol::read_json_object(*pong, protocol::kMaxFrame);
    const Json* const version = object ? object->find("version") : nullptr;
    if (version == nullptr)
        return bad("socket", "what listens at " + path + " is not luminous-healingd", "use another --socket");
    struct stat status {};
    if (::stat(path.c_str(), &status) == 0 && (status.st_mode & S_IWOTH) != 0)
        return bad("socket", path + " is open to every user", "set SocketMode=0660 in luminous-healing.socket");
    return good("socket", path + " answers, version " + printable_line(version->text, 40));
}

Finding look_at_request(const Expected<client::Answer>& status) {
    if (!status) return bad("request", status.error().message, "mend what is named above first");
    const auto& response = status->response;
    if (response.code == Code::ok) return good("request", "the daemon knows this caller and its key");
    return bad("request",
               std::string(protocol::name_of(response.code)) + ": " + printable_line(response.error.value_or(""), 300),
               std::string(advice_for(response.code)));
}

/// What the daemon found missing for each action: capabilities, D-Bus, files of the kernel.
Finding look_at_actions(const Globals& globals) {
    const auto answer = ask_shortly("status", R"({"detail":"actions"})", globals);
    if (!answer || answer->response.code != Code::ok) return unknown("actions", "the daemon did not list them");
    const auto object = protocol::read_json_object(answer->response.result, protocol::kMaxFrame);
    const Json* const actions = object ? object->find("actions") : nullptr;
    if (actions == nullptr) return unknown("actions", "the daemon did not list them");
    std::string missing;
    for (const Json& action : actions->items) {
        const Json* const name = action.find("name");
        const Json* const why = action.find("unavailable");
        if (name == nullptr || why == nullptr || !why->is(Json::Kind::string)) continue;
        missing +=
            (missing.empty() ? "" : "; ") + printable_line(name->text, 64) + ": " + printable_line(why->text, 300);
    }
    if (missing.empty()) return good("actions", std::to_string(actions->items.size()) + " enabled, all can work here");
    return bad("actions", missing,
               "give the unit the capabilities of luminous-healingd --print-capabilities, or disable them");
}

/// What the daemon says of its log; nothing when it says nothing.
std::optional<Finding> audit_by_status(const client::Answer& status) {
    const auto object = protocol::read_json_object(status.response.result, protocol::kMaxFrame);
    const Json* const audit = object ? object->find("audit") : nullptr;
    const Json* const available = audit != nullptr ? audit->find("available") : nullptr;
    if (available == nullptr || !available->is(Json::Kind::boolean)) return {};
    if (!available->boolean) {
        const Json* const why = audit->find("why");
        return bad("audit", "the log is unavailable: " + (why != nullptr ? printable_line(why->text, 500) : ""),
                   "mend that; the daemon tries again by itself");
    }
    const Json* const space = audit->find("space");
    if (space != nullptr && space->text != "normal")
        return bad("audit", "space for records: " + printable_line(space->text, 100),
                   "free space where the log lies: healctl run vacuum_journal, or clean_nix_store");
    return good("audit", "the daemon records");
}

Finding look_at_audit(const std::string& config_path) {
    const auto config = executor::read_config(config_path, config_sources());
    const std::string path = config ? config->audit.path : policy::AuditSettings().path;
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0)
        return errno == ENOENT ? bad("audit", path + " does not exist", "start the daemon once; it makes it")
                               : unknown("audit", path + " cannot be seen by you", "sudo healctl doctor");
    if (!S_ISREG(status.st_mode))
        return bad("audit", path + " is not a regular file", "move it away and restart the daemon");
    if ((status.st_mode & 0027U) != 0) return bad("audit", path + " is open to others", "chmod 0640 " + path);
    return good("audit", path + ", " + std::to_string(status.st_size) + " bytes");
}

/// adjtimex(2) with no modes only reads.
Finding look_at_clock() {
    timex state{};
    if (::adjtimex(&state) < 0) return unknown("clock", "the kernel does not tell");
    if ((state.status & STA_UNSYNC) == 0) return good("clock", "synchronised");
    return unknown("clock", "not synchronised: requests signed elsewhere may be refused as stale",
                   "timedatectl set-ntp true");
}

}  // namespace

std::vector<Finding> check_up(const Globals& globals, const std::string& config) {
    std::vector<Finding> findings{look_at_configuration(config), look_at_key(globals), look_at_unit(),
                                  look_at_socket(globals)};
    if (findings[1].health != Health::good || findings[3].health != Health::good) {
        findings.push_back(unknown("request", "cannot be tried before key and socket are in order"));
        findings.push_back(look_at_audit(config));
        findings.push_back(look_at_clock());
        return findings;
    }
    const auto status = ask_shortly("status", "{}", globals);
    findings.push_back(look_at_request(status));
    if (findings.back().health == Health::good) findings.push_back(look_at_actions(globals));
    auto audit = status ? audit_by_status(*status) : std::nullopt;
    findings.push_back(audit ? std::move(*audit) : look_at_audit(config));
    findings.push_back(look_at_clock());
    return findings;
}

}  // namespace luminous_healing::healctl
