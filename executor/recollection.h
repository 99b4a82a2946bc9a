#pragma once
// What the records of the log mean for limiter and journal, read from the newest backwards. No I/O; time is an
// argument. recovery.h feeds it from the files.
//
// Times of earlier boots are brought onto this boot's clock record by record: inside a boot by CLOCK_BOOTTIME, which
// counts suspend and never steps; between two boots by the wall clock, and where that went back as no time at all. So a
// clock that was set, in either direction, cannot make a window shorter than it is, unless it was set forward while no
// daemon was there to record it.

#include "audit/glance.h"
#include "audit/reader.h"
#include "audit/record.h"
#include "base/clock.h"
#include "policy/config.h"
#include "policy/journal.h"
#include "policy/limiter.h"
#include "protocol/response.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace luminous_healing::executor {

class Recollection {
public:
    /// Records that are looked at in any case, even when they are older than every window: an executed request whose
    /// timestamp lies in the future, because the clock was set back since, must not be new again.
    static constexpr std::uint64_t kAlways = 10'000;

    /// The journal's limits bound what is kept. `config` and `limiter` must outlive this.
    Recollection(const policy::Config& config, std::string boot_id, Instant now, policy::Limiter& limiter,
                 policy::Journal::Limits limits);

    /// Called from the newest record backwards; false when the rest cannot matter any more.
    [[nodiscard]] bool visit(const audit::StoredRecord& stored);

    /// In the place of visit(), for a record that is seen at a glance: `read` when it must be visited after all.
    [[nodiscard]] audit::Passing pass(const audit::Glance& glance);

    /// After the last visit: fills the journal.
    void fill(policy::Journal& journal);

    /// Intents without an outcome, newest first.
    [[nodiscard]] const std::vector<audit::StoredRecord>& open_intents() const { return open_; }
    /// May the work of this open intent have gone on without us (adoption.h)?
    [[nodiscard]] bool may_have_gone_on(const audit::StoredRecord& intent) const;

private:
    struct Remembered {
        CallerName caller;
        RequestId id;
        protocol::Mac mac;
        WallTime timestamp;  // its own may be up to the clock skew later or earlier
        BootTime at;
        bool executed = false;
        bool answered = false;
        std::string response;  // empty: no longer kept
    };
    /// When a record was written.
    struct Written {
        WallTime timestamp;
        BootTime boottime;
        std::string_view boot_id;
        std::int64_t seq = 0;
    };
    /// Whose request it was.
    struct Whose {
        std::string_view caller;
        std::string_view id;
        std::string_view mac;
        [[nodiscard]] std::string key() const;
    };
    [[nodiscard]] static Whose whose_is(const audit::Record& record);
    [[nodiscard]] BootTime place(const Written& written) const;
    [[nodiscard]] bool go_back_to(const Written& written);
    void note_intent(const audit::StoredRecord& stored);
    void note_budgets(std::string_view action, std::string_view caller);
    void visit_denial(const audit::StoredRecord& stored);
    void note_denial(const Whose& whose, WallTime timestamp, const protocol::Response& response);
    void remember(const Whose& whose, WallTime timestamp, bool executed, const protocol::Response* response);
    void forget_until(WallTime timestamp);

    const policy::Config& config_;
    std::string boot_id_;
    Instant now_;
    policy::Limiter& limiter_;
    policy::Journal::Limits limits_;
    Micros horizon_;

    std::optional<BootTime> newest_at_;  // of the newest record, on this boot's clock
    BootTime at_;                        // of the record at hand
    std::string previous_boot_;          // of the record before, which is the one after in time
    Instant previous_;
    std::int64_t previous_seq_ = 0;
    bool read_to_the_start_ = true;

    std::unordered_map<std::string, protocol::Response> ended_;  // outcomes met whose intents are still to come
    std::vector<audit::StoredRecord> open_;
    std::vector<Remembered> remembered_;     // newest first
    std::unordered_set<std::string> known_;  // keys of remembered_
    std::size_t executed_ = 0;
    std::size_t response_bytes_ = 0;
    std::optional<WallTime> forgotten_;
    std::uint64_t visited_ = 0;
};

}  // namespace luminous_healing::executor
