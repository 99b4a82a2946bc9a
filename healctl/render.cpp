#include "healctl/render.h"

#include "base/text.h"
#include "protocol/limits.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace luminous_healing::healctl {
namespace {

using protocol::Code;
using protocol::Json;
using protocol::Response;
using Kind = protocol::Json::Kind;

constexpr std::size_t kMaxCell = 1000;  // bytes

bool is_plain(const Json& value) { return !value.is(Kind::object) && !value.is(Kind::array); }

std::string shown(const Json& value) {
    switch (value.kind) {
        case Kind::null: return "-";
        case Kind::boolean: return value.boolean ? "yes" : "no";
        default: return printable_line(value.text, kMaxCell);
    }
}

void flatten_into(Rows& rows, const std::string& name, const Json& value) {
    if (is_plain(value)) {
        rows.emplace_back(name, shown(value));
        return;
    }
    if (value.is(Kind::object)) {
        for (const auto& m : value.members)
            flatten_into(rows, (name.empty() ? "" : name + ".") + printable_line(m.name, 100), m.value);
        return;
    }
    if (std::all_of(value.items.begin(), value.items.end(), is_plain)) {
        std::string list;
        for (const auto& item : value.items) list += (list.empty() ? "" : ", ") + shown(item);
        rows.emplace_back(name, list.empty() ? "-" : list);
        return;
    }
    for (std::size_t i = 0; i < value.items.size(); ++i)
        flatten_into(rows, name + "." + std::to_string(i + 1), value.items[i]);
}

bool has_run(Code code) {
    return code == Code::ok || code == Code::action_failed || code == Code::not_healed || code == Code::timeout ||
           code == Code::cancelled;
}

std::string how_it_ended(const Response& r, bool plan) {
    if (plan) return r.code == Code::ok ? "would run" : "would not run";
    if (r.code != Code::ok) return std::string(protocol::name_of(r.code));
    if (!r.verdict || *r.verdict == protocol::Verdict::unverifiable) return "done, nothing to check it by";
    return std::string(protocol::name_of(*r.verdict));
}

std::string details(const Response& r) {
    std::string text = spoken_duration(r.duration_ms);
    if (r.audit_seq) text += ", audit record " + std::to_string(*r.audit_seq);
    if (r.replayed) text += ", answer of its first run";
    return " (" + text + ")";
}

}  // namespace

Rows flatten(const Json& object) {
    Rows rows;
    flatten_into(rows, "", object);
    return rows;
}

Rows flatten_text(std::string_view json) {
    const auto object = protocol::read_json_object(json, protocol::kMaxFrame);
    return object ? flatten(*object) : Rows();
}

std::string aligned(const Rows& rows, const Look& look) {
    std::size_t width = 0;
    for (const auto& row : rows) width = std::max(width, row.first.size());
    std::string text;
    for (const auto& [name, value] : rows)
        text += "  " + look.paint(Tone::dim, name) + std::string(width - name.size() + 2, ' ') + value + "\n";
    return text;
}

std::string spoken_duration(std::int64_t milliseconds) {
    if (milliseconds < 1000) return std::to_string(milliseconds) + " ms";
    if (milliseconds >= 60'000)
        return std::to_string(milliseconds / 60'000) + " min " + std::to_string(milliseconds / 1000 % 60) + " s";
    return std::to_string(milliseconds / 1000) + "." + std::to_string(milliseconds / 100 % 10) + " s";
}

std::string render_answer(const Response& r, std::string_view action, bool plan, const Look& look) {
    if (!plan && !has_run(r.code)) return {};
    const bool went_well = r.code == Code::ok;
    std::string text = look.mark(went_well) + " " + look.paint(Tone::bold, printable_line(action, 64)) + ": " +
                       look.paint(went_well ? Tone::good : Tone::bad, how_it_ended(r, plan)) + details(r) + "\n";
    if (!r.output.empty()) {
        text += printable(r.output, protocol::kMaxOutput);
        if (text.back() != '\n') text += '\n';
        if (r.output_truncated) text += "(the output was longer; this is its beginning)\n";
    }
    return text + aligned(flatten_text(r.result), look);
}

std::string render_problem(const Response& r, const Look& look) {
    if (r.code == Code::ok) return {};
    const std::string code(protocol::name_of(r.code));
    const std::string reason = printable_line(r.error.value_or(""), protocol::kMaxError);
    // To somebody who proved no key the daemon's reason is the code once more.
    std::string text = "healctl: " + look.paint(Tone::bad, code);
    text += reason.empty() || reason == code ? "\n" : ": " + reason + "\n";
    if (r.retry_after_ms) text += "  ask again in " + spoken_duration(*r.retry_after_ms) + "\n";
    const auto advice = advice_for(r.code);
    if (!advice.empty()) text += "  " + std::string(advice) + "\n";
    return text;
}

ExitStatus deliver(const client::Answer& answer, std::string_view action, bool plan, const Globals& globals) {
    if (globals.json) print(with_controls_escaped(answer.raw) + "\n");
    else print(render_answer(answer.response, action, plan, Look::of(1, globals.no_color)));
    (void)end_output();  // main() looks again; here it only has to come before what goes to standard error
    if (!globals.json) note(render_problem(answer.response, Look::of(2, globals.no_color)));
    return exit_status_of(answer.response.code);
}

}  // namespace luminous_healing::healctl
