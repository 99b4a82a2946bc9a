#include "policy/journal.h"

#include <algorithm>
#include <functional>

namespace luminous_healing::policy {

std::string Journal::key_of(const CallerName& caller, const RequestId& id) {
    std::string key;
    key.reserve(caller.str().size() + 1 + id.str().size());
    return key.append(caller.str()).append(1, '\0').append(id.str());
}

Journal::Recall Journal::recall(const CallerName& caller, const RequestId& id, const protocol::Mac& mac) const {
    const auto found = entries_.find(key_of(caller, id));
    if (found == entries_.end()) return {};
    const Entry& entry = found->second;
    if (!entry.mac.equals(mac)) return {Known::reused, {}};
    if (!entry.answered) return {Known::running, {}};
    if (!entry.has_response) return {Known::lost, {}};
    return {Known::answered, entry.response};
}

bool Journal::begin(const CallerName& caller, const RequestId& id, const protocol::Mac& mac, WallTime timestamp,
                    BootTime stale_at) {
    if (entries_.size() >= limits_.entries) return false;
    const auto [place, is_new] = entries_.try_emplace(key_of(caller, id));
    if (!is_new) return false;
    Entry& entry = place->second;
    entry.mac = mac;
    entry.timestamp = timestamp;
    entry.stale = stale_.emplace_hint(stale_.end(), stale_at, &*place);  // mostly they come in order
    return true;
}

void Journal::mark_executed(const CallerName& caller, const RequestId& id) {
    const auto found = entries_.find(key_of(caller, id));
    if (found == entries_.end() || found->second.executed) return;
    found->second.executed = true;
    stale_.erase(found->second.stale);
    executed_.push_back(&*found);
}

void Journal::finish(const CallerName& caller, const RequestId& id, std::string_view response, BootTime now) {
    const auto found = entries_.find(key_of(caller, id));
    if (found == entries_.end()) return;
    Entry& entry = found->second;
    drop_response(entry);
    entry.answered = true;
    entry.has_response = true;
    entry.response = response;
    response_bytes_ += response.size();
    entry.answer_due = now + limits_.keep_response;
    answers_.push_back(Due{entry.answer_due, found->first});
}

void Journal::drop_response(Entry& entry) {
    response_bytes_ -= entry.response.size();
    entry.response.clear();
    entry.response.shrink_to_fit();
    entry.has_response = false;
}

void Journal::forget_oldest_executed() {
    Entry& entry = executed_.front()->second;
    forget_until(entry.timestamp);
    drop_response(entry);
    entries_.erase(entries_.find(executed_.front()->first));
    executed_.pop_front();
}

void Journal::drop_old_answers(BootTime now) {
    const auto is_current = [&](const Due& due) {
        const auto found = entries_.find(due.key);  // the id may be in use again, with an answer of its own
        return found != entries_.end() && found->second.has_response && found->second.answer_due == due.at;
    };
    // Ids of refused requests go long before their answers are due: without this the list would outgrow the entries.
    if (answers_.size() > 2 * entries_.size() + 1024) std::erase_if(answers_, std::not_fn(is_current));
    while (!answers_.empty() && (answers_.front().at <= now || response_bytes_ > limits_.response_bytes)) {
        if (is_current(answers_.front())) drop_response(entries_.find(answers_.front().key)->second);
        answers_.pop_front();
    }
}

void Journal::expire(BootTime now) {
    while (!stale_.empty() && stale_.begin()->first <= now) {
        auto& [key, entry] = *stale_.begin()->second;
        drop_response(entry);
        entries_.erase(entries_.find(key));
        stale_.erase(stale_.begin());
    }
    drop_old_answers(now);
    while (executed_.size() > limits_.executed) forget_oldest_executed();
}

void Journal::forget_until(WallTime timestamp) { forgotten_ = std::max(forgotten_, timestamp); }

}  // namespace luminous_healing::policy
