#include "executor/config_file.h"

#include "base/file.h"
#include "base/text.h"
#include "policy/unit_name.h"
#include "protocol/mac.h"
#include "tests/unit/executor/config_machine.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <sstream>

namespace luminous_healing::executor {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> files_in(const fs::path& folder) {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(folder)) {
        if (entry.path().extension() == ".toml") files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    return files;
}

/// "LINE: text" of every line of the file that begins with `mark`.
std::vector<std::string> marked_lines(const std::string& text, const std::string& mark) {
    std::vector<std::string> lines;
    std::istringstream input(text);
    for (std::string line; std::getline(input, line);) {
        if (line.starts_with(mark)) lines.push_back(line.substr(mark.size()));
    }
    return lines;
}

/// Is `told` (file:line: words) what `expected` (line: part of the words) says?
bool tells(const std::string& told, const std::string& file, const std::string& expected) {
    const auto colon = expected.find(": ");
    const std::string place = file + ":" + expected.substr(0, colon) + ": ";
    return told.starts_with(place) && told.find(expected.substr(colon + 2), place.size()) != std::string::npos;
}

/// What the daemon finds wrong: the configuration first, and when that is good, the keys.
std::vector<ConfigProblem> problems_of(const Machine& machine, const std::string& text) {
    const auto config = read_config(machine.write_config(text), machine.sources());
    if (!config) return config.error();
    const auto keys = read_keys(*config, machine.sources());
    return keys ? std::vector<ConfigProblem>{} : keys.error();
}

}  // namespace

TEST_CASE("A18: every broken configuration is refused with the line and the mend and nothing else") {
    const Machine machine;
    const auto files = files_in(kVectors / "broken");
    CHECK(files.size() >= 30);
    for (const auto& file : files) {
        const std::string text = text_of(file);
        const auto expected = marked_lines(text, "# expect: ");
        const auto problems = problems_of(machine, text);
        const std::string found = listed(problems);
        CAPTURE(file.filename().string());
        CAPTURE(found);
        CHECK_FALSE(expected.empty());
        CHECK(problems.size() == expected.size());
        for (const auto& one : expected) {
            CAPTURE(one);
            CHECK(std::any_of(problems.begin(), problems.end(), [&](const ConfigProblem& problem) {
                return tells(problem.where + ": " + problem.what, machine.config_path(), one);
            }));
        }
    }
}

TEST_CASE("every problem says what to write instead or what is wrong with the text") {
    const Machine machine;
    for (const auto& file : files_in(kVectors / "broken")) {
        for (const auto& problem : problems_of(machine, text_of(file))) {
            CAPTURE(problem.what);
            CHECK(problem.what.size() > 20);
            CHECK(problem.what.find('\n') == std::string::npos);
        }
    }
}

TEST_CASE("problems are told in the order of their lines") {
    const Machine machine;
    const auto problems = problems_of(machine, text_of(kVectors / "broken" / "every-problem-is-told.toml"));
    REQUIRE(problems.size() == 5);
    CHECK(problems.front().where == machine.config_path() + ":7");
    CHECK(problems.back().where == machine.config_path() + ":14");
}

TEST_CASE("what a configuration leaves out has the documented default") {
    const Machine machine;
    const std::string text = vector_file("minimal.toml");
    const auto config = good_config(machine, text);
    CHECK(config.file == machine.config_path());
    const auto digest = protocol::sha256(machine.filled_in(text));
    CHECK(config.digest == to_hex({digest.data(), digest.size()}));
    CHECK(config.daemon.socket == "/run/luminous-healing.sock");
    CHECK_FALSE(config.daemon.socket_group.has_value());
    CHECK(config.daemon.max_clock_skew == 30s);
    CHECK_FALSE(config.daemon.legacy_v1);
    CHECK_FALSE(config.daemon.user.has_value());
    CHECK(config.daemon.protected_units == policy::default_protected_units());
    CHECK(config.audit.path == "/var/log/luminous-healing/audit.json");
    CHECK(config.audit.sync == policy::AuditSync::always);
    CHECK(config.audit.reserve == 4U << 20U);
    CHECK(config.audit.rotate_size == 64U << 20U);
    CHECK(config.audit.keep == 16);
    CHECK(config.rate_limit.limit == 10);
    CHECK(config.rate_limit.window == 5min);
    CHECK(config.warnings.empty());
    const auto& action = config.actions.at(ActionName("clear_system_cache"));
    CHECK(action.rate_limit.limit == 10);
    CHECK(action.where == machine.config_path() + ":6");
    CHECK_FALSE(action.command.has_value());
    const auto& caller = config.callers.at(CallerName("monitor"));
    CHECK(caller.where == machine.config_path() + ":1");
    CHECK(caller.users == std::vector<uid_t>{0});
    CHECK(caller.keys == std::vector<std::string>{"good-key"});
    CHECK(caller.actions == std::vector{ActionName("clear_system_cache")});
    CHECK_FALSE(caller.rate_limit.has_value());
}

TEST_CASE("every setting of the daemon and the audit reaches the model") {
    const Machine machine;
    const auto config = good_config(machine, vector_file("everything.toml"));
    CHECK(config.daemon.socket == "/run/other.sock");
    CHECK(config.daemon.socket_group == "root");
    CHECK(config.daemon.max_clock_skew == 90s);
    CHECK(config.daemon.user == "nobody");
    CHECK(config.daemon.protected_units == std::vector<std::string>{"dbus.service", "systemd-*"});
    CHECK(config.audit.path == "/var/log/other/audit.json");
    CHECK(config.audit.sync == policy::AuditSync::batch);
    CHECK(config.audit.reserve == 8U << 20U);
    CHECK(config.audit.rotate_size == 1U << 30U);
    CHECK(config.audit.keep == 3);
    CHECK(config.rate_limit.limit == 5);
    CHECK(config.rate_limit.window == 1h);
}

TEST_CASE("callers have their keys and users and actions and budget") {
    const Machine machine;
    const auto config = good_config(machine, vector_file("everything.toml"));
    const auto& monitor = config.callers.at(CallerName("monitor"));
    CHECK(monitor.keys == std::vector<std::string>{"good-key", "other-key"});
    CHECK(monitor.users == std::vector<uid_t>{0, 65534, 4294967294});
    CHECK(monitor.actions.size() == 4);
    REQUIRE(monitor.rate_limit.has_value());
    CHECK(monitor.rate_limit->limit == 100);
    CHECK(monitor.rate_limit->window == 1h);
    CHECK(config.callers.at(CallerName("admin")).users == std::vector<uid_t>{1000});
}

TEST_CASE("a caller with status alone may do nothing else") {
    const Machine machine;
    const auto config = good_config(machine, vector_file("caller-status.toml"));
    CHECK(config.callers.at(CallerName("watcher")).actions.empty());
}

TEST_CASE("a built-in action keeps its own row and is narrowed by the configuration") {
    const Machine machine;
    const auto config = good_config(machine, vector_file("everything.toml"));
    const auto& restart = config.actions.at(ActionName("restart_service"));
    CHECK(restart.units == std::vector<std::string>{"nginx.service", "app-*.service", "dbus.socket"});
    CHECK(restart.timeout == 45s);
    CHECK(restart.rate_limit.limit == 2);
    CHECK(restart.rate_limit.window == 10min);
    CHECK(restart.target_group == "unit");
    CHECK(restart.target_parameter == "service");
    const auto& kill = config.actions.at(ActionName("kill_process"));
    CHECK(kill.processes == std::vector<std::string>{"stress*"});
    CHECK(kill.process_users == std::vector<std::string>{"nobody"});
    CHECK(kill.rate_limit.limit == 5);
    const auto signal = std::find_if(kill.parameters.begin(), kill.parameters.end(),
                                     [](const auto& spec) { return spec.name == "signal"; });
    REQUIRE(signal != kill.parameters.end());
    CHECK(signal->allowed == std::vector<std::string>{"TERM", "HUP"});
    CHECK(signal->choices.size() == 4);
    const auto& value = config.actions.at(ActionName("adjust_swappiness")).parameters.at(0);
    CHECK(value.allowed_minimum == 10);
    CHECK(value.allowed_maximum == 60);
    CHECK(value.maximum == 200);
}

TEST_CASE("a command action has what it declares and no more") {
    const Machine machine;
    const auto config = good_config(machine, vector_file("everything.toml"));
    const auto& action = config.actions.at(ActionName("restart_container"));
    REQUIRE(action.command.has_value());
    const auto& command = *action.command;
    CHECK(command.command ==
          std::vector<std::string>{machine.program("podman"), "restart", "--time", "{grace}", "{name}"});
    CHECK(command.verify.size() == 4);
    CHECK(command.undo.size() == 3);
    CHECK(command.run_as == "nobody");
    CHECK(command.capabilities == std::vector<std::string>{"cap_kill", "cap_net_bind_service"});
    CHECK(command.writes == std::vector<std::string>{"/var/lib/containers"});
    CHECK(command.network);
    CHECK(command.confine);
    CHECK(action.timeout == 2min);
    CHECK(action.target_group == "restart_container");
    REQUIRE(action.parameters.size() == 2);
    const auto& name = action.parameters[0];
    CHECK(name.required);
    CHECK(name.max_length == 63);
    CHECK(name.description == "the container");
    REQUIRE(name.pattern.has_value());
    CHECK(name.pattern->matches("web-1"));
    CHECK_FALSE(name.pattern->matches("-web"));
    const auto& grace = action.parameters[1];
    CHECK_FALSE(grace.required);
    CHECK(grace.default_value == "10");
    CHECK(grace.minimum == 1);
    const auto& flush = *config.actions.at(ActionName("flush_dns")).command;
    CHECK(flush.run_as.empty());
    CHECK(flush.capabilities.empty());
    CHECK(flush.writes.empty());
    CHECK_FALSE(flush.network);
    CHECK(flush.confine);
}

TEST_CASE("A06: an integer parameter of a command is not negative unless min says so") {
    const Machine machine;
    const auto config =
        good_config(machine,
                    "[callers.a]\nkey = \"good-key\"\nusers = [0]\nactions = [\"x\"]\n[actions.x]\n"
                    "command = [\"/usr/bin/podman\", \"{n}\"]\nparameters.n = { type = \"integer\" }\n");
    CHECK(config.actions.at(ActionName("x")).parameters.at(0).minimum == 0);
}

TEST_CASE("the arguments of a command, as long as they may be, fit into what its launcher is told") {
    const Machine machine;
    const auto with_arguments = [](int count, const std::string& more) {
        std::string text =
            "[callers.a]\nkey = \"good-key\"\nusers = [0]\nactions = [\"x\"]\n[actions.x]\n"
            "command = [\"/usr/bin/podman\"";
        for (int i = 0; i < count; ++i) text += ", \"{p}\"";
        return text + more + "]\nparameters.p = { type = \"string\", pattern = \"a*\", max_length = 4096 }\n";
    };
    CHECK(problems_of(machine, with_arguments(31, "")).empty());
    const auto text = ",\n\"" + std::string(2000, 'b') + "\"";
    for (const auto& problems :
         {problems_of(machine, with_arguments(32, "")), problems_of(machine, with_arguments(31, text + text + text))}) {
        REQUIRE(problems.size() == 1);
        CHECK(problems[0].what.find("x.command: the arguments may be 13") != std::string::npos);
    }
}

TEST_CASE("A41: a program that runs others takes parameters once it is said what it runs") {
    const Machine machine;
    const auto accepts = [&](const std::string& command) {
        const std::string text =
            "[callers.a]\nkey = \"good-key\"\nusers = [0]\nactions = [\"x\"]\n[actions.x]\ncommand = [" + command +
            "]\nparameters.p = { type = \"integer\", min = 0 }\n";
        return read_config(machine.write_config(text), machine.sources()).has_value();
    };
    CHECK(accepts(R"("/usr/bin/find", "/var/cache", "-mtime", "{p}", "-delete")"));
    CHECK(accepts(R"("/usr/bin/find", "/var/cache", "-exec", "/bin/touch", "-d", "{p}", ";")"));
    CHECK(accepts(R"("/bin/sh", "/bin/true", "{p}")"));
    CHECK(accepts(R"("/usr/bin/env", "/usr/bin/nice", "/bin/true", "{p}")"));
    CHECK(accepts(R"("/usr/bin/flock", "/run/lock", "/bin/true", "{p}")"));
    CHECK_FALSE(accepts(R"("/usr/bin/find", "/", "-exec", "{p}", ";")"));
    CHECK_FALSE(accepts(R"("/usr/bin/find", "/", "-name", "x", "-ok", "{p}", ";")"));
    CHECK_FALSE(accepts(R"("/usr/bin/env", "/bin/sh", "-c", "{p}")"));
    CHECK_FALSE(accepts(R"("/usr/bin/find", "/", "-exec", "/bin/sh", "-c", "{p}", ";")"));
    CHECK_FALSE(accepts(R"("/usr/bin/flock", "/run/lock", "{p}")"));
}

TEST_CASE("what is allowed but dangerous is warned about with its line") {
    const Machine machine;
    const auto config = good_config(machine, vector_file("warnings.toml"));
    const auto expected = marked_lines(text_of(kVectors / "good" / "warnings.expected"), "");
    std::string all;
    for (const auto& warning : config.warnings) all += "\n  " + warning;
    CAPTURE(all);
    CHECK(config.warnings.size() == expected.size());
    for (const auto& one : expected) {
        CAPTURE(one);
        CHECK(std::any_of(config.warnings.begin(), config.warnings.end(),
                          [&](const std::string& warning) { return tells(warning, machine.config_path(), one); }));
    }
}

TEST_CASE("a configuration with no callers denies everybody and says so") {
    const Machine machine;
    const auto config = good_config(machine, "[daemon]\n");
    CHECK(config.callers.empty());
    CHECK(config.actions.empty());
    CHECK(config.warnings.size() == 2);
}

TEST_CASE("A19: a configuration file that others can change is refused") {
    const Machine machine;
    const auto path = machine.write_config(kOneCaller);
    REQUIRE(read_config(path, machine.sources()).has_value());
    for (const mode_t mode : {0666U, 0664U, 0620U, 0602U}) {
        REQUIRE(::chmod(path.c_str(), mode) == 0);
        const auto config = read_config(path, machine.sources());
        REQUIRE_FALSE(config.has_value());
        CHECK(config.error().at(0).where == path + ":1");
        CHECK(config.error().at(0).what.find("chmod go-w " + path) != std::string::npos);
    }
}

TEST_CASE("a configuration file in a folder that others can change is refused unless the folder is sticky") {
    const Machine machine;
    const auto path = machine.write_config(kOneCaller);
    REQUIRE(::chmod(machine.folder().c_str(), 0777) == 0);
    CHECK_FALSE(read_config(path, machine.sources()).has_value());
    REQUIRE(::chmod(machine.folder().c_str(), 01777) == 0);
    CHECK(read_config(path, machine.sources()).has_value());
}

TEST_CASE("a configuration file of another user is refused") {
    if (::geteuid() != 0) return;  // only root can give a file away
    const Machine machine;
    const auto path = machine.write_config(kOneCaller);
    REQUIRE(::chown(path.c_str(), 65534, 65534) == 0);
    const auto config = read_config(path, machine.sources());
    REQUIRE_FALSE(config.has_value());
    CHECK(config.error().at(0).what.find("belongs to uid 65534") != std::string::npos);
    auto of_a_copy = machine.sources();
    of_a_copy.check_owner = false;
    CHECK(read_config(path, of_a_copy).has_value());
}

TEST_CASE("a configuration file is followed through a symlink only when all on the way is trusted") {
    const Machine machine;
    const auto path = machine.write_config(kOneCaller);
    const auto link = machine.folder() / "link.toml";
    fs::create_symlink(path, link);
    CHECK(read_config(link.string(), machine.sources()).has_value());
    fs::create_directory(machine.folder() / "open");
    fs::rename(path, machine.folder() / "open" / "config.toml");
    REQUIRE(::chmod((machine.folder() / "open").c_str(), 0777) == 0);
    fs::remove(link);
    fs::create_symlink("open/config.toml", link);
    const auto config = read_config(link.string(), machine.sources());
    REQUIRE_FALSE(config.has_value());
    CHECK(config.error().at(0).what.find("open can be changed by others") != std::string::npos);
}

TEST_CASE("a configuration that is missing or a fifo or too long or not UTF-8 is refused without waiting") {
    const Machine machine;
    const auto refusal = [&](const std::string& path) {
        const auto config = read_config(path, machine.sources());
        return config ? std::string() : config.error().at(0).what;
    };
    CHECK(refusal(machine.folder() / "none.toml").find("No such file") != std::string::npos);
    const auto fifo = machine.folder() / "fifo.toml";
    REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
    CHECK(refusal(fifo).find("not a regular file") != std::string::npos);
    CHECK(refusal(machine.folder()).find("not a regular file") != std::string::npos);
    CHECK(refusal(machine.write_config(std::string(2U << 20U, '#'))).find("longer than") != std::string::npos);
    std::string deep = "a";
    for (int i = 0; i < 50'000; ++i) deep += ".a";
    CHECK(refusal(machine.write_config(deep + " = 1\n")).find("longer than 2048 bytes") != std::string::npos);
    CHECK(refusal(machine.write_config(deep.substr(0, 2001) + " = 1\n")).find("unknown key") != std::string::npos);
    CHECK(refusal(machine.write_config("[daemon]\nsocket = \"/run/\xff\"\n")).find("not valid TOML") !=
          std::string::npos);
    CHECK(refusal(machine.write_config(std::string("[daemon]\0\n", 10))).find("not valid TOML") != std::string::npos);
}

TEST_CASE("the log is not the configuration itself, however that is named") {
    const Machine machine;
    const std::filesystem::path path = machine.write_config("[audit]\npath = \"" + machine.config_path() + "\"\n");
    const auto before = std::filesystem::current_path();
    std::filesystem::current_path(machine.folder());
    for (const auto& name : {path, path.filename()}) {
        const auto config = read_config(name, machine.sources());
        REQUIRE_FALSE(config.has_value());
        CHECK(config.error()[0].what.find("is the configuration or the socket itself") != std::string::npos);
    }
    std::filesystem::current_path(before);
}

TEST_CASE("the example configuration is good as it is shipped") {
    const Machine machine;
    const auto config = good_config(machine, text_of(fs::path(SOURCE_DIR) / "examples" / "config.toml"));
    CHECK_FALSE(config.callers.empty());
    CHECK_FALSE(config.actions.empty());
    CHECK(config.warnings.empty());
    CHECK(read_keys(config, machine.sources()).has_value());
}

TEST_CASE("the example configuration is good with every commented key in force") {
    const Machine machine;
    const auto text = with_all_keys(text_of(fs::path(SOURCE_DIR) / "examples" / "config.toml"));
    const auto config = good_config(machine, text);
    CHECK(read_keys(config, machine.sources()).has_value());
    for (const auto* const key : {"socket",          "socket_group",  "max_clock_skew", "legacy_v1", "user",
                                  "protected_units", "key_directory", "path",           "sync",      "reserve",
                                  "rotate_size",     "keep",          "limit",          "window",    "key",
                                  "users",           "actions",       "rate_limit",     "units",     "timeout",
                                  "processes",       "process_users", "command",        "verify",    "undo",
                                  "run_as",          "capabilities",  "writes",         "network",   "confine"}) {
        CAPTURE(key);
        const std::string start = std::string("\n") + key + " ";
        CHECK(text.find(start) != std::string::npos);
    }
}

TEST_CASE("the manual names every key") {
    const std::string manual = text_of(fs::path(SOURCE_DIR) / "docs" / "man" / "luminous-healing.toml.5.scd");
    for (const auto* const key : {"socket",        "socket_group", "max_clock_skew",
                                  "legacy_v1",     "user",         "protected_units",
                                  "key_directory", "path",         "sync",
                                  "reserve",       "rotate_size",  "keep",
                                  "limit",         "window",       "key",
                                  "users",         "actions",      "rate_limit",
                                  "units",         "timeout",      "processes",
                                  "process_users", "command",      "verify",
                                  "undo",          "run_as",       "capabilities",
                                  "writes",        "network",      "confine",
                                  "type",          "pattern",      "max_length",
                                  "min",           "max",          "allowed",
                                  "secret",        "required",     "default",
                                  "description"}) {
        CAPTURE(key);
        const std::string start = std::string("\n*") + key + "*";
        CHECK(manual.find(start) != std::string::npos);
    }
}

}  // namespace luminous_healing::executor
