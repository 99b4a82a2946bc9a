// What the daemon answers, to somebody who asks as its clients do.

#include "base/text.h"
#include "clients/cpp/connection.h"
#include "healctl/ask.h"
#include "healctl/give_key.h"
#include "healctl/looks.h"
#include "protocol/json_reader.h"
#include "protocol/limits.h"
#include "protocol/mac.h"

#include <pwd.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <unistd.h>

namespace luminous_healing::healctl {
namespace {

using protocol::Code;
using protocol::Json;

Finding look_at_key(const Installation& installation, const Globals& globals) {
    const auto found = find_credentials(globals.credentials);
    if (!found)
        return installation.is_root
                   ? unknown("key", "you have none to ask with: --caller NAME takes one of the daemon's")
                   : bad("key", found.error().message + ". Ask root for: healctl caller add NAME --user YOU --give",
                         "");
    if (!found->warning.empty()) return bad("key", found->warning, "chmod 0400 " + found->source);
    if (found->key.size() < protocol::kMinKeyLength)
        return bad("key", found->source + " is shorter than 32 bytes: the daemon refuses it", "");
    return good("key", "caller " + found->caller + ", key from " + found->source);
}

Expected<std::string> ping(const std::string& socket) {
    const BootTime deadline = now().boot + 3s;
    auto connection = client::Connection::open(socket, deadline);
    if (!connection) return tl::unexpected(connection.error());
    if (auto sent = connection->send("{\"type\":\"ping\"}\n", deadline); !sent) return tl::unexpected(sent.error());
    return connection->receive(deadline);
}

std::string own_name() {
    const passwd* const entry = ::getpwuid(::geteuid());
    return entry != nullptr ? entry->pw_name : std::to_string(::geteuid());
}

Finding no_answer(const Installation& installation, const std::string& path, const Error& error) {
    if (error.system_error != EACCES || !installation.has_systemd)
        return bad("socket", error.message + " (journalctl -u luminous-healing says more)", "");
    if (!is_in_group(own_name(), installation.group()))
        return bad("socket", "you may not open " + path + ": only members of " + installation.group() + " may",
                   "usermod --append --groups " + installation.group() + " " + own_name());
    return bad("socket", "you may not open " + path + ", though you are in its group. Log in again", "");
}

Finding look_at_socket(const Installation& installation, const std::string& path) {
    struct stat status {};
    const bool seen = ::stat(path.c_str(), &status) == 0;
    if (seen && (status.st_mode & S_IWOTH) != 0)
        return bad("socket", path + " is open to every user", "chmod 0660 " + path);
    if (seen && installation.has_systemd && (status.st_mode & 0660U) != 0660U)
        return bad("socket", path + " is closed to its group", "chmod 0660 " + path);
    const auto pong = ping(path);
    if (!pong) return no_answer(installation, path, pong.error());
    const auto object = protocol::read_json_object(*pong, protocol::kMaxFrame);
    const Json* const version = object ? object->find("version") : nullptr;
    if (version == nullptr)
        return bad("socket", "what listens at " + path + " is not luminous-healingd: use another --socket", "");
    return good("socket", path + " answers, version " + printable_line(version->text, 40));
}

Finding look_at_request(const Installation& installation, const Expected<client::Answer>& status) {
    if (!status) return bad("request", status.error().message + ": mend what is named above first", "");
    const auto& response = status->response;
    if (response.code == Code::ok) return good("request", "the daemon knows this caller and its key");
    const std::string what =
        std::string(protocol::name_of(response.code)) + ": " + printable_line(response.error.value_or(""), 300);
    // A key or caller that the file has and the running daemon has not.
    const bool outdated = response.code == Code::unknown_caller || response.code == Code::bad_signature;
    if (outdated && installation.is_root && installation.has_systemd) return bad("request", what, kRestart);
    return bad("request", what + " (" + std::string(advice_for(response.code)) + ")", "");
}

/// Is what the daemon has in force what is written in the file?
void look_at_digest(const Installation& installation, const Json& status, Findings& findings) {
    const Json* const digest = status.find("config_digest");
    const Json* const file = status.find("config");
    if (!installation.config || digest == nullptr || file == nullptr || file->text != installation.config_path) return;
    if (digest->text != installation.config->digest)
        findings.push_back(bad("reload", "the daemon has not read " + installation.config_path + " as it is now",
                               installation.has_systemd ? "systemctl reload luminous-healing.service" : ""));
}

void look_at_recording(const Json& status, Findings& findings) {
    const Json* const audit = status.find("audit");
    const Json* const available = audit != nullptr ? audit->find("available") : nullptr;
    if (available == nullptr || !available->is(Json::Kind::boolean)) return;
    if (!available->boolean) {
        const Json* const why = audit->find("why");
        findings.push_back(bad("audit",
                               "the log is unavailable: " + (why != nullptr ? printable_line(why->text, 500) : "") +
                                   ". Once that is mended the daemon goes on by itself",
                               ""));
        return;
    }
    const Json* const space = audit->find("space");
    if (space != nullptr && space->text != "normal")
        findings.push_back(bad(
            "audit", "space for records: " + printable_line(space->text, 100) + ". Free space where the log lies", ""));
    else findings.push_back(good("audit", "the daemon records"));
}

/// What the daemon found missing for each action: capabilities, D-Bus, files of the kernel.
void look_at_actions(const Globals& globals, Findings& findings) {
    const auto answer = ask_shortly("status", R"({"detail":"actions"})", globals);
    const auto object = answer && answer->response.code == Code::ok
                            ? protocol::read_json_object(answer->response.result, protocol::kMaxFrame)
                            : Expected<Json>(fail("no answer"));
    const Json* const actions = object ? object->find("actions") : nullptr;
    if (actions == nullptr) return findings.push_back(unknown("actions", "the daemon did not list them"));
    std::string missing;
    for (const Json& action : actions->items) {
        const Json* const name = action.find("name");
        const Json* const why = action.find("unavailable");
        if (name == nullptr || why == nullptr || !why->is(Json::Kind::string)) continue;
        missing +=
            (missing.empty() ? "" : "; ") + printable_line(name->text, 64) + ": " + printable_line(why->text, 300);
    }
    if (missing.empty())
        return findings.push_back(
            good("actions", std::to_string(actions->items.size()) + " for you, all can work here"));
    // What the machine does not have is no fault of the installation; what the unit lacks is named by "capabilities".
    findings.push_back(unknown("actions", missing + ". Disable what this machine cannot have"));
}

}  // namespace

bool look_at_client(const Installation& installation, const Globals& globals, Findings& findings) {
    findings.push_back(look_at_key(installation, globals));
    const bool has_key = findings.back().health == Health::good;
    findings.push_back(look_at_socket(installation, globals.socket_path()));
    return has_key && findings.back().health == Health::good;
}

void look_at_answers(const Installation& installation, const Globals& globals, Findings& findings) {
    const auto status = ask_shortly("status", "{}", globals);
    findings.push_back(look_at_request(installation, status));
    if (findings.back().health != Health::good) return;
    if (const auto object = protocol::read_json_object(status->response.result, protocol::kMaxFrame)) {
        look_at_digest(installation, *object, findings);
        look_at_recording(*object, findings);
    }
    look_at_actions(globals, findings);
}

/// adjtimex(2) with no modes only reads.
void look_at_clock(Findings& findings) {
    timex state{};
    if (::adjtimex(&state) < 0) findings.push_back(unknown("clock", "the kernel does not tell"));
    else if ((state.status & STA_UNSYNC) == 0) findings.push_back(good("clock", "synchronised"));
    else
        findings.push_back(unknown("clock", "not synchronised: requests signed elsewhere may be refused as stale",
                                   "timedatectl set-ntp true"));
}

}  // namespace luminous_healing::healctl
