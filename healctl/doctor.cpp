// doctor: what is wrong with this installation, and the command that mends it.

#include "base/text.h"
#include "healctl/checkup.h"
#include "healctl/command.h"
#include "healctl/configuration.h"
#include "healctl/terminal.h"
#include "protocol/json_writer.h"

#include <CLI/CLI.hpp>

#include <unistd.h>

#include <algorithm>

namespace luminous_healing::healctl {
namespace {

std::string_view name_of(Health health) {
    switch (health) {
        case Health::good: return "good";
        case Health::bad: return "bad";
        case Health::unknown: break;
    }
    return "unknown";
}

std::string mark_of(Health health, const Look& look) {
    if (health == Health::unknown) return look.paint(Tone::warning, look.utf8 ? "?" : "??");
    return look.mark(health == Health::good);
}

std::string to_json(const std::vector<Finding>& findings) {
    protocol::JsonWriter writer;
    writer.begin_object().key("findings").begin_array();
    for (const auto& finding : findings)
        writer.begin_object()
            .member("name", finding.name)
            .member("health", name_of(finding.health))
            .member("what", finding.what)
            .member("mend", finding.mend)
            .end_object();
    writer.end_array().end_object();
    return writer.take() + "\n";
}

std::string render(const std::vector<Finding>& findings, const Look& look) {
    std::string text;
    for (const auto& finding : findings) {
        const std::string pad(finding.name.size() < 14 ? 14 - finding.name.size() : 1, ' ');
        text += mark_of(finding.health, look) + " " + look.paint(Tone::bold, finding.name) + pad +
                printable_line(finding.what, 2000) + "\n";
        if (!finding.mend.empty()) text += "      mend: " + printable_line(finding.mend, 500) + "\n";
    }
    return text;
}

ExitStatus doctor(const std::string& config, const Globals& globals) {
    const auto findings = check_up(globals, config);
    print(globals.json ? to_json(findings) : render(findings, Look::of(STDOUT_FILENO, globals.no_color)));
    const bool is_ill = std::any_of(findings.begin(), findings.end(),
                                    [](const Finding& finding) { return finding.health == Health::bad; });
    return is_ill ? ExitStatus::error : ExitStatus::done;
}

}  // namespace

void add_doctor(CLI::App& command, CommandLine& line) {
    const auto config = std::make_shared<std::string>(kConfigFile);
    command.add_option("--config", *config, std::string("the configuration [") + kConfigFile + "]")->type_name("FILE");
    command.callback(
        [config, &line] { line.chosen = [config](const Globals& globals) { return doctor(*config, globals); }; });
}

}  // namespace luminous_healing::healctl
