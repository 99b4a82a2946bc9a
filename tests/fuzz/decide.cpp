// From signed bytes to a decision, as the executor goes it: MAC, request, peer, journal, clock, decide(), budget. The
// input is a story in lines; each `ask` is really signed, then perhaps changed, and its end is held against a model.
//
//   caller NAME | key NAME | uid N | at SECONDS | flip N | busy | full | stopping   set what the next `ask` meets
//   ask {…}      a version 2 request; @NOW@ in it stands for the time of asking
//   ask1 ID ACTION {…}   a version 1 request of now

#include "policy/decide.h"

#include "base/text.h"
#include "executor/keyring.h"
#include "policy/journal.h"
#include "policy/unit_name.h"
#include "tests/fuzz/support.h"

#include <algorithm>
#include <map>
#include <set>

using namespace luminous_healing;
using namespace luminous_healing::fuzz;
using namespace luminous_healing::policy;
using protocol::Code;

namespace {

constexpr Micros kStart = 1'790'000'000s;  // since 1970
constexpr Micros kSkew = 30s;

std::string key_text(std::string_view name) { return "0123456789abcdef-the-key-of-" + std::string(name); }

ActionPolicy restart_service() {
    ActionPolicy action;
    action.name = ActionName("restart_service");
    action.where = "config.toml:20";
    action.rate_limit = {3, 60s};
    action.parameters = {{.name = "service", .type = ParameterType::unit}};
    action.units = {"nginx.service", "web-*.service", "*.timer", "sshd.service"};
    action.target_group = "unit";
    action.target_parameter = "service";
    return action;
}

ActionPolicy kill_process() {
    ActionPolicy action;
    action.name = ActionName("kill_process");
    action.where = "config.toml:30";
    action.rate_limit = {2, 300s};
    action.parameters = {{.name = "pid", .type = ParameterType::integer, .minimum = 2, .maximum = 4194304},
                         {.name = "signal",
                          .required = false,
                          .default_value = "TERM",
                          .choices = {"TERM", "KILL"},
                          .allowed = {"TERM"}}};
    action.target_group = "process";
    action.target_parameter = "pid";
    return action;
}

ActionPolicy flush_cache() {
    ActionPolicy action;
    action.name = ActionName("flush_cache");
    action.where = "config.toml:40";
    action.timeout = 5s;
    action.rate_limit = {1000, 60s};
    action.parameters = {{.name = "zone", .max_length = 16, .pattern = *Pattern::compile("[a-z]+(\\.[a-z]+)*")},
                         {.name = "token", .required = false, .secret = true},
                         {.name = "deep", .type = ParameterType::boolean, .required = false, .default_value = "false"}};
    action.command.emplace();
    action.command->command = {"/usr/bin/true", "{zone}"};
    action.target_group = "flush_cache";
    return action;
}

Config make_config() {
    Config config;
    config.file = "config.toml";
    config.daemon.protected_units = default_protected_units();
    for (auto& action : {restart_service(), kill_process(), flush_cache()}) config.actions.emplace(action.name, action);
    CallerPolicy monitor;
    monitor.name = CallerName("monitor");
    monitor.where = "config.toml:5";
    monitor.users = {998};
    monitor.actions = {ActionName("restart_service"), ActionName("flush_cache")};
    CallerPolicy admin;
    admin.name = CallerName("admin");
    admin.where = "config.toml:9";
    admin.users = {0, 1000};
    admin.actions = {ActionName("restart_service"), ActionName("kill_process"), ActionName("flush_cache")};
    admin.rate_limit = RateLimit{4, 600s};
    config.callers.emplace(monitor.name, monitor);
    config.callers.emplace(admin.name, admin);
    return config;
}

const Config& config() {
    static const Config made = make_config();
    return made;
}

const executor::Keyring& keyring() {
    static const executor::Keyring made = *executor::Keyring::create(
        {{CallerName("monitor"), {key_text("monitor")}}, {CallerName("admin"), {key_text("admin"), key_text("old")}}});
    return made;
}

const protocol::MacKey& signing_key(std::string_view name) {
    static const std::map<std::string, protocol::MacKey, std::less<>> made = [] {
        std::map<std::string, protocol::MacKey, std::less<>> keys;
        for (const auto* const each : {"monitor", "admin", "old", "stranger"})
            keys.emplace(each, *protocol::MacKey::create(key_text(each)));
        return keys;
    }();
    const auto found = made.find(name);
    return found == made.end() ? made.at("stranger") : found->second;
}

bool opens(std::string_view key, std::string_view caller) {
    return (caller == "monitor" && key == "monitor") || (caller == "admin" && (key == "admin" || key == "old"));
}

template <class Int>
Int number(std::string_view text, Int otherwise) {
    return parse_integer<Int>(text).value_or(otherwise);
}

/// One request on its way, as it was sent.
struct Sent {
    bool legacy_v1 = false;
    std::string caller;
    protocol::Mac mac;
    std::string bytes;  // version 2: the request; version 1: the parameters
    std::string id;
    std::string action;
    std::string timestamp;
    bool is_genuine = false;  // signed with a key of the caller's and not changed since
};

class Story {
public:
    void tell(std::string_view line);

private:
    void ask(std::string_view text);
    void ask_v1(std::string_view rest);
    void handle(const Sent& sent);
    [[nodiscard]] std::optional<protocol::Request> authenticate(const Sent& sent, CallerName& caller) const;
    void check_journal(const CallerPolicy& caller, const protocol::Request& request, const protocol::Mac& mac);
    void decide_on(const CallerPolicy& caller, const protocol::Request& request, const protocol::Mac& mac);
    void check_grant(const Grant& grant, const CallerPolicy& caller, const protocol::Request& request);
    void check_arguments(const Grant& grant) const;
    void check_budget(const Grant& grant);
    [[nodiscard]] Instant now() const { return {WallTime{kStart + time_}, BootTime{1000s + time_}}; }
    [[nodiscard]] Situation situation() const;

    std::string caller_ = "monitor";
    std::string key_ = "monitor";
    uid_t uid_ = 998;
    Micros time_{};
    std::optional<std::size_t> flip_;
    bool busy_ = false;
    bool full_ = false;
    bool stopping_ = false;
    Limiter limiter_;
    Journal journal_{{.entries = 8, .executed = 4, .response_bytes = 64, .keep_response = 60s}};
    std::map<std::string, std::vector<BootTime>> granted_;  // the model: by bucket
    std::set<std::string> ran_;                             // the model: what was executed
};

void Story::tell(std::string_view line) {
    std::string_view rest = line;
    const auto word = next_part(rest, ' ');
    if (word == "caller") caller_ = rest;
    else if (word == "key") key_ = rest;
    else if (word == "uid") uid_ = number<uid_t>(rest, 998);
    else if (word == "at") time_ = std::max(time_, Micros(std::chrono::seconds(number<std::uint16_t>(rest, 0))));
    else if (word == "flip") flip_ = number<std::uint16_t>(rest, 0);
    else if (word == "busy") busy_ = !busy_;
    else if (word == "full") full_ = !full_;
    else if (word == "stopping") stopping_ = !stopping_;
    else if (word == "ask") ask(rest);
    else if (word == "ask1") ask_v1(rest);
}

void flip_bit(std::string& bytes, std::size_t bit) {
    if (!bytes.empty())
        bytes[bit / 8 % bytes.size()] = static_cast<char>(bytes[bit / 8 % bytes.size()] ^ (1 << bit % 8));
}

void Story::ask(std::string_view text) {
    Sent sent;
    sent.caller = caller_;
    sent.bytes = text;
    if (const auto at = sent.bytes.find("@NOW@"); at != std::string::npos)
        sent.bytes.replace(at, 5, format_rfc3339(now().wall));
    sent.mac = protocol::request_mac(signing_key(key_), sent.bytes);
    sent.is_genuine = opens(key_, caller_) && (!flip_ || sent.bytes.empty());
    if (flip_ && *flip_ % 2 == 0) flip_bit(sent.bytes, *flip_ / 2);
    else if (flip_)
        sent.mac.bytes[*flip_ / 16 % 32] = static_cast<char>(sent.mac.bytes[*flip_ / 16 % 32] ^ (1 << *flip_ / 2 % 8));
    if (flip_ && *flip_ % 2 == 1) sent.is_genuine = false;
    flip_.reset();
    handle(sent);
}

void Story::ask_v1(std::string_view rest) {
    Sent sent;
    sent.legacy_v1 = true;
    sent.id = next_part(rest, ' ');
    sent.action = next_part(rest, ' ');
    sent.bytes = rest;
    sent.timestamp = "2026-11-21T10:00:00";
    sent.mac = protocol::request_mac_v1(signing_key(key_), sent.id, sent.action, sent.timestamp);
    sent.is_genuine = opens(key_, "monitor") || opens(key_, "admin");
    if (flip_) {
        flip_bit(sent.timestamp, *flip_);
        sent.is_genuine = false;
    }
    flip_.reset();
    handle(sent);
}

/// As Pipeline::authenticate() and read_request() do.
std::optional<protocol::Request> Story::authenticate(const Sent& sent, CallerName& caller) const {
    bool proven = false;
    if (sent.legacy_v1) {
        const auto match = keyring().verify_v1(sent.id, sent.action, sent.timestamp, sent.mac);
        proven = match.key != nullptr;
        caller = match.caller;
        must(!proven || opens(key_, caller.str()), "version 1 is from the caller whose key signed it");
    } else {
        caller = CallerName(sent.caller);
        must(keyring().knows(caller) == (sent.caller == "monitor" || sent.caller == "admin"),
             "a key is a caller's own");
        proven = keyring().verify(caller, sent.bytes, sent.mac) != nullptr;
    }
    must(proven == sent.is_genuine, "a MAC is right exactly when the caller's key signed these very bytes");
    if (!proven) return {};
    const auto request = sent.legacy_v1 ? protocol::parse_request_v1(sent.id, sent.action, sent.timestamp, sent.bytes)
                                        : protocol::parse_request(sent.bytes);
    return request ? std::optional(*request) : std::nullopt;
}

void Story::handle(const Sent& sent) {
    CallerName name;
    const auto request = authenticate(sent, name);
    if (!request) return;
    const auto& caller = config().callers.at(name);
    const bool may_use_key =
        (name.str() == "monitor" && uid_ == 998) || (name.str() == "admin" && (uid_ == 0 || uid_ == 1000));
    const auto refused = deny_peer(caller, {.uid = uid_, .gid = 0, .pid = 1});
    must(refused.has_value() != may_use_key, "a key is used by its own users only");
    if (refused) return must(refused->code == Code::peer_not_allowed, "and others are told so");
    check_journal(caller, *request, sent.mac);
}

/// The same bytes never run twice; while an id is remembered, it is of one request.
void Story::check_journal(const CallerPolicy& caller, const protocol::Request& request, const protocol::Mac& mac) {
    const std::string key = caller.name.str() + " " + request.id.str() + " " + mac.hex();
    journal_.expire(now().boot);
    const auto recall = journal_.recall(caller.name, request.id, mac);
    const bool fresh = is_fresh(request.timestamp, now().wall, kSkew);
    must(fresh == (request.timestamp - now().wall <= kSkew && now().wall - request.timestamp <= kSkew),
         "fresh is within the skew, on both sides");
    if (recall.known == Journal::Known::answered) must(recall.response == "{\"answer\":true}", "the recorded answer");
    if (recall.known == Journal::Known::reused)
        must(!ran_.contains(key), "what ran with these bytes is no other request");
    if (recall.known != Journal::Known::no || !fresh || journal_.is_forgotten(request.timestamp)) return;
    must(!ran_.contains(key), "what ran once is known, or too old to be new");
    const BootTime stale_at = now().boot + (request.timestamp - now().wall) + kSkew + 5s;
    if (!journal_.begin(caller.name, request.id, mac, request.timestamp, stale_at)) return;
    must(journal_.size() <= journal_.limits().entries, "the journal is bounded");
    decide_on(caller, request, mac);
    if (ran_.contains(key)) return;
    const auto again = journal_.recall(caller.name, request.id, mac);
    must(again.known == Journal::Known::running || again.known == Journal::Known::answered, "a request is remembered");
    protocol::Mac other = mac;
    other.bytes[7] = static_cast<char>(other.bytes[7] ^ 1);
    must(journal_.recall(caller.name, request.id, other).known == Journal::Known::reused, "its id is taken");
}

Situation Story::situation() const {
    Situation situation;
    situation.now = now();
    situation.host_name = "host-1";
    situation.machine_id = "0123456789abcdef0123456789abcdef";
    situation.is_busy = [this](const std::string&) { return busy_; };
    situation.workers_full = full_;
    situation.shutting_down = stopping_;
    return situation;
}

void Story::decide_on(const CallerPolicy& caller, const protocol::Request& request, const protocol::Mac& mac) {
    const protocol::Peer peer{.uid = uid_, .gid = 0, .pid = 1};
    std::vector<Check> trace;
    const auto grant = policy::decide(config(), caller, request, peer, limiter_, situation(), &trace);
    must(!trace.empty() && trace.back().passed == grant.has_value(), "the last check made is the one that decided");
    must(std::all_of(trace.begin(), trace.end() - 1, [](const Check& c) { return c.passed; }), "and no other failed");
    const bool known = config().actions.contains(request.action);
    const auto action = config().actions.find(request.action);
    const std::string shown = known ? audited_parameters(action->second.parameters, request.parameters)
                                    : protocol::write_parameters(request.parameters);
    must(std::all_of(shown.begin(), shown.end(), [](char c) { return c >= 0x20 && c < 0x7F; }),
         "what the log is given is one line of printable ASCII");
    if (!grant) {
        const Denial& denial = grant.error();
        must(denial.code != Code::ok && denial.code != Code::internal && !denial.detail.empty(), "a denial says why");
        must(printable_line(denial.detail, 1U << 20U) == denial.detail, "in words that are safe to show");
        must(!denial.retry_after || *denial.retry_after > Micros(0), "asking again is worth it later, not at once");
        must(known || stopping_ || request.audience || denial.code == Code::action_unknown, "no such action");
        return;
    }
    check_grant(*grant, caller, request);
    ran_.insert(caller.name.str() + " " + request.id.str() + " " + mac.hex());
    journal_.mark_executed(caller.name, request.id);
    journal_.finish(caller.name, request.id, "{\"answer\":true}", now().boot);
}

void Story::check_grant(const Grant& grant, const CallerPolicy& caller, const protocol::Request& request) {
    must(!stopping_ && !busy_ && !full_, "nothing starts while stopping, busy or full");
    must(&grant.caller() == &caller && grant.action().name == request.action, "a grant is for what was asked");
    const auto& actions = caller.actions;
    must(std::find(actions.begin(), actions.end(), request.action) != actions.end(), "an action that is not listed");
    must(!request.audience || *request.audience == "host-1" || *request.audience == situation().machine_id,
         "a request for another host is refused");
    must(grant.timeout() > Micros(0) && grant.timeout() <= grant.action().timeout, "a deadline only shortens");
    must(!request.deadline || grant.timeout() <= Micros(*request.deadline), "and is kept");
    must(!grant.target().empty() && grant.at() == now().boot && !grant.rule().empty(), "a grant names its rule");
    check_arguments(grant);
    check_budget(grant);
}

/// What a worker is given, against the policy above, read by a person.
void Story::check_arguments(const Grant& grant) const {
    const auto& arguments = grant.arguments();
    const std::string& action = grant.action().name.str();
    if (action == "restart_service") {
        const std::string unit = arguments.text("service");
        must(is_valid_unit_name(unit), "a unit is named by its full name");
        must(unit == "nginx.service" || unit == "sshd.service" || unit.ends_with(".timer") ||
                 (unit.starts_with("web-") && unit.ends_with(".service")),
             "the policy lists the unit");
        const bool ours = unit.starts_with("luminous-healing.") || unit.starts_with("luminous-healing-");
        must(!unit.starts_with("systemd-") && !ours, "and it is not protected");
        must(grant.target() == "unit:" + unit, "one unit is one target");
    } else if (action == "kill_process") {
        must(arguments.integer("pid") >= 2 && arguments.integer("pid") <= 4194304, "a pid is one process");
        must(arguments.text("signal") == "TERM", "the policy allows TERM only, which is the default too");
    } else {
        const std::string zone = arguments.text("zone");
        must(!zone.empty() && zone.size() <= 16 &&
                 zone.find_first_not_of("abcdefghijklmnopqrstuvwxyz.") == std::string::npos && zone.front() != '.' &&
                 zone.back() != '.' && zone.find("..") == std::string::npos,
             "a string matches the whole pattern");
        must(arguments.has("deep"), "defaults are filled in");
        const std::string token = arguments.text("token");
        must(token.size() < 9 || grant.target().find(token) == std::string::npos, "a secret is not in what is shown");
    }
}

/// No bucket ever holds more grants in a window than its limit.
void Story::check_budget(const Grant& grant) {
    const auto count = [&](const std::string& bucket, const RateLimit& limit) {
        auto& times = granted_[bucket];
        std::erase_if(times, [&](BootTime t) { return now().boot - t >= limit.window; });
        times.push_back(now().boot);
        must(times.size() <= limit.limit, "no window holds more grants than its limit");
        return limit.limit - times.size();
    };
    const auto left = count(action_bucket(grant.action().name), grant.action().rate_limit);
    if (const auto& limit = grant.caller().rate_limit) (void)count(caller_bucket(grant.caller().name), *limit);
    take_budget(limiter_, grant);
    must(limiter_.remaining(action_bucket(grant.action().name), grant.action().rate_limit, now().boot) == left,
         "what remains is exact");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Story story;
    for (const auto line : lines_of(text_of(data, size))) story.tell(line);
    return 0;
}
