// healctl: the command line client of luminous-healingd, and its operator's tool. See healctl(1).

#include "base/descriptors.h"
#include "healctl/command.h"
#include "healctl/terminal.h"
#include "protocol/secret_memory.h"

#include <CLI/CLI.hpp>

#include <cstdio>
#include <exception>
#include <string>
#include <string_view>

namespace luminous_healing::healctl {
namespace {

struct Command {
    const char* name;
    const char* summary;
    void (*add)(CLI::App& command, CommandLine& line);
};

constexpr Command kCommands[] = {
    {"status", "what the daemon says about itself", add_status},
    {"actions", "what this caller may do, and what is left of each budget", add_actions},
    {"run", "run an action and check that it helped", add_run},
    {"plan", "what run would do; nothing is changed", add_plan},
    {"confirm", "confirm an action that undoes itself otherwise", add_confirm},
    {"explain", "would it be granted, and by which rule? Needs no daemon", add_explain},
    {"sign", "print the signed request instead of sending it", add_sign},
    {"check", "check a configuration file", add_check},
    {"caller", "add a caller: its key and its part of the configuration", add_caller},
    {"keygen", "make a key", add_keygen},
    {"audit", "read and verify the audit log", add_audit},
    {"doctor", "what is wrong with this installation, and what mends it", add_doctor},
};

void add_globals(CLI::App& app, Globals& globals) {
    app.add_option("--socket", globals.socket, "the daemon's socket [$LUMINOUS_HEALING_SOCKET]")->type_name("PATH");
    app.add_option("--caller", globals.credentials.caller, "who asks [$LUMINOUS_HEALING_CALLER]")->type_name("NAME");
    app.add_option("--key-file", globals.credentials.key_file, "the caller's key [$LUMINOUS_HEALING_KEY_FILE]")
        ->type_name("FILE");
    app.add_option("--timeout", globals.timeout, "how long it may take: 500ms, 30s, 5min")->type_name("DURATION");
    app.add_flag("--json", globals.json, "the answer as JSON on standard output");
    app.add_flag("--no-color", globals.no_color, "no colours, as with $NO_COLOR");
}

/// CLI11 reads `--reason= word` as `--reason word`: something else would be signed than what was written.
const char* option_without_value(int argc, char** argv) {
    for (int i = 1; i < argc && std::string_view(argv[i]) != "--"; ++i) {
        const std::string_view argument = argv[i];
        if (argument.starts_with("--") && argument.ends_with('=')) return argv[i];
    }
    return nullptr;
}

int run(int argc, char** argv) {
    if (const char* const empty = option_without_value(argc, argv)) {
        complain(std::string(empty) + " has no value: write one, or leave the option out");
        return static_cast<int>(ExitStatus::usage);
    }
    CommandLine line;
    CLI::App app("Ask luminous-healingd to heal this machine. See healctl(1).", "healctl");
    app.set_version_flag("--version", "healctl " LUMINOUS_VERSION);
    app.require_subcommand(1);
    app.fallthrough();
    add_globals(app, line.globals);
    for (const auto& command : kCommands) command.add(*app.add_subcommand(command.name, command.summary), line);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : static_cast<int>(ExitStatus::usage);
    }
    const ExitStatus status = line.chosen(line.globals);
    if (end_output() || status != ExitStatus::done) return static_cast<int>(status);
    complain("standard output could not be written");
    return static_cast<int>(ExitStatus::error);
}

}  // namespace
}  // namespace luminous_healing::healctl

int main(int argc, char** argv) {
    if (!luminous_healing::open_standard_descriptors()) return 1;  // a connection would become standard output
    try {
        // Before anything else touches OpenSSL, so that the key stays out of core dumps.
        if (const auto installed = luminous_healing::protocol::install_secret_memory(); !installed) {
            luminous_healing::healctl::complain(installed.error().message);
            return 1;
        }
        return luminous_healing::healctl::run(argc, argv);
    } catch (const std::exception& error) {
        (void)std::fprintf(stderr, "healctl: %s\n", error.what());
        return 1;
    }
}
