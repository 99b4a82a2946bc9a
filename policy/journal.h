#pragma once
// Remembered request ids: what makes a request run at most once, and lets a client that lost its connection ask again
// with the same bytes. Pure: time is an argument. Bounded: when it is full, new requests are refused, nothing that
// still matters is forgotten.

#include "base/clock.h"
#include "base/strong.h"
#include "protocol/mac.h"

#include <cstddef>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace luminous_healing::policy {

class Journal {
public:
    struct Limits {
        std::size_t entries = 131'072;           ///< ids in all
        std::size_t executed = 16'384;           ///< of those, ids of requests that ran
        std::size_t response_bytes = 8U << 20U;  ///< recorded answers in all
        Micros keep_response = 10min;            ///< after the answer, while there is room
    };
    enum class Known {
        no,        ///< never seen
        running,   ///< the same bytes, not answered yet
        answered,  ///< the same bytes, answer recorded
        lost,      ///< the same bytes, but the answer is no longer kept
        reused,    ///< the same id with other bytes
    };
    struct Recall {
        Known known = Known::no;
        std::string response;  ///< the recorded `response` value, when answered
    };

    Journal() : Journal(Limits{}) {}
    explicit Journal(Limits limits) : limits_(limits) {}
    Journal(const Journal&) = delete;  // its lists point at its entries, which stay where they are when it moves
    Journal& operator=(const Journal&) = delete;
    Journal(Journal&&) = default;
    Journal& operator=(Journal&&) = default;
    ~Journal() = default;

    [[nodiscard]] Recall recall(const CallerName& caller, const RequestId& id, const protocol::Mac& mac) const;

    /// Could this timestamp belong to an executed request whose id has been forgotten? Then it must be refused.
    [[nodiscard]] bool is_forgotten(WallTime timestamp) const { return timestamp <= forgotten_; }
    /// The latest timestamp for which that is so.
    [[nodiscard]] WallTime forgotten_until() const { return forgotten_; }

    /// Remembers a new request, unanswered. False when full. Its id is kept at least until `stale_at`, when its
    /// timestamp would be refused anyway.
    [[nodiscard]] bool begin(const CallerName& caller, const RequestId& id, const protocol::Mac& mac,
                             WallTime timestamp, BootTime stale_at);

    /// The request was granted: its id is kept long after its timestamp is stale, so that a clock set back does not
    /// make it new again.
    void mark_executed(const CallerName& caller, const RequestId& id);

    /// Records the answer.
    void finish(const CallerName& caller, const RequestId& id, std::string_view response, BootTime now);

    /// Forgets what may be forgotten at `now`.
    void expire(BootTime now);

    /// Refuses every timestamp up to here: used after a restart for what was not read back.
    void forget_until(WallTime timestamp);

    [[nodiscard]] const Limits& limits() const noexcept { return limits_; }
    [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }

private:
    struct Entry;
    using Entries = std::unordered_map<std::string, Entry>;
    using Stale = std::multimap<BootTime, Entries::value_type*>;
    /// Is in stale_ until its request is executed, and in executed_ from then on.
    struct Entry {
        protocol::Mac mac;
        WallTime timestamp;
        Stale::iterator stale;
        BootTime answer_due;  // when the answer may be dropped
        bool executed = false;
        bool answered = false;
        bool has_response = false;
        std::string response;
    };
    struct Due {
        BootTime at;
        std::string key;
    };
    [[nodiscard]] static std::string key_of(const CallerName& caller, const RequestId& id);
    void drop_response(Entry& entry);
    void forget_oldest_executed();
    void drop_old_answers(BootTime now);

    Limits limits_;
    Entries entries_;
    // Not executed: to forget then. Callers choose their timestamps, so they come in no order.
    Stale stale_;
    std::deque<Due> answers_;                    // recorded answers, oldest first; some of ids forgotten meanwhile
    std::deque<Entries::value_type*> executed_;  // oldest first
    std::size_t response_bytes_ = 0;
    WallTime forgotten_{Micros::min()};
};

}  // namespace luminous_healing::policy
