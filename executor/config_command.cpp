#include "executor/config_sections.h"

#include "executor/config_trust.h"
#include "protocol/limits.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>

namespace luminous_healing::executor {
namespace {

// The bits of <linux/capability.h>, in their order, as capabilities(7) names them.
constexpr std::array<std::string_view, 41> kCapabilities{"chown",
                                                         "dac_override",
                                                         "dac_read_search",
                                                         "fowner",
                                                         "fsetid",
                                                         "kill",
                                                         "setgid",
                                                         "setuid",
                                                         "setpcap",
                                                         "linux_immutable",
                                                         "net_bind_service",
                                                         "net_broadcast",
                                                         "net_admin",
                                                         "net_raw",
                                                         "ipc_lock",
                                                         "ipc_owner",
                                                         "sys_module",
                                                         "sys_rawio",
                                                         "sys_chroot",
                                                         "sys_ptrace",
                                                         "sys_pacct",
                                                         "sys_admin",
                                                         "sys_boot",
                                                         "sys_nice",
                                                         "sys_resource",
                                                         "sys_time",
                                                         "sys_tty_config",
                                                         "mknod",
                                                         "lease",
                                                         "audit_write",
                                                         "audit_control",
                                                         "setfcap",
                                                         "mac_override",
                                                         "mac_admin",
                                                         "syslog",
                                                         "wake_alarm",
                                                         "block_suspend",
                                                         "audit_read",
                                                         "perfmon",
                                                         "bpf",
                                                         "checkpoint_restore"};

// With one of these a program can become root, or change what root runs.
constexpr std::array<std::string_view, 14> kAsGoodAsRoot{
    "chown",     "dac_override", "fowner",    "setgid", "setuid",  "setpcap",         "sys_module",
    "sys_rawio", "sys_ptrace",   "sys_admin", "mknod",  "setfcap", "dac_read_search", "bpf"};

// Programs that run what their arguments say.
constexpr std::array<std::string_view, 45> kLaunchers{
    "ash",  "awk",     "bash",        "busybox", "chroot", "chrt",    "dash",    "doas",    "env",
    "find", "expect",  "fish",        "flock",   "gawk",   "ionice",  "ksh",     "lua",     "mawk",
    "nice", "node",    "nohup",       "nsenter", "perl",   "php",     "pkexec",  "prlimit", "python",
    "ruby", "runuser", "script",      "setpriv", "setsid", "sh",      "ssh",     "stdbuf",  "strace",
    "su",   "sudo",    "systemd-run", "taskset", "tclsh",  "timeout", "unshare", "xargs",   "zsh"};

bool is_identifier(std::string_view text) {
    const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
    return !text.empty() && letter(text[0]) && std::all_of(text.begin(), text.end(), [&](char c) {
        return letter(c) || (c >= '0' && c <= '9') || c == '-';
    });
}

/// The name in the first "{name}" of an argument; empty when there is none. "{}" and "{{.State}}" are plain text.
std::string placeholder_in(std::string_view argument) {
    for (auto open = argument.find('{'); open != std::string_view::npos; open = argument.find('{', open + 1)) {
        const auto close = argument.find('}', open);
        if (close == std::string_view::npos) return {};
        const auto inside = argument.substr(open + 1, close - open - 1);
        if (is_identifier(inside)) return std::string(inside);
    }
    return {};
}

/// Bytes of the longest text that a request may give such a parameter.
std::size_t longest_value(const policy::ParameterSpec& spec) {
    const auto& listed = spec.choices.empty() ? spec.allowed : spec.choices;
    std::size_t longest = 0;
    for (const auto& value : listed) longest = std::max(longest, value.size());
    if (!listed.empty()) return longest;
    constexpr std::size_t kLongestOther = 256;  // a unit's name; numbers are shorter
    return spec.type == policy::ParameterType::string ? spec.max_length : kLongestOther;
}

bool is_launcher(const std::string& program) {
    std::string name = program.substr(program.rfind('/') + 1);
    const auto end = name.find_last_not_of("0123456789.");  // python3.11
    name.resize(end == std::string::npos ? 0 : end + 1);
    return std::find(kLaunchers.begin(), kLaunchers.end(), name) != kLaunchers.end();
}

/// Follows a command's arguments and tells whether the next one says what is run, by any of the programs named.
class ProgramWatch {
public:
    explicit ProgramWatch(const std::string& program) { begin(program); }
    void pass(const std::string& argument) {
        if (argument == "-exec" || argument == "-execdir" || argument == "-ok" || argument == "-okdir") {  // find(1)
            paths_to_come_ = std::max(paths_to_come_, 1);
        } else if (argument.starts_with('/')) {
            if (is_launcher(argument)) return begin(argument);
            paths_to_come_ = std::max(paths_to_come_ - 1, 0);
        }
    }
    [[nodiscard]] bool program_is_open() const { return paths_to_come_ > 0; }
    [[nodiscard]] const std::string& launcher() const { return launcher_; }

private:
    /// These name a file of their own before the program.
    void begin(const std::string& program) {
        if (!is_launcher(program)) return;
        constexpr std::array<std::string_view, 5> kFileFirst{"chroot", "flock", "script", "strace", "xargs"};
        const auto name = std::string_view(program).substr(program.rfind('/') + 1);
        paths_to_come_ = std::find(kFileFirst.begin(), kFileFirst.end(), name) != kFileFirst.end() ? 2 : 1;
        launcher_ = program;
    }
    int paths_to_come_ = 0;  // absolute paths that must stand before a parameter may
    std::string launcher_;
};

class CommandReader {
public:
    CommandReader(Table& table, policy::ActionPolicy& action, Reading& reading)
        : table_(table), action_(action), reading_(reading) {}

    std::vector<std::string> arguments(const std::string& key);
    void capabilities();
    void writes();
    void confinement();
    void run_as();
    void every_parameter_is_used();

private:
    void problem(const std::string& key, int line, const std::string& what) {
        reading_.findings.problem(line, table_.name() + "." + key + ": " + what);
    }
    void program(const std::string& key, const Entry& entry);
    void placeholder(const std::string& key, const Entry& entry);
    void arguments_fit(const std::string& key, const std::vector<std::string>& arguments);
    [[nodiscard]] std::vector<std::string> parameter_names() const;

    Table& table_;
    policy::ActionPolicy& action_;
    Reading& reading_;
    std::set<std::string> used_ = {};
};

std::vector<std::string> CommandReader::parameter_names() const {
    std::vector<std::string> names;
    for (const auto& spec : action_.parameters) names.push_back(spec.name);
    return names;
}

void CommandReader::program(const std::string& key, const Entry& entry) {
    if (!placeholder_in(entry.text).empty()) {
        used_.insert(placeholder_in(entry.text));
        return problem(key, entry.line,
                       "the program is " + quoted(entry.text) +
                           ", and no parameter may choose a program. Write its "
                           "absolute path");
    }
    if (!is_plain_absolute_path(entry.text))
        return problem(key, entry.line,
                       "the program is " + quoted(entry.text) +
                           ". Write its absolute path, as command -v prints it, without . or .. in it");
    if (const auto opened = open_program(entry.text, reading_.sources.check_owner); !opened)
        problem(key, entry.line, "the program cannot be used: " + opened.error().message);
}

void CommandReader::placeholder(const std::string& key, const Entry& entry) {
    const auto name = placeholder_in(entry.text);
    if (name.empty()) return;
    used_.insert(name);
    if (entry.text != "{" + name + "}")
        return problem(key, entry.line,
                       "{" + name + "} is only a part of " + quoted(entry.text) +
                           ". A parameter fills a whole argument: "
                           "write \"{" +
                           name + "}\" as an argument of its own");
    const auto names = parameter_names();
    if (std::find(names.begin(), names.end(), name) == names.end())
        problem(key, entry.line,
                "{" + name + "} is no parameter" + did_you_mean(name, names) + ". Add parameters." + name +
                    " = { type = \"string\", pattern = \"…\" }");
}

std::vector<std::string> CommandReader::arguments(const std::string& key) {
    const auto entries = table_.texts(key, Table::WhenEmpty::refuse);
    if (!entries) return {};
    program(key, entries->front());
    ProgramWatch watch(entries->front().text);
    std::vector<std::string> result;
    for (const auto& entry : *entries) {
        const bool first = &entry == &entries->front();
        if (!first) placeholder(key, entry);
        if (!first && watch.program_is_open() && !placeholder_in(entry.text).empty())
            problem(key, entry.line,
                    quoted(watch.launcher()) + " runs what its arguments say, so {" + placeholder_in(entry.text) +
                        "} would choose a program. Write the absolute "
                        "path of a program or script before it");
        if (!first) watch.pass(entry.text);
        result.push_back(entry.text);
    }
    arguments_fit(key, result);
    return result;
}

/// The launcher's orders hold all arguments, filled in, and are one packet: a Unix socket takes some 200 KiB in one
/// (net.core.wmem_default).
void CommandReader::arguments_fit(const std::string& key, const std::vector<std::string>& arguments) {
    constexpr std::size_t kMost = 2 * protocol::kMaxFrame;
    std::size_t text = 0;
    std::size_t given = 0;  // by a request, if each parameter is as long as it may be
    std::size_t most_times = 0;
    std::map<std::string, std::size_t> times;
    for (const auto& argument : arguments) {
        const auto spec = std::find_if(action_.parameters.begin(), action_.parameters.end(),
                                       [&](const auto& each) { return argument == "{" + each.name + "}"; });
        const bool is_text = spec == action_.parameters.end();
        text += is_text ? argument.size() : spec->default_value.value_or("").size();
        if (is_text) continue;
        given += longest_value(*spec);
        most_times = std::max(most_times, ++times[spec->name]);
    }
    const std::size_t size = text + std::min(given, most_times * protocol::kMaxFrame);  // all of them are in one frame
    if (size > kMost)
        problem(key, table_.line(key),
                "the arguments may be " + std::to_string(size) + " bytes together, and more than " +
                    std::to_string(kMost) +
                    " are not passed to a program. Let it read a file instead, or lower max_length");
}

void CommandReader::capabilities() {
    const auto entries = table_.distinct_texts("capabilities", Table::WhenEmpty::accept);
    if (!entries) return;
    std::vector<std::string> known;
    for (const auto name : kCapabilities) known.push_back("cap_" + std::string(name));
    for (const auto& entry : *entries) {
        action_.command->capabilities.push_back(entry.text);
        if (std::find(known.begin(), known.end(), entry.text) == known.end()) {
            problem("capabilities", entry.line,
                    quoted(entry.text) + " is no capability" + did_you_mean(entry.text, known) +
                        ". Write names as in capabilities(7), in lower case: \"cap_kill\"");
        } else if (std::find(kAsGoodAsRoot.begin(), kAsGoodAsRoot.end(), entry.text.substr(4)) != kAsGoodAsRoot.end()) {
            reading_.findings.warning(entry.line, table_.name() + ".capabilities: " + entry.text +
                                                      " is as good as being root. See whether less will do");
        }
    }
}

void CommandReader::writes() {
    const auto entries = table_.distinct_texts("writes", Table::WhenEmpty::accept);
    if (!entries) return;
    const std::array<std::string, 4> guarded{reading_.file, reading_.config.audit.path,
                                             reading_.key_directory.value_or(reading_.sources.key_directory),
                                             action_.command->command.empty() ? "" : action_.command->command.front()};
    for (const auto& entry : *entries) {
        const auto& path = entry.text;
        action_.command->writes.push_back(path);
        if (!is_plain_absolute_path(path)) {
            problem("writes", entry.line,
                    "has " + quoted(path) + ". Write absolute paths, without . or .. in them and no / at the end");
            continue;
        }
        for (const auto& file : guarded) {
            if (path == "/" || file == path || file.starts_with(path + "/"))
                return reading_.findings.warning(entry.line, table_.name() + ".writes: " + quoted(path) +
                                                                 " lets the action change " + quoted(file) +
                                                                 ". Name a narrower path");
        }
    }
}

void CommandReader::confinement() {
    auto& command = *action_.command;
    command.network = table_.boolean("network").value_or(false);
    command.confine = table_.boolean("confine").value_or(true);
    command.frees_space = table_.boolean("frees_space").value_or(false);
    if (command.confine) return;
    table_.warning("confine",
                   "the action runs without Landlock and seccomp, so writes and network do not bind it. "
                   "Prefer writes = [\"…\"] and network = true");
}

void CommandReader::run_as() {
    const auto user = table_.text("run_as");
    if (!user) return;
    action_.command->run_as = *user;
    (void)require_user(*user, table_.line("run_as"), table_.name() + ".run_as", reading_.findings);
}

void CommandReader::every_parameter_is_used() {
    const auto* const declared = table_.any("parameters");
    for (const auto& spec : action_.parameters) {
        if (used_.contains(spec.name)) continue;
        const auto* const node = declared->find(spec.name);
        problem("parameters." + spec.name, node != nullptr ? node->line : declared->line,
                "no argument uses it. Write \"{" + spec.name + "}\" where it belongs, or remove it");
    }
}

}  // namespace

void read_command(Table& table, policy::ActionPolicy& action, Reading& reading) {
    action.target_group = action.name.str();
    action.parameters = read_declared_parameters(table, reading);
    action.command.emplace();
    CommandReader reader(table, action, reading);
    action.command->command = reader.arguments("command");
    action.command->verify = reader.arguments("verify");
    action.command->undo = reader.arguments("undo");
    reader.run_as();
    reader.capabilities();
    reader.writes();
    reader.confinement();
    reader.every_parameter_is_used();
    if (table.has("units"))
        table.refuse("units", "belongs to the built-in actions on units. Declare a parameter with allowed = [\"…\"]");
}

}  // namespace luminous_healing::executor
