// check: is a configuration file one that the daemon would start with?

#include "base/text.h"
#include "healctl/command.h"
#include "healctl/configuration.h"
#include "healctl/terminal.h"
#include "protocol/mac.h"

#include <CLI/CLI.hpp>

#include <unistd.h>

#include <cstdlib>

namespace luminous_healing::healctl {
namespace {

struct CheckOptions {
    std::string file = kConfigFile;
    bool no_keys = false;
};

std::string count_of(std::size_t count, std::string_view what) {
    return std::to_string(count) + " " + std::string(what) + (count == 1 ? "" : "s");
}

/// The keys are looked at as the daemon does at start, and forgotten again.
bool check_keys(const policy::Config& config) {
    auto keys = executor::read_keys(config, config_sources());
    if (!keys) {
        report_problems(keys.error());
        return false;
    }
    for (auto& [caller, texts] : *keys) {
        for (auto& text : texts) protocol::wipe(text);
    }
    return true;
}

ExitStatus check(const CheckOptions& options, const Globals& globals) {
    const auto config = executor::read_config(options.file, config_sources());
    if (!config) {
        report_problems(config.error());
        return ExitStatus::error;
    }
    for (const auto& warning : config->warnings) complain("warning: " + printable_line(warning, 1000));
    if (!options.no_keys && !check_keys(*config)) return ExitStatus::error;
    print(Look::of(STDOUT_FILENO, globals.no_color).mark(true) + " " + options.file + ": " +
          count_of(config->callers.size(), "caller") + ", " + count_of(config->actions.size(), "action") +
          (options.no_keys ? "; keys were not looked at\n" : ", every key in order\n"));
    return ExitStatus::done;
}

}  // namespace

executor::ConfigSources config_sources() {
    executor::ConfigSources sources;
    if (const char* const directory = std::getenv("CREDENTIALS_DIRECTORY"); directory != nullptr && *directory != '\0')
        sources.credentials_directory = directory;
    return sources;
}

void report_problems(const std::vector<executor::ConfigProblem>& problems) {
    for (const auto& problem : problems) note(printable_line(problem.where + ": " + problem.what, 2000) + "\n");
}

void add_check(CLI::App& command, CommandLine& line) {
    const auto options = std::make_shared<CheckOptions>();
    command.add_option("FILE", options->file, std::string("the configuration [") + kConfigFile + "]")->type_name("");
    command.add_flag("--no-keys", options->no_keys, "do not look at the keys that it names");
    command.callback(
        [options, &line] { line.chosen = [options](const Globals& globals) { return check(*options, globals); }; });
}

}  // namespace luminous_healing::healctl
