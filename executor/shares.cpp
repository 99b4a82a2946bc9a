#include "executor/shares.h"

#include <algorithm>

namespace luminous_healing::executor {

bool Shares::admits(std::uint64_t uid, bool its_turn) const {
    const auto found = shares_.find(uid);
    if (uid == 0 || found == shares_.end()) return true;
    return found->second.unanswered < protocol::kMaxInFlightPerUid && (its_turn || found->second.waiting.empty());
}

void Shares::take(std::uint64_t uid) {
    if (uid != 0) ++shares_[uid].unanswered;
}

void Shares::give_back(std::uint64_t uid, std::size_t count) {
    const auto found = shares_.find(uid);
    if (found == shares_.end()) return;
    found->second.unanswered -= std::min(found->second.unanswered, count);
    forget_if_unused(uid);
}

void Shares::wait(std::uint64_t uid, ConnectionId id) { shares_[uid].waiting.push_back(id); }

std::optional<ConnectionId> Shares::next(std::uint64_t uid) {
    const auto found = shares_.find(uid);
    if (found == shares_.end() || found->second.waiting.empty() || !admits(uid, true)) return {};
    const ConnectionId first = found->second.waiting.front();
    found->second.waiting.pop_front();
    forget_if_unused(uid);
    return first;
}

void Shares::forget_if_unused(std::uint64_t uid) {
    const auto found = shares_.find(uid);
    if (found->second.unanswered == 0 && found->second.waiting.empty()) shares_.erase(found);
}

}  // namespace luminous_healing::executor
