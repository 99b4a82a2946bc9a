#include "executor/recollection.h"

#include "policy/decide.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <set>

using namespace luminous_healing;
using namespace luminous_healing::executor;
using audit::EventType;
using audit::StoredRecord;
using policy::Journal;
using policy::Limiter;

namespace {

const CallerName kCaller("monitor");

policy::Config config_with(std::uint32_t limit, Micros window, std::optional<policy::RateLimit> of_caller = {}) {
    policy::Config config;
    for (const char* const name : {"one", "two"}) {
        policy::ActionPolicy action;
        action.name = ActionName(name);
        action.rate_limit = {.limit = limit, .window = window};
        config.actions.emplace(action.name, action);
    }
    policy::CallerPolicy caller;
    caller.name = kCaller;
    caller.rate_limit = of_caller;
    config.callers.emplace(kCaller, caller);
    return config;
}

/// One signed request. Its bytes are told apart by their MAC.
struct Sent {
    std::uint32_t number = 0;
    std::string id;
    std::string action;
    WallTime timestamp;

    [[nodiscard]] protocol::Mac mac() const {
        protocol::Mac result;
        for (std::size_t i = 0; i < 4; ++i) result.bytes.at(i) = static_cast<char>(number >> (8 * i));
        return result;
    }
};

/// A grant, on a clock that nobody can set and that goes on while the machine is off.
struct Grant {
    std::string action;
    Micros true_time{};
};

std::string_view view(const std::optional<std::string>& text) { return text ? std::string_view(*text) : ""; }

/// As glance_at() sees it; nothing for an event that is always read.
std::optional<audit::Glance> glance_of(const StoredRecord& stored) {
    const auto& record = stored.record;
    if (record.event != EventType::decision && record.event != EventType::outcome) return {};
    audit::Glance glance;
    glance.seq = stored.seq;
    glance.event = record.event;
    glance.timestamp = stored.timestamp;
    glance.boottime = stored.boottime;
    glance.boot_id = stored.boot_id;
    glance.request_id = view(record.request_id);
    glance.action = view(record.action);
    glance.code = record.code ? protocol::name_of(*record.code) : "";
    glance.caller = view(record.caller);
    glance.mode = view(record.mode);
    glance.decision = !record.allowed ? "" : *record.allowed ? "allow" : "deny";
    glance.request_mac = record.request_mac;
    glance.has_success = record.success.has_value();
    return glance;
}

/// As read_back() does. The number of records that were passed by.
template <class Log>
std::size_t read_passing(const Log& log, Recollection& recollection) {
    std::size_t passed = 0;
    for (auto record = log.rbegin(); record != log.rend(); ++record) {
        const auto glance = glance_of(*record);
        const auto passing = glance ? recollection.pass(*glance) : audit::Passing::read;
        passed += passing == audit::Passing::passed ? 1 : 0;
        if (passing == audit::Passing::stop) break;
        if (passing == audit::Passing::read && !recollection.visit(*record)) break;
    }
    return passed;
}

/// The daemon reduced to limiter, journal and log, on a machine whose clocks, boots and crashes are a game of dice.
class World {
public:
    World(std::uint32_t seed, const policy::Config& config) : random_(seed), config_(config) {}

    void step() {
        pass(Micros(below(40'000'000)));
        switch (below(24)) {
            case 0: wall_offset_ += Micros(below(8'000'000'000) - 4'000'000'000); break;  // somebody sets the clock
            case 1: pass(Micros(below(600'000'000))); break;                              // suspend
            case 2: restart(); break;
            case 3:
                if (below(3) == 0) reboot();
                break;
            case 4:
            case 5: end_one(); break;
            default: submit(choose()); break;
        }
    }

    void restart() {
        limiter_ = Limiter();
        journal_ = Journal();
        running_.clear();
        Recollection recollection(config_, boot_id(), clock(), limiter_, journal_.limits());
        passed_ += read_passing(log_, recollection);
        recollection.fill(journal_);
        check_passing(recollection);
        for (const auto& intent : recollection.open_intents()) {
            audit::Record record = intent.record;
            record.event = EventType::interrupted;
            record.allowed.reset();
            record.success = false;
            record.code = protocol::Code::interrupted;
            append(record);
        }
        note(EventType::start);
        if (!rebooted_) check_exact();
    }

    [[nodiscard]] std::size_t ran() const { return executed_.size(); }
    [[nodiscard]] std::size_t passed() const { return passed_; }

private:
    [[nodiscard]] std::int64_t below(std::int64_t bound) { return static_cast<std::int64_t>(random_()) % bound; }
    [[nodiscard]] std::string boot_id() const { return "boot" + std::to_string(boot_); }
    [[nodiscard]] Instant clock() const {
        return {WallTime{true_time_ + wall_offset_}, BootTime{true_time_ - booted_}};
    }
    void pass(Micros time) { true_time_ += time; }

    /// While it is off nobody sets its clock forward; back, or stopped without a battery, it may be. A crash forgets a
    /// clock set forward since the last record, which nothing on the disk knows of.
    void reboot() {
        rebooted_ = true;
        if (below(2) == 0) note(EventType::stop);
        wall_offset_ = std::min(wall_offset_, recorded_offset_);
        ++boot_;
        pass(Micros(below(1'200'000'000)));
        if (below(2) == 0) wall_offset_ -= Micros(below(3'000'000'000));
        booted_ = true_time_ - Micros(below(10'000'000));
        restart();
    }

    Sent choose() {
        if (!sent_.empty() && below(3) == 0) return sent_[static_cast<std::size_t>(below(std::ssize(sent_)))];
        const Micros skew(below(50'000'000) - 25'000'000);
        sent_.push_back({static_cast<std::uint32_t>(sent_.size() + 1), "id" + std::to_string(below(200)),
                         below(3) == 0 ? "two" : "one", WallTime{clock().wall.since_epoch + skew}});
        return sent_.back();
    }

    /// As Pipeline::handle does.
    void submit(const Sent& request) {
        const Instant now = clock();
        const RequestId id(request.id);
        journal_.expire(now.boot);
        if (journal_.recall(kCaller, id, request.mac()).known != Journal::Known::no) return;
        const Micros skew = config_.daemon.max_clock_skew;
        if (!policy::is_fresh(request.timestamp, now.wall, skew) || journal_.is_forgotten(request.timestamp)) return;
        const BootTime stale_at = now.boot + (request.timestamp - now.wall) + skew + 5s;
        if (!journal_.begin(kCaller, id, request.mac(), request.timestamp, stale_at)) return;
        audit::Record record;
        record.request_id = request.id;
        record.action = request.action;
        record.caller = kCaller.str();
        record.mode = "run";
        record.request_mac = request.mac().hex();
        const auto& limit = config_.actions.at(ActionName(request.action)).rate_limit;
        const auto bucket = policy::action_bucket(ActionName(request.action));
        const auto& of_caller = config_.callers.at(kCaller).rate_limit;
        const bool fits = !limiter_.wait_for(bucket, limit, now.boot) &&
                          (!of_caller || !limiter_.wait_for(policy::caller_bucket(kCaller), *of_caller, now.boot));
        record.allowed = fits;
        record.code = fits ? protocol::Code::ok : protocol::Code::rate_limited;
        if (!fits) {
            record.success = false;
            append(record);
            journal_.finish(kCaller, id, "denied", now.boot);
            return;
        }
        append(record);
        limiter_.take(bucket, limit, now.boot);
        if (of_caller) limiter_.take(policy::caller_bucket(kCaller), *of_caller, now.boot);
        journal_.mark_executed(kCaller, id);
        REQUIRE_MESSAGE(executed_.insert(request.number).second, request.number, " ran twice");
        grants_.push_back({request.action, true_time_});
        check_budget(request.action, limit);
        if (of_caller) check_budget({}, *of_caller);
        running_.push_back(record);
    }

    void end_one() {
        if (running_.empty()) return;
        audit::Record record = running_.front();
        running_.erase(running_.begin());
        record.event = EventType::outcome;
        record.allowed.reset();
        record.success = true;
        append(record);
        journal_.finish(kCaller, RequestId(*record.request_id), "done", clock().boot);
    }

    void note(EventType event) {
        audit::Record record;
        record.event = event;
        append(record);
    }

    void append(const audit::Record& record) {
        recorded_offset_ = wall_offset_;
        StoredRecord stored;
        stored.record = record;
        stored.timestamp = clock().wall;
        stored.boottime = clock().boot;
        stored.boot_id = boot_id();
        stored.seq = std::ssize(log_) + 1;
        log_.push_back(stored);
    }

    [[nodiscard]] std::int64_t granted_within(const std::string& action, Micros window) const {
        return std::count_if(grants_.begin(), grants_.end(), [&](const Grant& grant) {
            return (action.empty() || grant.action == action) && true_time_ - grant.true_time < window;
        });
    }

    /// Never more than the limit in any window of true time, whatever happened to clocks and daemon.
    void check_budget(const std::string& action, const policy::RateLimit& limit) const {
        REQUIRE(granted_within(action, limit.window) <= static_cast<std::int64_t>(limit.limit));
    }

    /// What was passed by is known as well as if it had been read.
    void check_passing(const Recollection& passing) const {
        Limiter limiter;
        Journal journal;
        Recollection reading(config_, boot_id(), clock(), limiter, journal.limits());
        for (auto record = log_.rbegin(); record != log_.rend() && reading.visit(*record); ++record) {
        }
        reading.fill(journal);
        REQUIRE(reading.open_intents().size() == passing.open_intents().size());
        for (const auto& sent : sent_) {
            const auto known = [&](const Journal& j) {
                return j.recall(kCaller, RequestId(sent.id), sent.mac()).known;
            };
            REQUIRE(known(journal_) == known(journal));
            REQUIRE(journal_.is_forgotten(sent.timestamp) == journal.is_forgotten(sent.timestamp));
        }
    }

    /// In one boot the limiter is after a restart to the microsecond what it was.
    void check_exact() const {
        for (const auto& [name, action] : config_.actions) {
            const auto used = granted_within(name.str(), action.rate_limit.window);
            REQUIRE(limiter_.remaining(policy::action_bucket(name), action.rate_limit, clock().boot) ==
                    action.rate_limit.limit - static_cast<std::uint32_t>(used));
        }
    }

    std::mt19937 random_;
    const policy::Config& config_;
    Micros true_time_{5'000'000'000};
    Micros booted_{0};
    Micros wall_offset_{1'790'000'000'000'000};
    Micros recorded_offset_ = wall_offset_;
    std::size_t passed_ = 0;
    int boot_ = 1;
    bool rebooted_ = false;
    Limiter limiter_;
    Journal journal_;
    std::vector<StoredRecord> log_;
    std::vector<Sent> sent_;
    std::vector<Grant> grants_;
    std::set<std::uint32_t> executed_;
    std::vector<audit::Record> running_;
};

StoredRecord intent(std::int64_t seq, WallTime wall, BootTime boot, const std::string& boot_id) {
    StoredRecord stored;
    stored.record.request_id = "id" + std::to_string(seq);
    stored.record.action = "one";
    stored.record.caller = kCaller.str();
    stored.record.mode = "run";
    stored.record.allowed = true;
    stored.record.request_mac = protocol::Mac{}.hex();
    stored.seq = seq;
    stored.timestamp = wall;
    stored.boottime = boot;
    stored.boot_id = boot_id;
    return stored;
}

constexpr Micros kNoon{1'790'000'000'000'000};

}  // namespace

TEST_CASE("A10, A27: in four thousand lives of restarts, reboots and set clocks nothing runs twice or too often") {
    std::size_t ran = 0;
    std::size_t passed = 0;
    for (std::uint32_t seed = 0; seed < 4000; ++seed) {
        CAPTURE(seed);
        const auto config =
            config_with(1 + seed % 4, Micros(1min * (1 + seed % 30)),
                        seed % 3 == 0 ? std::optional(policy::RateLimit{.limit = 3, .window = 5min}) : std::nullopt);
        World world(seed, config);
        for (int step = 0; step < 120; ++step) world.step();
        world.restart();
        ran += world.ran();
        passed += world.passed();
    }
    CHECK(ran > 40'000);  // it is no feat to do nothing too often by doing nothing
    CHECK(passed > 100'000);
}

TEST_CASE("A27: a clock set forward hours before a reboot does not shorten a window") {
    const auto config = config_with(1, 1h);
    const BootTime last{50min};
    Limiter limiter;
    // Ten minutes before the machine went down; the clock jumped a day between the two records.
    Recollection recollection(config, "new", {WallTime{kNoon + 24h}, BootTime{1min}}, limiter, {});
    StoredRecord newest = intent(2, WallTime{kNoon + 24h - 1min}, last, "old");
    newest.record.event = EventType::stop;
    CHECK(recollection.visit(newest));
    CHECK(recollection.visit(intent(1, WallTime{kNoon}, BootTime{last.since_boot - 10min}, "old")));
    const auto wait = limiter.wait_for("action:one", config.actions.at(ActionName("one")).rate_limit, BootTime{1min});
    REQUIRE(wait);
    CHECK(*wait == Micros(49min));
}

TEST_CASE("an id that was used again is the later request") {
    const auto config = config_with(10, 1h);
    Limiter limiter;
    Journal journal;
    Recollection recollection(config, "boot", {WallTime{kNoon}, BootTime{1h}}, limiter, journal.limits());
    auto denied = intent(1, WallTime{kNoon - 10min}, BootTime{50min}, "boot");
    denied.record.allowed = false;
    denied.record.code = protocol::Code::busy;
    denied.record.request_id = "same";
    auto ran = intent(2, WallTime{kNoon - 5min}, BootTime{55min}, "boot");
    ran.record.request_id = "same";
    ran.record.request_mac = std::string(64, '7');
    CHECK(recollection.visit(ran));
    CHECK(recollection.visit(denied));
    recollection.fill(journal);
    const auto mac = protocol::Mac::from_hex(std::string(64, '7'));
    CHECK(journal.recall(kCaller, RequestId("same"), *mac).known == Journal::Known::answered);
}

TEST_CASE("where records are missing every timestamp that they may have had is refused") {
    const auto config = config_with(10, 1h);
    const WallTime before_gap{kNoon - 10min};
    const auto is_forgotten_after = [&](std::vector<StoredRecord> newest_first) {
        Limiter limiter;
        Journal journal;
        Recollection recollection(config, "boot", {WallTime{kNoon}, BootTime{1h}}, limiter, journal.limits());
        for (const auto& record : newest_first) CHECK(recollection.visit(record));
        recollection.fill(journal);
        return journal.is_forgotten(before_gap);
    };
    const auto record = [](std::int64_t seq, Micros ago) {
        return intent(seq, WallTime{kNoon - ago}, BootTime{Micros(1h) - ago}, "boot");
    };
    CHECK_FALSE(is_forgotten_after({record(3, 1min), record(2, 2min), record(1, 20min)}));
    CHECK(is_forgotten_after({record(4, 1min), record(3, 2min), record(1, 9min)}));  // a gap
    CHECK(is_forgotten_after({record(3, 1min), record(2, 2min)}));                   // the beginning is gone
    auto recovered = record(3, 1min);
    recovered.record = audit::Record{};
    recovered.record.event = EventType::recovered;
    recovered.record.detail = R"({"lost":true})";
    CHECK(is_forgotten_after({recovered, record(2, 2min), record(1, 20min)}));
}

TEST_CASE("an open intent is found however long the machine was off") {
    const auto config = config_with(10, 1h);
    Limiter limiter;
    Journal journal;
    Recollection recollection(config, "new", {WallTime{kNoon + 1000h}, BootTime{1min}}, limiter, journal.limits());
    CHECK(recollection.visit(intent(1, WallTime{kNoon}, BootTime{1h}, "old")));
    CHECK(recollection.open_intents().size() == 1);
}

TEST_CASE("what is read back is bounded by the window and a fixed number of records") {
    const auto config = config_with(10, 1h);
    Limiter limiter;
    Recollection recollection(config, "boot", {WallTime{kNoon}, BootTime{100'000h}}, limiter, {});
    std::int64_t seq = 10'000'000;
    std::uint64_t visited = 0;
    Micros ago{0};
    for (bool more = true; more; ++visited, ago += 1s)
        more = recollection.visit(intent(seq--, WallTime{kNoon - ago}, BootTime{100'000h - ago}, "boot"));
    CHECK(visited <= 3600 + Recollection::kAlways + 3);
}

TEST_CASE("a request whose answer is no longer kept is passed by if it ended and read if it did not") {
    const auto config = config_with(10, 1h);
    const BootTime boot{100h};
    const auto record = [&](std::int64_t seq, Micros ago, bool ended) {
        auto stored = intent(seq, WallTime{kNoon - ago}, BootTime{boot.since_boot - ago}, "boot");
        stored.record.request_id = "id" + std::to_string((seq + 1) / 2);
        if (!ended) return stored;
        stored.record.event = EventType::outcome;
        stored.record.allowed.reset();
        stored.record.success = true;
        return stored;
    };
    const std::vector<StoredRecord> log{record(1, 4h, false), record(2, 4h, true), record(3, 3h, false),
                                        record(5, 2h, false), record(6, 2h, true), record(7, 1min, false),
                                        record(8, 1min, true)};
    Limiter limiter;
    Journal journal;
    Recollection recollection(config, "boot", {WallTime{kNoon}, boot}, limiter, journal.limits());
    CHECK(read_passing(log, recollection) == 4);  // of 7: two are new, one has no outcome
    recollection.fill(journal);
    journal.expire(boot);
    REQUIRE(recollection.open_intents().size() == 1);
    CHECK(recollection.open_intents()[0].seq == 3);
    const auto known = [&](const char* id) { return journal.recall(kCaller, RequestId(id), protocol::Mac{}).known; };
    CHECK(known("id1") == Journal::Known::lost);
    CHECK(known("id2") == Journal::Known::lost);
    CHECK(known("id3") == Journal::Known::lost);
    CHECK(known("id4") == Journal::Known::answered);
}
