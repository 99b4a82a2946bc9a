#include "actions/action.h"

#include "protocol/json_writer.h"

namespace luminous_healing::actions {

using protocol::Code;
using protocol::Verdict;

void Facts::set(std::string_view name, FactValue value) {
    for (auto& [key, old] : facts_) {
        if (key != name) continue;
        old = std::move(value);
        return;
    }
    facts_.emplace_back(name, std::move(value));
}

const FactValue* Facts::find(std::string_view name) const {
    for (const auto& [key, value] : facts_) {
        if (key == name) return &value;
    }
    return nullptr;
}

std::string Facts::text(std::string_view name) const {
    const auto* const value = find(name);
    const auto* const text = value != nullptr ? std::get_if<std::string>(value) : nullptr;
    return text != nullptr ? *text : std::string();
}

std::int64_t Facts::integer(std::string_view name) const {
    const auto* const value = find(name);
    const auto* const number = value != nullptr ? std::get_if<std::int64_t>(value) : nullptr;
    return number != nullptr ? *number : 0;
}

std::string Facts::to_json() const {
    protocol::JsonWriter writer;
    writer.begin_object();
    for (const auto& [key, value] : facts_) {
        writer.key_text(key);
        if (const auto* const text = std::get_if<std::string>(&value)) writer.string(*text);
        else if (const auto* const number = std::get_if<std::int64_t>(&value)) writer.integer(*number);
        else writer.boolean(std::get<bool>(value));
    }
    writer.end_object();
    return writer.take();
}

tl::unexpected<Failure> failed(std::string message) { return failed(Code::action_failed, std::move(message)); }

tl::unexpected<Failure> failed(Code code, std::string message) {
    return tl::unexpected<Failure>(Failure{code, std::move(message)});
}

namespace {

void put_back(const Action& action, Context& context, Report& report) {
    if (action.undo == nullptr) return;
    context.progress("putting back what was there before");
    const auto undone = action.undo(context);
    context.facts.set("undone", undone.has_value());
    if (!undone) report.error = report.error.value_or("") + "; and putting it back failed: " + undone.error().message;
}

Report ended(Code code, std::optional<std::string> error, std::optional<Verdict> verdict) {
    Report report;
    report.code = code;
    report.error = std::move(error);
    report.verdict = verdict;
    return report;
}

Report run_and_verify(const Action& action, Context& context) {
    auto output = action.run(context);
    if (!output) {
        Report report = ended(output.error().code, output.error().message, Verdict::unchanged);
        put_back(action, context, report);
        return report;
    }
    context.progress("verifying");
    const Verification found =
        action.verify != nullptr ? action.verify(context) : Verification{Verdict::unverifiable, "nothing to look at"};
    if (found.verdict == Verdict::healed || found.verdict == Verdict::unverifiable) {
        Report report = ended(Code::ok, {}, found.verdict);
        report.output = std::move(*output);
        return report;
    }
    Report report = ended(Code::not_healed, found.detail, found.verdict);
    report.output = std::move(*output);
    put_back(action, context, report);
    return report;
}

}  // namespace

Report carry_out(const Action& action, Context& context, bool only_check) {
    const auto checked = action.check != nullptr ? action.check(context) : Result<void>{};
    Report report = !checked     ? ended(checked.error().code, checked.error().message, std::nullopt)
                    : only_check ? ended(Code::ok, {}, std::nullopt)
                                 : run_and_verify(action, context);
    report.facts = std::move(context.facts);
    return report;
}

}  // namespace luminous_healing::actions
