#include "executor/recovery.h"

#include "audit/reader.h"
#include "executor/recollection.h"

#include <algorithm>

namespace luminous_healing::executor {
namespace {

constexpr std::uint64_t kMostDamaged = 10'000;  // lines; what lies before them is not looked at, and counts as lost

}  // namespace

Expected<Recovered> recover_state(const policy::Config& config, const std::string& boot_id, policy::Limiter& limiter,
                                  policy::Journal& journal, Recorder& recorder) {
    Recovered recovered;
    Recollection recollection(config, boot_id, now(), limiter, journal.limits());
    auto read = audit::read_back(
        config.audit.path, [&](const audit::StoredRecord& stored) { return recollection.visit(stored); },
        [&](const std::string& why) {
            if (recovered.damaged++ == 0) recovered.damage = why;
            return recovered.damaged < kMostDamaged;
        },
        [&](const audit::Glance& glance) { return recollection.pass(glance); });
    if (!read) return tl::unexpected(read.error());
    recollection.fill(journal);
    auto open = recollection.open_intents();
    std::reverse(open.begin(), open.end());
    for (auto& stored : open) {
        if (recollection.may_have_gone_on(stored)) {
            recovered.gone_on.push_back(std::move(stored));
            continue;
        }
        ++recovered.interrupted;
        audit::Record record = stored.record;
        record.event = audit::EventType::interrupted;
        record.allowed.reset();
        record.success = false;
        record.code = protocol::Code::interrupted;
        record.error = "the daemon ended while this ran; it is not run again";
        recorder.record(record, Urgency::before_effects);
    }
    recorder.flush();
    return recovered;
}

}  // namespace luminous_healing::executor
