#include "policy/limiter.h"

#include <algorithm>

namespace luminous_healing::policy {
namespace {

/// The first grant still inside the window; they are in order of time.
auto first_inside(const std::deque<BootTime>& grants, Micros window, BootTime now) {
    return std::find_if(grants.begin(), grants.end(), [&](BootTime t) { return now - t < window; });
}

}  // namespace

std::optional<Micros> Limiter::wait_for(const std::string& bucket, const RateLimit& limit, BootTime now) const {
    if (limit.limit == 0) return limit.window;
    const auto found = granted_.find(bucket);
    if (found == granted_.end()) return {};
    const auto first = first_inside(found->second, limit.window, now);
    const auto inside = static_cast<std::size_t>(found->second.end() - first);
    if (inside < limit.limit) return {};
    // One fits again when the limit-th newest leaves; with a limit lowered by a reload that is not the oldest.
    const BootTime leaves_last = found->second[found->second.size() - limit.limit];
    return limit.window - (now - leaves_last);
}

std::uint32_t Limiter::remaining(const std::string& bucket, const RateLimit& limit, BootTime now) const {
    const auto found = granted_.find(bucket);
    if (found == granted_.end()) return limit.limit;
    const auto inside = found->second.end() - first_inside(found->second, limit.window, now);
    return inside >= limit.limit ? 0 : limit.limit - static_cast<std::uint32_t>(inside);
}

void Limiter::take(const std::string& bucket, const RateLimit& limit, BootTime now) {
    auto& grants = granted_[bucket];
    grants.erase(grants.begin(), first_inside(grants, limit.window, now));
    // After a restart older grants may be read back later than newer ones were granted: keep the order of time.
    grants.insert(std::upper_bound(grants.begin(), grants.end(), now), now);
}

void Limiter::give_back(const std::string& bucket, BootTime when) {
    const auto found = granted_.find(bucket);
    if (found == granted_.end()) return;
    const auto last = std::find(found->second.rbegin(), found->second.rend(), when);
    if (last != found->second.rend()) found->second.erase(std::next(last).base());
}

}  // namespace luminous_healing::policy
