// Carries out one built-in action from the command line, in a child that holds what a worker holds: uid 0, no
// capability, no new privileges, the bus only through the proxy beside it. For the lab, where there is a systemd to
// talk to, and before there is a daemon.
//
//   action_probe ACTION [name=value …] [--plan] [--adopt] [--id=ID] [--timeout=SECONDS] [--units=GLOB,…]
//                [--confirm=yes|no]
//
// Prints one JSON object; exit status 0 when the code is ok, 1 when it is not, 2 for a wrong command line.

#include "actions/bus_proxy.h"
#include "actions/rows.h"
#include "actions/transient_unit.h"
#include "base/text.h"
#include "policy/unit_name.h"
#include "protocol/json_writer.h"

#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

using namespace luminous_healing;  // a program, not a header
using actions::Action;

namespace {

struct Options {
    std::string action;
    std::vector<std::string> parameters;
    bool plan = false;
    bool adopt = false;
    bool confirm = false;
    std::string id = "probe";
    Micros timeout = 60s;
    std::vector<std::string> units{"*"};
};

std::vector<std::string> split(const std::string& text) {
    std::vector<std::string> parts;
    for (std::size_t at = 0; at <= text.size();) {
        const auto comma = std::min(text.find(',', at), text.size());
        parts.push_back(text.substr(at, comma - at));
        at = comma + 1;
    }
    return parts;
}

Options read_options(int argc, char** argv) {
    Options options;
    for (int i = 1; i < argc; ++i) {
        const std::string word = argv[i];
        const auto value = word.substr(std::min(word.find('=') + 1, word.size()));
        if (word == "--plan") options.plan = true;
        else if (word == "--adopt") options.adopt = true;
        else if (word.starts_with("--id=")) options.id = value;
        else if (word.starts_with("--timeout=")) options.timeout = std::chrono::seconds(std::atoi(value.c_str()));
        else if (word.starts_with("--units=")) options.units = split(value);
        else if (word.starts_with("--confirm=")) options.confirm = value == "yes";
        else if (options.action.empty()) options.action = word;
        else options.parameters.push_back(word);
    }
    return options;
}

std::vector<Action> rows() {
    using namespace actions;
    return {restart_service(), start_service(),   stop_service(),        reload_service(), reset_failed(),
            restart_network(), clean_nix_store(), rollback_generation(), vacuum_journal()};
}

std::vector<protocol::JsonMember> as_members(const std::vector<std::string>& words) {
    std::vector<protocol::JsonMember> members;
    for (const auto& word : words) {
        const auto equals = std::min(word.find('='), word.size());
        protocol::Json value;
        value.text = word.substr(std::min(equals + 1, word.size()));
        value.kind =
            parse_integer<std::int64_t>(value.text) ? protocol::Json::Kind::number : protocol::Json::Kind::string;
        members.push_back({word.substr(0, equals), std::move(value)});
    }
    return members;
}

void print(const actions::Report& report) {
    protocol::JsonWriter json;
    json.begin_object().member("code", protocol::name_of(report.code)).member("output", report.output);
    json.member_or_null("error", report.error);
    if (report.verdict) json.member("verdict", protocol::name_of(*report.verdict));
    json.key("facts").raw(report.facts.to_json()).end_object();
    std::printf("%s\n", json.take().c_str());
    std::fflush(stdout);
}

// As executor/confinement does it, without Landlock and seccomp. A plan gets an unprivileged user instead.
bool confine(bool plan) {
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return false;
    for (unsigned long capability = 0; ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; ++capability) {
        if (::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0) return false;
    }
    constexpr uid_t kNobody = 65534;
    const uid_t user = plan ? kNobody : 0;
    if (::setgroups(0, nullptr) != 0 || ::setresgid(user, user, user) != 0 || ::setresuid(user, user, user) != 0)
        return false;
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    const std::array<__user_cap_data_struct, 2> none{};
    return ::syscall(SYS_capset, &header, none.data()) == 0;
}

// As executor/worker does it.
bool reach_bus_by_proxy(const Action& row, actions::Context context, const Options& options) {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) return false;
    const pid_t proxy = ::fork();
    if (proxy != 0) {
        ::close(ends[1]);
        return proxy > 0 && actions::SystemBus::use_proxy(ends[0]).has_value();
    }
    ::close(ends[0]);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    context.progress = [](std::string_view) {};
    const auto duty = options.plan    ? actions::BusDuty::plan
                      : options.adopt ? actions::BusDuty::adopted
                                      : actions::BusDuty::run;
    (void)actions::serve_bus(ends[1], row, context, duty, [](std::string_view line) {
        std::fprintf(stderr, "refused: %.*s\n", static_cast<int>(line.size()), line.data());
    });
    ::_exit(0);
}

int carry_out(const Action& row, const Options& options) {
    const auto arguments = policy::check_parameters(row.parameters, as_members(options.parameters));
    actions::Report report;
    if (!arguments) {
        report.code = arguments.error().code;
        report.error = arguments.error().detail;
        print(report);
        return 1;
    }
    policy::ActionPolicy policy;
    policy.units = options.units;
    policy::DaemonSettings settings;
    settings.protected_units = policy::default_protected_units();
    actions::Context context{
        *arguments, policy, settings, options.id, now().boot + options.timeout, [](std::string_view line) {
            std::fprintf(stderr, "%.*s\n", static_cast<int>(line.size()), line.data());
        }};
    context.await_confirmation = [&](Micros) { return options.confirm; };
    if (!reach_bus_by_proxy(row, context, options)) return 2;
    report = options.adopt ? actions::finish_adopted(row, context) : actions::carry_out(row, context, options.plan);
    print(report);
    return report.code == protocol::Code::ok ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    const Options options = read_options(argc, argv);
    for (const auto& row : rows()) {
        if (row.name != options.action) continue;
        if (const auto reason = row.missing(actions::Machine{})) {
            std::fprintf(stderr, "unavailable: %s\n", reason->c_str());
            return 1;
        }
        const pid_t child = ::fork();
        if (child == 0) ::_exit(confine(options.plan) ? carry_out(row, options) : 2);
        int status = 0;
        ::waitpid(child, &status, 0);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
    }
    std::fprintf(stderr, "action_probe: no such action: %s\n", options.action.c_str());
    return 2;
}
