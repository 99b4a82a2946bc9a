#include "executor/config_sections.h"

#include <algorithm>

namespace luminous_healing::executor {
namespace {

using Kind = ConfigNode::Kind;

constexpr std::int64_t kHighestUid = 4'294'967'294;  // 2^32 - 1 is (uid_t)-1, which means "none", chown(2)

void add_key(Table& table, const Entry& key, policy::CallerPolicy& caller, Reading& reading) {
    const auto problem = [&](const std::string& what) {
        reading.findings.problem(key.line, table.name() + ".key: " + what);
    };
    if (!is_valid_config_name(key.text)) {
        problem("is " + quoted(key.text) +
                ". Write the name of a file in the key directory, not a path and not the key " +
                "itself: 1 to 64 of A-Z a-z 0-9 . _ -");
        return;
    }
    const auto [owner, is_new] = reading.key_owners.emplace(key.text, caller.name.str());
    if (!is_new && owner->second == caller.name.str())
        problem("has " + quoted(key.text) + " twice. Remove one of them");
    else if (!is_new)
        problem("is shared with caller " + quoted(owner->second) +
                ". Give each caller a key of its own: healctl keygen makes one");
    // What daemon.key_directory says travels with the name, for read_keys().
    caller.keys.push_back(reading.key_directory ? *reading.key_directory + "/" + key.text : key.text);
}

void read_caller_keys(Table& table, policy::CallerPolicy& caller, Reading& reading) {
    if (!table.has("key")) {
        (void)table.any("key");
        table.problem("key", "is missing. Write key = \"NAME\", the name of a file in the key directory");
        return;
    }
    if (table.any("key")->is(Kind::string)) {
        if (auto key = table.text("key")) add_key(table, {std::move(*key), table.line("key")}, caller, reading);
        return;
    }
    const auto keys = table.texts("key", Table::WhenEmpty::refuse);
    if (!keys) return;
    if (keys->size() > 2)
        table.problem("key", "lists " + std::to_string(keys->size()) +
                                 " keys. Write at most two, the new and the old one, while rotating");
    for (const auto& key : *keys) add_key(table, key, caller, reading);
}

std::optional<uid_t> read_user(const ConfigNode& item, const std::string& where, Reading& reading) {
    if (item.is(Kind::string)) return require_user(item.text, item.line, where, reading.findings);
    if (item.is(Kind::integer) && item.integer >= 0 && item.integer <= kHighestUid)
        return static_cast<uid_t>(item.integer);
    reading.findings.problem(
        item.line, where + ": has an entry that is " +
                       (item.is(Kind::integer) ? std::to_string(item.integer) : std::string(kind_name(item.kind))) +
                       ". Write a user name in quotes or a uid from 0 to " + std::to_string(kHighestUid));
    return {};
}

void read_users(Table& table, policy::CallerPolicy& caller, Reading& reading) {
    const std::string where = table.name() + ".users";
    if (!table.has("users"))
        table.problem("users", "is missing. Write users = [\"NAME\"], the users whose processes may use the key");
    const auto* const items = table.list("users", "the users whose processes may use the key");
    if (items == nullptr) return;
    for (const auto& item : *items) {
        const auto uid = read_user(item, where, reading);
        if (!uid) continue;
        if (std::find(caller.users.begin(), caller.users.end(), *uid) != caller.users.end())
            reading.findings.problem(item.line,
                                     where + ": has uid " + std::to_string(*uid) + " twice. Remove one of them");
        caller.users.push_back(*uid);
    }
}

void read_caller_actions(Table& table, policy::CallerPolicy& caller, const std::vector<std::string>& actions,
                         Reading& reading) {
    if (!table.has("actions"))
        table.problem("actions", "is missing. Write actions = [\"NAME\"], what this caller may do");
    const auto entries = table.distinct_texts("actions", Table::WhenEmpty::refuse);
    if (!entries) return;
    // A caller that may only look says so: an empty list could as well be a mistake.
    if (entries->size() == 1 && entries->front().text == "status") return;
    for (const auto& entry : *entries) {
        caller.actions.emplace_back(entry.text);
        reading.used_actions.insert(entry.text);
        if (std::find(actions.begin(), actions.end(), entry.text) != actions.end()) continue;
        reading.findings.problem(
            entry.line,
            table.name() + ".actions: " +
                (entry.text == "status"
                     ? std::string("status is open to every caller with a key. Remove it here, or write it alone")
                     : quoted(entry.text) + " is not enabled" + did_you_mean(entry.text, actions) + ". Add [actions." +
                           entry.text + "], or remove it here"));
    }
}

void read_caller(const std::string& name, const ConfigNode& node, const std::vector<std::string>& actions,
                 Reading& reading) {
    Table table(node, "callers." + name, reading.findings);
    if (!node.is(Kind::table)) return;
    policy::CallerPolicy caller;
    caller.name = CallerName(name);
    caller.where = reading.findings.where(node.line);
    if (!is_valid_config_name(name))
        reading.findings.problem(node.line, "a caller is named " + quoted(name) +
                                                ". Write 1 to 64 of A-Z a-z 0-9 . _ -, a letter or digit first");
    read_caller_keys(table, caller, reading);
    read_users(table, caller, reading);
    read_caller_actions(table, caller, actions, reading);
    caller.rate_limit = table.rate_limit("rate_limit", reading.config.rate_limit);
    table.finish();
    reading.config.callers.emplace(caller.name, std::move(caller));
}

}  // namespace

void read_callers(const ConfigNode& node, const std::vector<std::string>& actions, Reading& reading) {
    const Table table(node, "callers", reading.findings);
    if (node.is(Kind::table) && node.members.empty())
        reading.findings.problem(node.line, "[callers] is empty. Write a [callers.NAME] for each caller");
    for (const auto& [name, caller] : node.members) read_caller(name, caller, actions, reading);
}

}  // namespace luminous_healing::executor
