// How readily the kernel swaps instead of dropping caches: /proc/sys/vm/swappiness (proc_sys_vm(5)).

#include "actions/machine_files.h"
#include "actions/rows.h"
#include "base/text.h"

namespace luminous_healing::actions {
namespace {

constexpr std::string_view kFile = "/proc/sys/vm/swappiness";

Result<std::int64_t> current_value() {
    const auto text = read_machine_file(kFile);
    if (!text) return failed(text.error().message);
    const auto value = parse_integer<std::int64_t>(*text);
    if (!value) return failed(std::string(kFile) + " holds no number: \"" + printable_line(*text, 40) + "\"");
    return *value;
}

std::optional<std::string> missing(const Machine& /*machine*/) { return never_writable(kFile); }

Result<void> check(Context& context) {
    const auto old_value = current_value();
    if (!old_value) return tl::unexpected(old_value.error());
    context.facts.set("old_value", *old_value);
    context.facts.set("changes", *old_value != context.arguments.integer("value"));
    return {};
}

Result<std::string> run(Context& context) {
    const std::string value = context.arguments.shown("value");
    // Linux before 5.8 knows nothing above 100 and says EINVAL.
    if (const auto written = write_machine_file(kFile, value); !written) return failed(written.error().message);
    return "Swappiness set to " + value;
}

Verification verify(Context& context) {
    const auto found = current_value();
    if (!found) return {protocol::Verdict::unchanged, found.error().message};
    context.facts.set("value", *found);
    const std::string detail = "swappiness reads " + std::to_string(*found);
    if (*found == context.arguments.integer("value")) return {protocol::Verdict::healed, detail};
    return {protocol::Verdict::unchanged, detail + " and not " + context.arguments.shown("value")};
}

Result<void> undo(Context& context) {
    const auto written = write_machine_file(kFile, std::to_string(context.facts.integer("old_value")));
    if (!written) return failed(written.error().message);
    return {};
}

}  // namespace

Action adjust_swappiness() {
    Action row;
    row.name = "adjust_swappiness";
    row.summary = "sets how readily the kernel swaps";
    row.parameters = {{.name = "value",
                       .type = policy::ParameterType::integer,
                       .required = false,
                       .description = "0 (swap only when nothing else helps) to 200 (swap first)",
                       .default_value = "60",  // the prototype's, and the kernel's
                       .minimum = 0,
                       .maximum = 200}};
    row.privilege = {.user = RunAs::root, .writes = {std::string(kFile)}};
    row.timeout = 5s;
    row.target_group = "swappiness";
    row.verifies = "the value read back from " + std::string(kFile);
    row.missing = missing;
    row.check = check;
    row.run = run;
    row.verify = verify;
    row.undo = undo;
    return row;
}

}  // namespace luminous_healing::actions
