#include "executor/config_file.h"

#include "base/file.h"
#include "base/text.h"
#include "executor/config_sections.h"
#include "executor/config_trust.h"
#include "policy/unit_name.h"
#include "protocol/mac.h"

#include <unistd.h>

#include <array>
#include <climits>

namespace luminous_healing::executor {
namespace {

constexpr std::size_t kMaxFile = 1U << 20U;  // bytes

Expected<std::string> absolute(const std::string& path) {
    if (path.starts_with('/')) return path;
    std::array<char, PATH_MAX> folder{};
    if (::getcwd(folder.data(), folder.size()) == nullptr) return fail_errno("getcwd");
    return std::string(folder.data()) + "/" + path;
}

Expected<std::string> read_trusted(const std::string& full_path, const ConfigSources& sources) {
    const auto fd = open_trusted_file(full_path, sources.check_owner);
    if (!fd) return tl::unexpected(fd.error());
    return read_all(fd->get(), kMaxFile);
}

std::vector<std::string> member_names(const ConfigNode* node) {
    std::vector<std::string> names;
    if (node == nullptr) return names;
    for (const auto& [name, value] : node->members) names.push_back(name);
    return names;
}

void read_document(const ConfigNode& document, Reading& reading) {
    auto& findings = reading.findings;
    Table table(document, "", findings);
    const auto* const daemon = table.any("daemon");
    const auto* const audit = table.any("audit");
    const auto* const rate_limit = table.any("rate_limit");
    const auto* const callers = table.any("callers");
    const auto* const actions = table.any("actions");
    table.finish();
    // In this order: each section relies on those before it.
    if (daemon != nullptr) read_daemon(*daemon, reading);
    if (audit != nullptr) read_audit(*audit, reading);
    if (rate_limit != nullptr) {
        Table limits(*rate_limit, "rate_limit", findings);
        reading.config.rate_limit = read_rate_limit(limits, reading.config.rate_limit);
        limits.finish();
    }
    if (actions != nullptr) read_actions(*actions, reading);
    else findings.warning(1, "no [actions.NAME] is given, so nothing is enabled");
    if (callers != nullptr) read_callers(*callers, member_names(actions), reading);
    else findings.warning(1, "no [callers.NAME] is given, so every request is refused");
}

void warn_of_unused_actions(const ConfigNode& document, Reading& reading) {
    const auto* const actions = document.find("actions");
    if (actions == nullptr || document.find("callers") == nullptr) return;
    for (const auto& [name, node] : actions->members) {
        if (!reading.used_actions.contains(name))
            reading.findings.warning(node.line, "[actions." + name + "] is enabled, but no caller may use it");
    }
}

}  // namespace

tl::expected<policy::Config, std::vector<ConfigProblem>> read_config(const std::string& path,
                                                                     const ConfigSources& sources) {
    const auto refused = [&](int line, const std::string& what) {
        return tl::unexpected(std::vector<ConfigProblem>{{path + ":" + std::to_string(line), what}});
    };
    const auto full_path = absolute(path);
    const auto bytes = full_path ? read_trusted(*full_path, sources) : full_path;
    if (!bytes) return refused(1, "the configuration cannot be used: " + bytes.error().message);
    const auto document = parse_config_document(*bytes);
    if (!document) return refused(document.error().line, document.error().what);
    if (document->members.empty())
        return refused(1, "the configuration is empty. Write at least one [callers.NAME] and one [actions.NAME]");

    policy::Config config;
    config.file = path;
    const auto digest = protocol::sha256(*bytes);
    config.digest = to_hex({digest.data(), digest.size()});
    config.daemon.protected_units = policy::default_protected_units();
    Findings findings(path);
    Reading reading{sources, findings, config, *full_path};
    read_document(*document, reading);
    warn_of_unused_actions(*document, reading);
    if (findings.has_problems()) return tl::unexpected(findings.take_problems());
    config.warnings = findings.take_warnings();
    return config;
}

}  // namespace luminous_healing::executor
