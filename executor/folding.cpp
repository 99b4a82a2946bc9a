#include "executor/folding.h"

namespace luminous_healing::executor {

bool Folding::admit(protocol::Code code, uid_t uid, const std::string& caller, BootTime now) {
    Key key{code, uid, caller};
    if (windows_.size() >= kMaxKinds && !windows_.contains(key)) key = {code, static_cast<uid_t>(-1), ""};
    auto [entry, fresh] = windows_.try_emplace(std::move(key));
    Window& window = entry->second;
    if (fresh) window.since = now;
    if (now - window.since >= kWindow && window.suppressed == 0) window = {now, 0, 0};
    if (window.recorded < kRecorded) {
        ++window.recorded;
        return true;
    }
    ++window.suppressed;
    return false;
}

std::vector<Folding::Suppressed> Folding::collect(BootTime now, bool all) {
    std::vector<Suppressed> counts;
    for (auto entry = windows_.begin(); entry != windows_.end();) {
        const Window& window = entry->second;
        if (!all && now - window.since < kWindow) {
            ++entry;
            continue;
        }
        if (window.suppressed > 0)
            counts.push_back({entry->first.code, entry->first.uid, entry->first.caller, window.suppressed});
        entry = windows_.erase(entry);
    }
    return counts;
}

}  // namespace luminous_healing::executor
