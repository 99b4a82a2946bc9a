// run, plan, confirm and sign: the commands that make a request for an action.

#include "healctl/ask.h"
#include "healctl/command.h"
#include "healctl/parameters.h"
#include "healctl/render.h"
#include "protocol/limits.h"

#include <CLI/CLI.hpp>

namespace luminous_healing::healctl {
namespace {

constexpr Micros kRunTimeout = 15min;  // longer than any built-in action may take
constexpr Micros kGrace = 5s;          // for the daemon to end an action whose time is up: TERM, 2 s, KILL

struct RunOptions {
    std::string action;
    std::vector<std::string> parameters;
    std::string id;
    std::optional<std::string> reason;
    std::optional<std::string> audience;
    bool plan = false;
    bool no_stream = false;
};

Expected<protocol::RequestDraft> draft_of(const RunOptions& options) {
    if (!options.id.empty() && !protocol::is_valid_request_id(options.id))
        return fail("--id must be 1 to 128 of A-Z a-z 0-9 . _ : -");
    if (options.reason && options.reason->size() > protocol::kMaxReason)
        return fail("--reason is at most " + std::to_string(protocol::kMaxReason) + " bytes");
    auto parameters = read_parameters(options.parameters);
    if (!parameters) return tl::unexpected(parameters.error());
    protocol::RequestDraft draft;
    draft.id = options.id;
    draft.action = options.action;
    draft.parameters_json = std::move(*parameters);
    draft.plan = options.plan;
    draft.reason = options.reason;
    draft.audience = options.audience;
    return draft;
}

/// A --timeout binds the daemon too: what it cannot finish in that time, it ends.
ExitStatus run(const RunOptions& options, const Globals& globals) {
    auto draft = draft_of(options);
    if (!draft) return report_usage(draft.error());
    const auto timeout = globals.timeout_duration();
    if (!timeout) return report_usage(timeout.error());
    if (*timeout) draft->deadline_ms = std::max<std::int64_t>((*timeout)->count() / 1000, 1);
    draft->stream = !options.no_stream && !options.plan;
    const auto client = make_client(globals, *timeout ? **timeout + kGrace : kRunTimeout);
    if (!client) return report_error(client.error());
    const auto answer = ask(*client, std::move(*draft), globals);
    if (!answer) return report_error(answer.error());
    return deliver(*answer, options.action, options.plan, globals);
}

ExitStatus sign(const RunOptions& options, const Globals& globals) {
    auto draft = draft_of(options);
    if (!draft) return report_usage(draft.error());
    const auto client = make_client(globals, kRunTimeout);
    if (!client) return report_error(client.error());
    const auto request = client->sign(std::move(*draft));
    if (!request) return report_error(request.error());
    print(request->frame);
    return ExitStatus::done;
}

ExitStatus confirm(const std::string& request_id, const Globals& globals) {
    if (!protocol::is_valid_request_id(request_id))
        return report_usage({"the id of a request is 1 to 128 of A-Z a-z 0-9 . _ : -", 0});
    const auto parameters = read_parameters({"request_id:=\"" + request_id + "\""});
    if (!parameters) return report_usage(parameters.error());
    const auto answer = ask_shortly("confirm", *parameters, globals);
    if (!answer) return report_error(answer.error());
    return deliver(*answer, "confirm", false, globals);
}

std::shared_ptr<RunOptions> add_request_options(CLI::App& command) {
    auto options = std::make_shared<RunOptions>();
    command.add_option("ACTION", options->action, "as healctl actions lists them")->required()->type_name("");
    command.add_option("PARAMETERS", options->parameters, "name=value, or name:=JSON")->type_name("");
    command.add_option("--id", options->id, "the request's id: unique, and remembered")->type_name("ID");
    command.add_option("--reason", options->reason, "why, for the audit log")->type_name("TEXT");
    command.add_option("--audience", options->audience, "refuse unless this is the host's name")->type_name("HOST");
    return options;
}

}  // namespace

void add_run(CLI::App& command, CommandLine& line) {
    const auto options = add_request_options(command);
    command.add_flag("--plan", options->plan, "only say what would be done");
    command.add_flag("--no-stream", options->no_stream, "no progress, only the answer");
    command.callback(
        [options, &line] { line.chosen = [options](const Globals& globals) { return run(*options, globals); }; });
}

void add_plan(CLI::App& command, CommandLine& line) {
    const auto options = add_request_options(command);
    options->plan = true;
    command.callback(
        [options, &line] { line.chosen = [options](const Globals& globals) { return run(*options, globals); }; });
}

void add_sign(CLI::App& command, CommandLine& line) {
    const auto options = add_request_options(command);
    command.add_flag("--plan", options->plan, "a request that only asks what would be done");
    command.callback(
        [options, &line] { line.chosen = [options](const Globals& globals) { return sign(*options, globals); }; });
}

void add_confirm(CLI::App& command, CommandLine& line) {
    const auto id = std::make_shared<std::string>();
    command.add_option("REQUEST_ID", *id, "the id that the waiting action shows")->required()->type_name("");
    command.callback([id, &line] { line.chosen = [id](const Globals& globals) { return confirm(*id, globals); }; });
}

}  // namespace luminous_healing::healctl
