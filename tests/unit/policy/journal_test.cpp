#include "policy/journal.h"

#include "policy/decide.h"

#include <doctest/doctest.h>

#include <random>
#include <set>
#include <vector>

using namespace luminous_healing;
using namespace luminous_healing::policy;
using Known = Journal::Known;
using protocol::Mac;

namespace {

const CallerName kCaller("self-healing");

BootTime at(Micros time) { return {time}; }
WallTime wall(Micros time) { return {time}; }
RequestId id(const std::string& text) { return RequestId(text); }

Mac mac(char first) {
    Mac result;
    result.bytes[0] = first;
    return result;
}

bool begin(Journal& journal, const std::string& name, Micros timestamp, Micros stale_at, char first = 'a') {
    return journal.begin(kCaller, id(name), mac(first), wall(timestamp), at(stale_at));
}
Known known(const Journal& journal, const std::string& name, char first = 'a') {
    return journal.recall(kCaller, id(name), mac(first)).known;
}

}  // namespace

TEST_CASE("a request is new and then running and then answered with what was recorded") {
    Journal journal;
    CHECK(known(journal, "1") == Known::no);
    REQUIRE(begin(journal, "1", 0s, 60s));
    CHECK(known(journal, "1") == Known::running);
    journal.finish(kCaller, id("1"), "{\"x\":1}", at(1s));
    CHECK(known(journal, "1") == Known::answered);
    CHECK(journal.recall(kCaller, id("1"), mac('a')).response == "{\"x\":1}");
}

TEST_CASE("A10: the same id with other bytes is reused whether it runs or is answered") {
    Journal journal;
    REQUIRE(begin(journal, "1", 0s, 60s));
    CHECK(known(journal, "1", 'b') == Known::reused);
    CHECK_FALSE(begin(journal, "1", 0s, 60s, 'b'));
    journal.finish(kCaller, id("1"), "{}", at(1s));
    CHECK(known(journal, "1", 'b') == Known::reused);
    CHECK(journal.recall(kCaller, id("1"), mac('b')).response.empty());
}

TEST_CASE("each caller has ids of its own") {
    Journal journal;
    REQUIRE(begin(journal, "1", 0s, 60s));
    CHECK(journal.recall(CallerName("other"), id("1"), mac('b')).known == Known::no);
    CHECK(journal.begin(CallerName("other"), id("1"), mac('b'), wall(0s), at(60s)));
    // No split of caller and id may be mistaken for another.
    CHECK(journal.recall(CallerName("self-healing1"), id(""), mac('a')).known == Known::no);
}

TEST_CASE("A11: a full journal refuses new requests and forgets none that matters") {
    Journal journal(Journal::Limits{.entries = 3});
    for (const auto* const name : {"1", "2", "3"}) REQUIRE(begin(journal, name, 0s, 60s));
    CHECK_FALSE(begin(journal, "4", 0s, 60s));
    CHECK(journal.size() == 3);
    CHECK(known(journal, "1") == Known::running);
    journal.expire(at(59s));
    CHECK_FALSE(begin(journal, "4", 0s, 60s));
    journal.expire(at(60s));
    CHECK(begin(journal, "4", 0s, 120s));
    CHECK(journal.size() == 1);
}

TEST_CASE("A10: an executed id is kept after its timestamp is stale") {
    Journal journal;
    REQUIRE(begin(journal, "ran", 0s, 60s));
    REQUIRE(begin(journal, "refused", 0s, 60s));
    journal.mark_executed(kCaller, id("ran"));
    journal.finish(kCaller, id("ran"), "{}", at(1s));
    journal.finish(kCaller, id("refused"), "{}", at(1s));
    journal.expire(at(120s));
    CHECK(known(journal, "ran") == Known::answered);
    CHECK(known(journal, "refused") == Known::no);
}

TEST_CASE("a recorded answer is kept for its time and then lost but its id is not free") {
    Journal journal(Journal::Limits{.keep_response = 10min});
    REQUIRE(begin(journal, "1", 0s, 60s));
    journal.mark_executed(kCaller, id("1"));
    journal.finish(kCaller, id("1"), "{}", at(5s));
    journal.expire(at(604s));
    CHECK(known(journal, "1") == Known::answered);
    journal.expire(at(605s));
    CHECK(known(journal, "1") == Known::lost);
    CHECK(known(journal, "1", 'b') == Known::reused);
    CHECK_FALSE(begin(journal, "1", 700s, 760s, 'b'));
}

TEST_CASE("answers are dropped oldest first when they take too much room") {
    Journal journal(Journal::Limits{.response_bytes = 100});
    for (const auto* const name : {"1", "2", "3"}) {
        REQUIRE(begin(journal, name, 0s, 60s));
        journal.mark_executed(kCaller, id(name));
        journal.finish(kCaller, id(name), std::string(40, 'x'), at(1s));
    }
    journal.expire(at(2s));
    CHECK(known(journal, "1") == Known::lost);
    CHECK(known(journal, "2") == Known::answered);
    CHECK(known(journal, "3") == Known::answered);
}

TEST_CASE("an answer recorded twice is the later one for its full time") {
    Journal journal(Journal::Limits{.keep_response = 10min});
    REQUIRE(begin(journal, "1", 0s, 60s));
    journal.mark_executed(kCaller, id("1"));
    journal.finish(kCaller, id("1"), "first", at(0s));
    journal.finish(kCaller, id("1"), "second", at(100s));
    journal.expire(at(650s));
    CHECK(journal.recall(kCaller, id("1"), mac('a')).response == "second");
    journal.expire(at(700s));
    CHECK(known(journal, "1") == Known::lost);
}

TEST_CASE("an id used again keeps its own answer and its own time") {
    Journal journal(Journal::Limits{.keep_response = 10min});
    REQUIRE(begin(journal, "1", 0s, 60s));
    journal.finish(kCaller, id("1"), "refused", at(0s));
    journal.expire(at(60s));
    REQUIRE(begin(journal, "1", 590s, 650s, 'b'));
    journal.finish(kCaller, id("1"), "second", at(590s));
    journal.expire(at(600s));  // the answer to the first would be due now
    CHECK(journal.recall(kCaller, id("1"), mac('b')).response == "second");
}

TEST_CASE("A11: beyond the bound the oldest executed id goes and every timestamp up to it is refused") {
    Journal journal(Journal::Limits{.executed = 2});
    for (int i = 1; i <= 3; ++i) {
        REQUIRE(begin(journal, std::to_string(i), 1s * i, 60s));
        journal.mark_executed(kCaller, id(std::to_string(i)));
    }
    CHECK_FALSE(journal.is_forgotten(wall(1s)));
    journal.expire(at(3s));
    CHECK(known(journal, "1") == Known::no);
    CHECK(journal.is_forgotten(wall(1s)));
    CHECK_FALSE(journal.is_forgotten(wall(1s + Micros{1})));
    CHECK(known(journal, "2") == Known::running);
}

TEST_CASE("the mark of forgotten timestamps only rises") {
    Journal journal;
    CHECK_FALSE(journal.is_forgotten(wall(Micros::min() + Micros{1})));
    journal.forget_until(wall(100s));
    journal.forget_until(wall(50s));
    CHECK(journal.is_forgotten(wall(100s)));
    CHECK_FALSE(journal.is_forgotten(wall(100s + Micros{1})));
}

TEST_CASE("answers of ids long forgotten do not pile up") {
    Journal journal;
    for (int i = 0; i < 20'000; ++i) {
        const Micros time = 1s * i;
        REQUIRE(begin(journal, std::to_string(i), time, time + 1s));
        journal.finish(kCaller, id(std::to_string(i)), std::string(1000, 'x'), at(time));
        journal.expire(at(time));
    }
    CHECK(journal.size() <= 2);
}

TEST_CASE("what is not there cannot be finished or marked") {
    Journal journal;
    journal.finish(kCaller, id("1"), "{}", at(1s));
    journal.mark_executed(kCaller, id("1"));
    CHECK(journal.size() == 0);
}

namespace {

/// One signed request: its bytes, told apart by their MAC, always have the same id and timestamp.
struct Sent {
    std::uint32_t number;
    std::string name;
    WallTime timestamp;

    [[nodiscard]] Mac mac() const {
        Mac result;
        for (std::size_t i = 0; i < 4; ++i) result.bytes.at(i) = static_cast<char>(number >> (8 * i));
        return result;
    }
    [[nodiscard]] std::string answer() const { return "answer " + std::to_string(number); }
};

/// A daemon reduced to what the journal is for, in a world whose clocks move as they like.
struct Model {
    static constexpr Micros kSkew = 30s;
    Journal journal{Journal::Limits{.entries = 12, .executed = 3, .response_bytes = 64, .keep_response = 50s}};
    Micros boot{1000s};
    Micros wall_offset{5000s};
    std::vector<Sent> sent;
    std::set<std::uint32_t> executed;
    std::vector<Sent> running;

    [[nodiscard]] WallTime clock() const { return wall(boot + wall_offset); }

    void submit(const Sent& request, bool granted) {
        journal.expire(at(boot));
        const auto recalled = journal.recall(kCaller, id(request.name), request.mac());
        if (recalled.known == Known::answered) REQUIRE(recalled.response == request.answer());
        if (recalled.known != Known::no) return;
        if (!is_fresh(request.timestamp, clock(), kSkew) || journal.is_forgotten(request.timestamp)) return;
        const Micros stale_at = boot + (request.timestamp - clock()) + kSkew + Micros{1};
        if (!journal.begin(kCaller, id(request.name), request.mac(), request.timestamp, at(stale_at))) return;
        REQUIRE(journal.size() <= 12);
        if (!granted) {
            journal.finish(kCaller, id(request.name), request.answer(), at(boot));
            return;
        }
        REQUIRE_MESSAGE(executed.insert(request.number).second, request.number << " ran twice");
        journal.mark_executed(kCaller, id(request.name));
        running.push_back(request);
    }

    void answer_one() {
        if (running.empty()) return;
        // One forgotten while it ran may have left its id to another: the daemon would not answer that one for it.
        const Sent first = running.front();
        running.erase(running.begin());
        if (journal.recall(kCaller, id(first.name), first.mac()).known == Known::running)
            journal.finish(kCaller, id(first.name), first.answer(), at(boot));
    }
};

/// One random life: requests new and repeated, ids used again, answers late, the wall clock stepping to and fro.
/// How many requests ran.
std::size_t live(std::uint32_t seed) {
    std::mt19937 random(seed);
    const auto below = [&](std::int64_t bound) { return static_cast<std::int64_t>(random()) % bound; };
    Model model;
    for (std::uint32_t step = 0; step < 150; ++step) {
        model.boot += Micros(below(8'000'000));
        if (below(15) == 0) model.wall_offset += Micros(below(400'000'000) - 200'000'000);
        if (below(2) == 0) model.answer_one();
        if (model.sent.empty() || below(3) == 0) {
            const Micros skew(below(50'000'000) - 25'000'000);
            model.sent.push_back({step, std::to_string(below(40)), wall(model.clock().since_epoch + skew)});
        }
        const auto chosen = static_cast<std::size_t>(below(static_cast<std::int64_t>(model.sent.size())));
        model.submit(model.sent[chosen], below(4) != 0);
    }
    return model.executed.size();
}

}  // namespace

TEST_CASE("A10: no request runs twice in four thousand random lives with clock steps") {
    std::size_t ran = 0;
    for (std::uint32_t seed = 0; seed < 4000; ++seed) {
        CAPTURE(seed);
        ran += live(seed);
    }
    CHECK(ran > 40'000);  // it is no feat to run nothing twice by running nothing
}
