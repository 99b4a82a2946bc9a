// The CPU frequency governor of every cpufreq policy (kernel documentation, admin-guide/pm/cpufreq).

#include "actions/machine_files.h"
#include "actions/rows.h"
#include "base/text.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <vector>

namespace luminous_healing::actions {
namespace {

constexpr std::string_view kFolder = "/sys/devices/system/cpu/cpufreq";

using Governors = std::map<std::string, std::string>;  // "policy0" -> "schedutil"

std::string file_of(std::string_view policy, std::string_view name) {
    return std::string(kFolder) + "/" + std::string(policy) + "/" + std::string(name);
}

std::vector<std::string> policies() {
    std::vector<std::string> names;
    std::error_code error;
    std::filesystem::directory_iterator entry(machine_path(kFolder), error);
    for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
        std::string name = entry->path().filename();
        if (name.starts_with("policy")) names.push_back(std::move(name));
    }
    std::sort(names.begin(), names.end());
    return names;
}

/// The governor of each policy in use. A policy whose CPUs are all offline answers EBUSY and has none.
Result<Governors> current_governors() {
    Governors governors;
    for (const auto& policy : policies()) {
        auto governor = read_machine_file(file_of(policy, "scaling_governor"));
        if (!governor && governor.error().system_error == EBUSY) continue;
        if (!governor) return failed(governor.error().message);
        governors.emplace(policy, std::move(*governor));
    }
    if (governors.empty()) return failed(protocol::Code::unavailable, "no CPU here has frequency control");
    return governors;
}

std::vector<std::string> words_of(std::string_view text) {
    std::vector<std::string> words;
    while (!(text = trim(text)).empty()) {
        const auto end = std::min(text.find_first_of(" \n\t"), text.size());
        words.emplace_back(text.substr(0, end));
        text.remove_prefix(end);
    }
    return words;
}

/// "schedutil" when all are alike, else "policy0=schedutil policy1=powersave": what undo() reads back.
std::string noted(const Governors& governors) {
    const auto& first = governors.begin()->second;
    if (std::all_of(governors.begin(), governors.end(), [&](const auto& each) { return each.second == first; }))
        return first;
    std::string text;
    for (const auto& [policy, governor] : governors)
        text.append(text.empty() ? "" : " ").append(policy).append("=").append(governor);
    return text;
}

Result<Governors> governors_noted(std::string_view text) {
    Governors governors;
    for (const auto& word : words_of(text)) {
        const auto equals = word.find('=');
        if (equals != std::string::npos) governors[word.substr(0, equals)] = word.substr(equals + 1);
    }
    if (!governors.empty() || text.empty()) return governors;
    auto now_there = current_governors();
    if (!now_there) return now_there;
    for (auto& [policy, governor] : *now_there) governor = text;
    return now_there;
}

std::optional<std::string> missing(const Machine& /*machine*/) {
    const auto found = policies();
    if (found.empty()) return "no CPU here has frequency control: " + std::string(kFolder) + " has no policy";
    return never_writable(file_of(found.front(), "scaling_governor"));
}

Result<void> check(Context& context) {
    const std::string wanted = context.arguments.text("governor");
    const auto governors = current_governors();
    if (!governors) return tl::unexpected(governors.error());
    for (const auto& [policy, governor] : *governors) {
        const auto offered = read_machine_file(file_of(policy, "scaling_available_governors"));
        if (!offered) return failed(offered.error().message);
        const auto words = words_of(*offered);
        if (std::find(words.begin(), words.end(), wanted) == words.end())
            return failed(protocol::Code::parameters_invalid, "Invalid governor: " + printable_line(wanted, 40) + "; " +
                                                                  policy + " offers " + printable_line(*offered, 200));
    }
    context.facts.set("old_governor", noted(*governors));
    context.facts.set("policies", static_cast<std::int64_t>(governors->size()));
    return {};
}

Result<std::string> run(Context& context) {
    const std::string wanted = context.arguments.text("governor");
    const auto governors = current_governors();
    if (!governors) return tl::unexpected(governors.error());
    for (const auto& [policy, governor] : *governors) {
        // After a failure here undo() puts back those already changed.
        const auto written = write_machine_file(file_of(policy, "scaling_governor"), wanted);
        if (!written) return failed(written.error().message);
    }
    return "CPU governor set to " + wanted;
}

Verification verify(Context& context) {
    const std::string wanted = context.arguments.text("governor");
    const auto governors = current_governors();
    if (!governors) return {protocol::Verdict::unchanged, governors.error().message};
    context.facts.set("governor", noted(*governors));
    for (const auto& [policy, governor] : *governors) {
        if (governor != wanted)
            return {protocol::Verdict::unchanged, policy + " reads " + printable_line(governor, 40)};
    }
    return {protocol::Verdict::healed, "every policy reads " + wanted};
}

/// Tries each policy even when one fails, and names the first that did.
Result<void> undo(Context& context) {
    const auto before = governors_noted(context.facts.text("old_governor"));
    if (!before) return tl::unexpected(before.error());
    Result<void> outcome;
    for (const auto& [policy, governor] : *before) {
        const auto written = write_machine_file(file_of(policy, "scaling_governor"), governor);
        if (!written && outcome) outcome = failed(written.error().message);
    }
    return outcome;
}

}  // namespace

Action set_cpu_governor() {
    Action row;
    row.name = "set_cpu_governor";
    row.summary = "sets how the kernel chooses the CPU frequency";
    row.parameters = {{.name = "governor",
                       .required = false,
                       .description = "one that the kernel offers: performance, powersave, schedutil, ...",
                       .default_value = "ondemand",  // the prototype's
                       .max_length = 15}};           // CPUFREQ_NAME_LEN
    // The folder and not each policy's file: policies come and go as CPUs are plugged in.
    row.privilege = {.user = RunAs::root, .writes = {std::string(kFolder)}};
    row.timeout = 5s;
    row.target_group = "cpu_governor";
    row.verifies = "the governor read back from every policy in " + std::string(kFolder);
    row.missing = missing;
    row.check = check;
    row.run = run;
    row.verify = verify;
    row.undo = undo;
    return row;
}

}  // namespace luminous_healing::actions
