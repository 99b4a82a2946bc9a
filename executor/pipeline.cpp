#include "executor/pipeline.h"

#include "base/text.h"
#include "executor/adoption.h"
#include "executor/needs.h"
#include "executor/outcome.h"
#include "executor/plan.h"
#include "protocol/limits.h"

#include <algorithm>

namespace luminous_healing::executor {

using policy::Denial;
using protocol::Code;
using protocol::Response;

namespace {

Denial deny(Code code, std::string detail, std::string rule = {}) {
    return {code, std::move(rule), std::move(detail), {}};
}

std::int64_t to_ms(Micros duration) { return std::chrono::ceil<std::chrono::milliseconds>(duration).count(); }

constexpr Micros kJournalMargin = 5s;  // an id is remembered a little longer than its timestamp is fresh

}  // namespace

void Pipeline::handle(const SignedFrame& frame, ConnectionId id, Connection& connection) {
    Asked asked = ask(id, connection);
    asked.legacy_v1 = frame.legacy_v1;
    if (auto refusal = authenticate(frame, asked)) return refuse(std::move(asked), *refusal);
    if (auto refusal = read_request(frame, asked)) return refuse(std::move(asked), *refusal);
    if (auto refusal = policy::deny_peer(*asked.caller, asked.peer)) return refuse(std::move(asked), *refusal);
    if (answer_again(asked)) return;
    if (auto refusal = admit(asked)) return refuse(std::move(asked), *refusal);
    if (answer_own(asked)) return;
    auto grant = decide(asked);
    if (!grant) return refuse(std::move(asked), grant.error());
    if (asked.request.mode == protocol::Mode::plan) return plan(asked, std::move(*grant));
    run(std::move(asked), std::move(*grant));
}

Pipeline::Asked Pipeline::ask(ConnectionId id, Connection& connection) const {
    Asked asked;
    asked.connection = id;
    asked.peer = connection.peer;
    asked.shown = connection.shown;
    asked.config = authority_.config;
    asked.received = boot_now();
    return asked;
}

Pipeline::Refusal Pipeline::authenticate(const SignedFrame& frame, Asked& asked) {
    const auto& config = *asked.config;
    CallerName caller(frame.caller);
    if (frame.legacy_v1) {
        if (!config.daemon.legacy_v1)
            return deny(Code::bad_request, "version 1 requests are switched off (daemon.legacy_v1)");
        auto match = authority_.keyring.verify_v1(frame.id, frame.action, frame.timestamp, frame.mac);
        caller = match.caller;
        asked.key = std::move(match.key);
    } else {
        if (!authority_.keyring.knows(caller))
            return deny(Code::unknown_caller, "no caller \"" + printable_line(frame.caller, 64) + "\" is configured");
        asked.key = authority_.keyring.verify(caller, frame.request, frame.mac);
    }
    if (asked.key == nullptr)
        return deny(Code::bad_signature, frame.legacy_v1
                                             ? "no key matches the signature"
                                             : "claimed to be \"" + printable_line(frame.caller, 64) + "\"");
    asked.caller = &config.callers.at(caller);
    asked.mac = frame.mac;
    if (frame.legacy_v1) {  // its signature leaves the parameters out; "the same bytes" must not
        std::string all(frame.mac.bytes.data(), frame.mac.bytes.size());
        asked.mac.bytes = protocol::sha256(all.append(frame.parameters));
    }
    asked.mac_hex = asked.mac.hex();
    return {};
}

Pipeline::Refusal Pipeline::read_request(const SignedFrame& frame, Asked& asked) {
    auto request = frame.legacy_v1
                       ? protocol::parse_request_v1(frame.id, frame.action, frame.timestamp, frame.parameters)
                       : protocol::parse_request(frame.request);
    if (!request) return deny(Code::bad_request, request.error().message);
    asked.request = std::move(*request);
    if (asked.request.parameters.empty()) return {};
    const auto action = asked.config->actions.find(asked.request.action);
    asked.parameters = action == asked.config->actions.end()
                           ? protocol::write_parameters(asked.request.parameters)
                           : policy::audited_parameters(action->second.parameters, asked.request.parameters);
    return {};
}

/// The same bytes again get the recorded answer, or wait for it. This comes before the look at the clock: a client
/// that lost its connection during a long action asks with an old timestamp.
bool Pipeline::answer_again(const Asked& asked) {
    using Known = policy::Journal::Known;
    journal_.expire(asked.received);
    const auto recall = journal_.recall(asked.caller->name, asked.request.id, asked.mac);
    switch (recall.known) {
        case Known::no: return false;
        case Known::answered: send_again(repeat_of(asked), recall.response); return true;
        case Known::running: waiting_[key_of(asked)].push_back(repeat_of(asked)); return true;
        case Known::lost:
            refuse(asked, deny(Code::interrupted,
                               "this request was executed; its answer is no longer kept, see the audit log"));
            return true;
        case Known::reused:
            refuse(asked, deny(Code::id_reused, "this id was used for another request; every request needs a new one"));
            return true;
    }
    return true;
}

Pipeline::Refusal Pipeline::admit(Asked& asked) {
    const auto skew = asked.config->daemon.max_clock_skew;
    const auto wall = now().wall;
    if (!policy::is_fresh(asked.request.timestamp, wall, skew))
        return deny(Code::stale, "the timestamp is more than the allowed clock skew away; the daemon's clock says " +
                                     format_rfc3339(wall));
    if (journal_.is_forgotten(asked.request.timestamp))
        return deny(Code::stale,
                    "of requests signed up to " + format_rfc3339(journal_.forgotten_until()) +
                        " the daemon no longer knows which it has run; sign a new one, or set the clock if it was set "
                        "back");
    const BootTime stale_at = asked.received + (asked.request.timestamp - wall) + skew + kJournalMargin;
    asked.remembered =
        journal_.begin(asked.caller->name, asked.request.id, asked.mac, asked.request.timestamp, stale_at);
    if (!asked.remembered) return deny(Code::busy, "too many requests are remembered; ask again in a minute");
    return {};
}

/// What the executor answers itself, to every caller with a valid key.
bool Pipeline::answer_own(const Asked& asked) {
    const std::string& action = asked.request.action.str();
    if (action != "status" && action != "confirm") return false;
    const auto arguments = policy::check_parameters(own_parameters(action), asked.request.parameters);
    if (!arguments) {
        refuse(asked, deny(arguments.error().code, arguments.error().detail));
        return true;
    }
    if (action == "confirm") {
        confirm(asked);
        return true;
    }
    Response response;
    response.success = true;
    response.code = Code::ok;
    response.output = "luminous-healing " LUMINOUS_VERSION " is running";
    response.result = ports_.describe_status(*asked.caller, arguments->text("detail"));
    if (recorder_.admit(Code::ok, asked.peer.uid, asked.caller->name.str())) {
        response.audit_seq = recorder_.record(record_of_success(asked), Urgency::soon);
    }
    answer(asked, std::move(response));
    return true;
}

void Pipeline::confirm(const Asked& asked) {
    const auto wanted =
        policy::check_parameters(own_parameters("confirm"), asked.request.parameters)->text("request_id");
    const auto found = std::find_if(running_.begin(), running_.end(), [&](const auto& entry) {
        return entry.second.asked.caller->name == asked.caller->name && entry.second.asked.request.id.str() == wanted;
    });
    if (found == running_.end() || !runner_->confirm(found->first))
        return refuse(asked,
                      deny(Code::action_failed, "no request of yours with that id is waiting for a confirmation"));
    Response response;
    response.success = true;
    response.code = Code::ok;
    response.output = "confirmed";
    response.audit_seq = recorder_.record(record_of_success(asked), Urgency::before_effects);
    recorder_.then([this, asked, response](bool recorded) mutable {
        if (!recorded) lose_record(response, "it was confirmed");
        answer(asked, std::move(response));
    });
}

tl::expected<policy::Grant, Denial> Pipeline::decide(const Asked& asked) {
    return policy::decide(*asked.config, *asked.caller, asked.request, asked.peer, limiter_, situation());
}

policy::Situation Pipeline::situation() const {
    policy::Situation situation;
    situation.now = now();
    situation.host_name = host_.name;
    situation.machine_id = host_.machine_id;
    situation.unavailable = [this](const ActionName& action) -> std::optional<std::string> {
        const auto found = authority_.unavailable.find(action);
        if (found == authority_.unavailable.end()) return {};
        return found->second;
    };
    situation.is_busy = [this](const std::string& target) { return runner_->is_busy(target); };
    situation.workers_full = runner_->running() >= kMaxRunning;
    situation.shutting_down = shutting_down_;
    return situation;
}

/// The intent is recorded first. Its worker confines itself meanwhile; it begins when the intent is known to be on the
/// disk, and is called off otherwise.
void Pipeline::run(Asked asked, policy::Grant grant) {
    const bool full = recorder_.log().is_available() && recorder_.log().space() == audit::Space::none;
    if (full || (recorder_.log().space() == audit::Space::low && !row_of(grant.action()).frees_space))
        return refuse(asked, deny(Code::audit_unavailable,
                                  "the disk of the audit log is full; only actions that free space may run"));
    audit::Record intent = record_of(asked);
    intent.allowed = true;
    intent.code = Code::ok;
    intent.rule = grant.rule();
    const auto seq = recorder_.record(intent, Urgency::before_effects);
    if (!seq)
        return refuse(asked, deny(Code::audit_unavailable,
                                  "the audit log cannot be written: " + recorder_.log().why_unavailable()));
    recorder_.start();
    policy::take_budget(limiter_, grant);
    journal_.mark_executed(asked.caller->name, asked.request.id);
    const RunId id = next_run_++;
    auto ready = runner_->make_ready(id, job_of(asked, grant));
    recorder_.then([this, id, asked = std::move(asked), grant = std::move(grant),
                    ready = std::move(ready)](bool recorded) {
        if (recorded) return begin(id, asked, grant, ready);
        runner_->call_off(id);
        policy::give_back_budget(limiter_, grant);
        refuse(asked,
               deny(Code::audit_unavailable, "the audit log cannot be written: " + recorder_.log().why_unavailable()));
    });
}

Job Pipeline::job_of(const Asked& asked, policy::Grant grant) {
    return {std::move(grant), asked.config, asked.caller->name.str() + ":" + asked.request.id.str(), false, false};
}

/// `ready`: what make_ready() said. From here on the intent has an outcome.
void Pipeline::begin(RunId id, const Asked& asked, const policy::Grant& grant, const Expected<void>& ready) {
    audit::Record outcome = record_of(asked);
    outcome.event = audit::EventType::outcome;
    outcome.rule = grant.rule();
    running_.emplace(id, Running{asked, OpenIntent(recorder_, std::move(outcome)), {}, {}, 0});
    if (!ready) {
        actions::Report report;
        report.code = Code::action_failed;
        report.error = "the worker could not be started: " + ready.error().message;
        return on_done(id, report);
    }
    runner_->begin(id);
    on_progress(id, protocol::EventKind::started, asked.request.action.str());
}

void Pipeline::adopt(const audit::StoredRecord& intent) {
    Asked asked;  // of connection 0, which no client has
    asked.config = authority_.config;
    asked.received = intent.boottime;
    asked.shown = std::make_shared<ShownPeer>(intent.record.peer.value_or(audit::PeerFields{}));
    asked.parameters = intent.record.parameters;
    asked.mac_hex = intent.record.request_mac;
    asked.remembered = true;
    auto request = request_of(intent.record);
    auto grant = request ? grant_again(*asked.config, intent.record, *request, situation())
                         : tl::unexpected(deny(Code::internal, request.error().message));
    const auto caller = asked.config->callers.find(CallerName(intent.record.caller.value_or("")));
    if (caller != asked.config->callers.end()) asked.caller = &caller->second;
    if (request) asked.request = std::move(*request);
    if (grant) {
        Job job = job_of(asked, *grant);
        job.adopted = true;
        const RunId id = next_run_++;
        return begin(id, asked, *grant, runner_->make_ready(id, std::move(job)));
    }
    audit::Record record = intent.record;
    record.event = audit::EventType::interrupted;
    record.allowed.reset();
    record.success = false;
    record.code = Code::interrupted;
    record.error = "it went on without the daemon, which may no longer look after it: " + grant.error().detail;
    recorder_.record(record, Urgency::before_effects);
    if (asked.caller == nullptr || asked.request.id.empty()) return;
    Response response;
    response.code = Code::interrupted;
    response.error = record.error;
    answer(asked, std::move(response));
}

void Pipeline::leave_to_successor() {
    for (auto entry = running_.begin(); entry != running_.end();) {
        auto& [id, running] = *entry;
        if (!running.plan.empty() || !may_outlive_us(running.asked.request.action.str())) {
            ++entry;
            continue;
        }
        runner_->call_off(id);
        (void)running.intent->resolve();  // not recorded: the next daemon finds the intent open
        Response response;
        response.code = Code::interrupted;
        response.error = "the daemon is stopping; the work goes on, and the same request again gets its outcome";
        answer(running.asked, std::move(response));
        entry = running_.erase(entry);
    }
}

/// Everything but running: the row filled in, and for a built-in action what its check sees now.
void Pipeline::plan(const Asked& asked, policy::Grant grant) {
    audit::Record record = record_of_success(asked);
    record.rule = grant.rule();
    Running planned{asked, std::nullopt, describe_plan(grant), recorder_.record_folded(record, Urgency::soon), 0};
    if (grant.action().command) {
        actions::Report nothing_to_look_at;
        nothing_to_look_at.code = Code::ok;
        return finish_plan(planned, nothing_to_look_at);
    }
    const RunId id = next_run_++;
    Job job = job_of(asked, std::move(grant));
    job.plan = true;
    if (auto ready = runner_->make_ready(id, std::move(job)); !ready)
        return refuse(asked, deny(Code::busy, "the plan's worker could not be started: " + ready.error().message));
    running_.emplace(id, std::move(planned));
    runner_->begin(id);
}

void Pipeline::finish_plan(const Running& running, const actions::Report& report) {
    Response response;
    response.success = report.code == Code::ok;
    response.code = report.code;
    response.error = report.error;
    response.output = response.success ? "this is what would be done; nothing was" : "";
    response.result = complete_plan(running.plan, report.facts);
    response.audit_seq = running.seq;
    answer(running.asked, std::move(response));
}

void Pipeline::on_progress(RunId id, protocol::EventKind kind, const std::string& text) {
    const auto found = running_.find(id);
    if (found == running_.end() || !found->second.asked.request.stream || found->second.asked.legacy_v1) return;
    Running& running = found->second;
    const protocol::Event event{running.asked.request.id.str(), ++running.events, kind, text};
    ports_.send_event(running.asked.connection,
                      protocol::frame_event(event, *running.asked.key, running.asked.mac_hex));
}

void Pipeline::on_done(RunId id, const actions::Report& report) {
    auto entry = running_.extract(id);
    if (entry.empty()) return;
    Running& running = entry.mapped();
    if (!running.plan.empty()) return finish_plan(running, report);
    Response response = response_to(report);
    response.duration_ms = to_ms(boot_now() - running.asked.received);
    audit::Record outcome = running.intent->resolve();
    describe(outcome, response);
    response.audit_seq = recorder_.record(outcome, Urgency::before_effects);
    const bool accepted = response.audit_seq.has_value();
    recorder_.start();
    auto ready = written(running.asked, response);  // before the disk is waited for: what it needs is at hand now
    recorder_.then(
        [this, asked = running.asked, response, ready = std::move(ready), outcome, accepted](bool recorded) mutable {
            if (recorded && accepted) return give(asked, ready);
            lose_record(response, "it ended with " + std::string(name_of(response.code)));
            recorder_.keep_for_later(std::move(outcome));
            answer(asked, std::move(response));
        });
    recorder_.flush();
}

void Pipeline::refuse_malformed(std::string_view why, ConnectionId id, Connection& connection) {
    Asked asked = ask(id, connection);
    // What it was meant to be cannot be known; where the prototype's clients are served, they are told in their words.
    asked.legacy_v1 = asked.config->daemon.legacy_v1;
    refuse(std::move(asked), deny(Code::bad_request, std::string(why)));
}

void Pipeline::refuse(Asked asked, const Denial& denial) {
    Response response;
    response.code = denial.code;
    response.error = asked.key != nullptr ? denial.detail : std::string(name_of(denial.code));
    if (denial.retry_after) response.retry_after_ms = to_ms(*denial.retry_after);
    const std::string caller = asked.caller != nullptr ? asked.caller->name.str() : std::string();
    if (!recorder_.admit(denial.code, asked.peer.uid, caller)) return answer(asked, std::move(response));  // counted
    audit::Record record = record_of(asked);
    record.allowed = false;
    record.success = false;
    record.code = denial.code;
    record.rule = denial.rule;
    record.error = denial.detail;
    record.duration_ms = to_ms(boot_now() - asked.received);
    response.audit_seq = recorder_.record(record, Urgency::denial);
    auto ready = written(asked, response);  // as in on_done()
    recorder_.then([this, asked = std::move(asked), response = std::move(response),
                    ready = std::move(ready)](bool recorded) mutable {
        if (recorded) return give(asked, ready);
        response.audit_seq.reset();
        answer(asked, std::move(response));
    });
}

audit::Record Pipeline::record_of(const Asked& asked) const {
    audit::Record record;
    record.event = audit::EventType::decision;
    record.peer = asked.shown->fields();
    if (asked.caller != nullptr) record.caller = asked.caller->name.str();
    if (asked.request.id.empty()) return record;
    record.request_id = asked.request.id.str();
    record.action = asked.request.action.str();
    record.parameters = asked.parameters;
    record.mode = asked.request.mode == protocol::Mode::plan ? "plan" : "run";
    record.reason = asked.request.reason;
    record.request_mac = asked.mac_hex;
    return record;
}

/// Of what the executor does itself, at once.
audit::Record Pipeline::record_of_success(const Asked& asked) const {
    audit::Record record = record_of(asked);
    record.allowed = true;
    record.success = true;
    record.code = Code::ok;
    record.duration_ms = 0;
    return record;
}

std::string Pipeline::key_of(const Asked& asked) { return asked.caller->name.str() + '\0' + asked.request.id.str(); }

Pipeline::Answer Pipeline::written(const Asked& asked, Response& response) {
    response.request_id = asked.request.id.empty() ? "unknown" : asked.request.id.str();
    if (response.result.size() > protocol::kMaxResult) response.result = R"({"truncated":true})";
    if (response.error) response.error = printable_line(*response.error, protocol::kMaxError);
    if (response.duration_ms == 0) response.duration_ms = to_ms(boot_now() - asked.received);
    Answer answer;
    answer.response = protocol::write_response(response);
    answer.frame = asked.legacy_v1 ? protocol::write_response_v1(response, asked.request.action.str())
                                   : protocol::frame_response(answer.response, asked.key.get(), asked.mac_hex);
    return answer;
}

/// The one answer to a request: remembered if its id is, and given to everybody who asked the same.
void Pipeline::give(const Asked& asked, const Answer& answer) {
    ports_.send_answer(asked.connection, answer.frame);
    if (!asked.remembered) return;
    journal_.finish(asked.caller->name, asked.request.id, answer.response, boot_now());
    if (waiting_.empty()) return;
    const auto waiting = waiting_.extract(key_of(asked));
    if (waiting.empty()) return;
    for (const auto& again : waiting.mapped()) send_again(again, answer.response);
}

Pipeline::Repeat Pipeline::repeat_of(const Asked& asked) {
    return {asked.connection, asked.legacy_v1, asked.request.action, asked.key, asked.mac_hex};
}

/// A recorded answer, for the same request on this connection.
void Pipeline::send_again(const Repeat& again, std::string_view response) {
    if (again.legacy_v1) {
        const auto read = protocol::parse_response(response);
        return ports_.send_answer(again.connection,
                                  read ? protocol::write_response_v1(*read, again.action.str()) : std::string());
    }
    ports_.send_answer(again.connection,
                       protocol::frame_response(protocol::mark_replayed(response), again.key.get(), again.mac_hex));
}

void Pipeline::forget(ConnectionId connection) {
    for (auto& [key, repeats] : waiting_)
        std::erase_if(repeats, [&](const Repeat& repeat) { return repeat.connection == connection; });
    std::erase_if(waiting_, [](const auto& entry) { return entry.second.empty(); });
}

void Pipeline::forget_connections() { waiting_.clear(); }

}  // namespace luminous_healing::executor
