#include "healctl/checkup.h"

#include "healctl/looks.h"
#include "healctl/program.h"

#include <unistd.h>

namespace luminous_healing::healctl {
namespace {

/// systemctl(1) "show": one PROPERTY=VALUE a line, also for a unit that is not there.
Properties properties_of(const std::string& unit) {
    std::string wanted = "--property=";
    for (const char* const name :
         {"LoadState", "ActiveState", "SubState", "UnitFileState", "Result", "NeedDaemonReload", "ExecMainStatus",
          "MainPID", "User", "CapabilityBoundingSet", "SocketGroup", "SocketMode", "Listen", "FragmentPath"})
        wanted.append(name).append(",");
    const auto shown = run_program({"systemctl", "show", "--no-pager", wanted, unit});
    Properties properties;
    if (!shown) return properties;
    std::size_t at = 0;
    while (at < shown->output.size()) {
        const auto end = std::min(shown->output.find('\n', at), shown->output.size());
        const std::string line = shown->output.substr(at, end - at);
        if (const auto equals = line.find('='); equals != std::string::npos)
            properties[line.substr(0, equals)] = line.substr(equals + 1);
        at = end + 1;
    }
    return properties;
}

std::string find_in(const Properties& properties, const std::string& name) {
    const auto found = properties.find(name);
    return found == properties.end() ? std::string() : found->second;
}

}  // namespace

Finding good(std::string name, std::string what) { return {std::move(name), Health::good, std::move(what), {}}; }
Finding bad(std::string name, std::string what, std::string mend) {
    return {std::move(name), Health::bad, std::move(what), std::move(mend)};
}
Finding unknown(std::string name, std::string what, std::string mend) {
    return {std::move(name), Health::unknown, std::move(what), std::move(mend)};
}

std::string command_in(const std::string& message) {
    constexpr std::string_view kRun = "Run: ";
    const auto at = message.rfind(kRun);
    return at == std::string::npos ? std::string() : message.substr(at + kRun.size());
}

std::string Installation::of_service(const std::string& property) const { return find_in(service, property); }
std::string Installation::of_socket(const std::string& property) const { return find_in(socket, property); }
std::string Installation::user() const {
    const std::string named = of_service("User");
    return named.empty() ? "luminous-healing" : named;
}
std::string Installation::group() const {
    const std::string named = of_socket("SocketGroup");
    return named.empty() ? "luminous-healing" : named;
}

Installation look_around(const std::string& config_path) {
    Installation installation;
    installation.config_path = config_path;
    installation.is_root = ::geteuid() == 0;
    installation.has_systemd = is_systemd_here();
    installation.is_nixos = ::access("/etc/NIXOS", F_OK) == 0;
    if (!installation.has_systemd) return installation;
    installation.service = properties_of(kService);
    installation.socket = properties_of(kSocket);
    return installation;
}

std::vector<Finding> check_up(const Globals& globals, const std::string& config) {
    Installation installation = look_around(config);
    Findings findings;
    if (installation.has_systemd) look_at_accounts(installation, findings);
    look_at_folders(installation, findings);
    look_at_configuration(installation, findings);
    look_at_keys(installation, findings);
    look_at_log(installation, findings);
    if (installation.has_systemd) {
        look_at_program(installation, findings);
        look_at_socket_unit(installation, findings);
        look_at_service_unit(installation, findings);
        look_at_capabilities(installation, findings);
        look_at_key_copies(installation, findings);
    } else {
        findings.push_back(unknown("unit", "systemd does not run here: luminous-healingd is started by hand"));
    }
    if (look_at_client(installation, globals, findings)) look_at_answers(installation, globals, findings);
    else findings.push_back(unknown("request", "cannot be tried before key and socket are in order"));
    look_at_clock(findings);
    return findings;
}

}  // namespace luminous_healing::healctl
