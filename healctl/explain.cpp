// explain: the decision on a request, made here by the same decide() as in the daemon, with every check shown.

#include "actions/registry.h"
#include "base/file.h"
#include "base/text.h"
#include "base/units.h"
#include "healctl/budget.h"
#include "healctl/command.h"
#include "healctl/configuration.h"
#include "healctl/parameters.h"
#include "healctl/render.h"
#include "policy/decide.h"
#include "protocol/json_writer.h"

#include <CLI/CLI.hpp>

#include <linux/landlock.h>
#include <pwd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>

namespace luminous_healing::healctl {
namespace {

using Decided = tl::expected<policy::Grant, policy::Denial>;

struct ExplainOptions {
    std::string action;
    std::vector<std::string> parameters;
    std::optional<std::string> as;
    std::optional<std::string> user;
    std::string config = kConfigFile;
    std::optional<std::string> log;
};

struct Explanation {
    std::vector<policy::Check> checks;
    policy::Limiter limiter;
    std::string budget_source;  ///< where the used budget is known from, for people
};

/// A number, or the name of a user of this machine.
Expected<uid_t> read_user(const std::optional<std::string>& text) {
    if (!text) return ::getuid();
    if (const auto number = parse_integer<uid_t>(*text); number && *number != static_cast<uid_t>(-1)) return *number;
    const passwd* const entry = ::getpwnam(text->c_str());
    if (entry != nullptr) return entry->pw_uid;
    return fail("--uid " + printable_line(*text, 80) + " is neither a number nor a user of this machine");
}

/// What a daemon with all the privilege it can have would find here: what the action itself misses is what counts.
std::optional<std::string> unavailable_here(const policy::Config& config, const ActionName& name) {
    const actions::Action* const row = actions::find(name.str());
    const auto& policy = config.actions.at(name);
    actions::Machine machine;
    machine.can_become_root = true;
    machine.has_capability = [](std::string_view) { return true; };
    const long abi = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
    machine.landlock_abi = static_cast<int>(std::max(abi, 0L));
    return actions::unavailable(policy.command || row == nullptr ? actions::command_row(policy) : *row, machine);
}

policy::Situation situation_here(const policy::Config& config) {
    policy::Situation situation;
    situation.now = now();
    std::array<char, 256> host{};
    if (::gethostname(host.data(), host.size() - 1) == 0) situation.host_name = host.data();
    situation.machine_id = std::string(trim(read_file("/etc/machine-id", 4096).value_or("")));
    situation.unavailable = [&config](const ActionName& name) { return unavailable_here(config, name); };
    return situation;
}

Expected<std::string> request_bytes(const ExplainOptions& options) {
    auto parameters = read_parameters(options.parameters);
    if (!parameters) return parameters;
    protocol::RequestDraft draft;
    draft.id = "explain";
    draft.action = options.action;
    draft.parameters_json = std::move(*parameters);
    draft.timestamp = format_rfc3339(now().wall);
    return protocol::write_request(draft);
}

std::string render_checks(const std::vector<policy::Check>& checks, const Look& look) {
    std::size_t width = 0;
    for (const auto& check : checks) width = std::max(width, check.name.size());
    std::string text;
    for (const auto& check : checks) {
        text += "  " + look.mark(check.passed) + " " + check.name;
        if (!check.rule.empty())
            text += std::string(width - check.name.size() + 2, ' ') + look.paint(Tone::dim, check.rule);
        text += "\n";
        if (!check.detail.empty()) text += "      " + printable_line(check.detail, 1000) + "\n";
    }
    return text;
}

Rows granted_rows(const policy::Config& config, const policy::Grant& grant, const Explanation& explanation) {
    const BootTime at = now().boot;
    const auto budget = [&](const std::string& bucket, const policy::RateLimit& limit) {
        return std::to_string(explanation.limiter.remaining(bucket, limit, at)) + " of " + std::to_string(limit.limit) +
               " left in " + format_duration(limit.window) + " (" + explanation.budget_source + ")";
    };
    Rows rows;
    for (const auto& [name, value] : grant.arguments().all())
        rows.emplace_back(name, printable_line(grant.arguments().shown(name), 300));
    rows.emplace_back("target", printable_line(grant.target(), 300));
    rows.emplace_back("timeout", format_duration(grant.timeout()));
    rows.emplace_back("budget", budget(policy::action_bucket(grant.action().name), grant.action().rate_limit));
    if (grant.caller().rate_limit)
        rows.emplace_back("caller's budget",
                          budget(policy::caller_bucket(grant.caller().name), *grant.caller().rate_limit));
    rows.emplace_back("configuration", config.file);
    return rows;
}

std::string to_json(const Decided& decided, const std::vector<policy::Check>& checks) {
    protocol::JsonWriter writer;
    writer.begin_object().member_bool("granted", decided.has_value());
    writer.member("code", protocol::name_of(decided ? protocol::Code::ok : decided.error().code));
    writer.member("rule", decided ? decided->rule() : decided.error().rule);
    if (!decided) writer.member("detail", decided.error().detail);
    const auto wait = decided ? std::nullopt : decided.error().retry_after;
    writer.member_or_null("retry_after_ms", wait ? std::optional<std::int64_t>(wait->count() / 1000) : std::nullopt);
    writer.key("checks").begin_array();
    for (const auto& check : checks) {
        writer.begin_object().member("name", check.name).member_bool("passed", check.passed);
        writer.member("detail", check.detail).member("rule", check.rule).end_object();
    }
    writer.end_array().end_object();
    return writer.take() + "\n";
}

ExitStatus show(const policy::Config& config, const Decided& decided, const Explanation& explanation,
                const Globals& globals) {
    const ExitStatus status = exit_status_of(decided ? protocol::Code::ok : decided.error().code);
    if (globals.json) {
        print(to_json(decided, explanation.checks));
        return status;
    }
    const Look look = Look::of(STDOUT_FILENO, globals.no_color);
    print(render_checks(explanation.checks, look));
    if (decided) {
        print(look.paint(Tone::good, "would be granted") + " by " + decided->rule() + "\n");
        print(aligned(granted_rows(config, *decided, explanation), look));
        return status;
    }
    const auto& denial = decided.error();
    print(look.paint(Tone::bad, "would be denied") + ": " + std::string(protocol::name_of(denial.code)) +
          (denial.rule.empty() ? "" : " by " + denial.rule) + "\n");
    if (denial.retry_after)
        print("  retry after " + spoken_duration(denial.retry_after->count() / 1000) + " (" +
              explanation.budget_source + ")\n");
    print("  " + std::string(advice_for(denial.code)) + "\n");
    return status;
}

ExitStatus explain(const ExplainOptions& options, const Globals& globals) {
    const auto uid = read_user(options.user);
    if (!uid) return report_usage(uid.error());
    const auto bytes = request_bytes(options);
    if (!bytes) return report_usage(bytes.error());
    const auto request = protocol::parse_request(*bytes);
    if (!request) return report_usage(request.error());
    const auto config = executor::read_config(options.config, config_sources());
    if (!config) {
        report_problems(config.error());
        return ExitStatus::error;
    }
    const CallerName name(options.as ? *options.as : find_caller(globals.credentials));
    const auto caller = config->callers.find(name);
    if (caller == config->callers.end()) {
        complain("no caller \"" + printable_line(name.str(), 80) + "\" in " + options.config +
                 ": the daemon would answer unknown_caller; name one with --as");
        return exit_status_of(protocol::Code::unknown_caller);
    }
    Explanation explanation;
    explanation.budget_source =
        read_used_budget(options.log.value_or(config->audit.path), *config, explanation.limiter);
    protocol::Peer peer;
    peer.uid = *uid;
    const auto decided = policy::decide(*config, caller->second, *request, peer, explanation.limiter,
                                        situation_here(*config), &explanation.checks);
    return show(*config, decided, explanation, globals);
}

}  // namespace

void add_explain(CLI::App& command, CommandLine& line) {
    const auto options = std::make_shared<ExplainOptions>();
    command.add_option("ACTION", options->action, "as healctl actions lists them")->required()->type_name("");
    command.add_option("PARAMETERS", options->parameters, "name=value, or name:=JSON")->type_name("");
    command.add_option("--as", options->as, "the caller [--caller]")->type_name("CALLER");
    command.add_option("--uid", options->user, "the user who connects [you]")->type_name("UID|USER");
    command.add_option("--config", options->config, std::string("the configuration [") + kConfigFile + "]")
        ->type_name("FILE");
    command.add_option("--log", options->log, "where used budget is read from [the configured log]")->type_name("FILE");
    command.callback(
        [options, &line] { line.chosen = [options](const Globals& globals) { return explain(*options, globals); }; });
}

}  // namespace luminous_healing::healctl
