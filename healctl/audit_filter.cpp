#include "healctl/audit_filter.h"

#include "base/text.h"
#include "base/units.h"
#include "protocol/mac.h"

#include <string_view>

namespace luminous_healing::healctl {
namespace {

std::string quoted(const std::string& text) { return "\"" + printable_line(text, 80) + "\""; }

/// The names of an enumeration from its first value to `last`.
template <class Enum, class Namer>
std::string list_of(Enum last, Namer name) {
    std::string list;
    for (int i = 0; i <= static_cast<int>(last); ++i)
        list += (list.empty() ? "" : ", ") + std::string(name(static_cast<Enum>(i)));
    return list;
}

}  // namespace

Expected<WallTime> read_moment(const std::string& text, WallTime now) {
    if (const auto ago = parse_duration(text)) return WallTime{now.since_epoch - *ago};
    if (const auto time = parse_rfc3339(text)) return *time;
    return fail(quoted(text) + " is no moment: write 1h, 2d or 2026-11-21T10:00:00Z");
}

Expected<audit::Filter> read_filter(const FilterWords& words, WallTime now) {
    audit::Filter filter;
    filter.action = words.action;
    filter.caller = words.caller;
    filter.request_id = words.id;
    if (words.denied && words.allowed) return fail("--denied and --allowed together match nothing: give one");
    if (words.denied || words.allowed) filter.allowed = words.allowed;
    if (words.event) filter.event = audit::event_from_name(*words.event);
    if (words.event && !filter.event)
        return fail("--event " + quoted(*words.event) + " is unknown; there are " +
                    list_of(audit::EventType::key_epoch, [](audit::EventType e) { return audit::name_of(e); }));
    if (words.code) filter.code = protocol::code_from_name(*words.code);
    if (words.code && !filter.code)
        return fail("--code " + quoted(*words.code) + " is unknown; there are " +
                    list_of(protocol::Code::interrupted, [](protocol::Code c) { return protocol::name_of(c); }));
    if (words.verdict) filter.verdict = protocol::verdict_from_name(*words.verdict);
    if (words.verdict && !filter.verdict)
        return fail("--verdict " + quoted(*words.verdict) + " is unknown; there are " +
                    list_of(protocol::Verdict::unverifiable, [](protocol::Verdict v) { return protocol::name_of(v); }));
    if (words.since) {
        const auto since = read_moment(*words.since, now);
        if (!since) return tl::unexpected(since.error());
        filter.since = *since;
    }
    if (words.until) {
        const auto until = read_moment(*words.until, now);
        if (!until) return tl::unexpected(until.error());
        filter.until = *until;
    }
    return filter;
}

Expected<audit::Head> read_head(const std::string& text) {
    const auto colon = text.find(':');
    const auto seq = parse_integer<std::int64_t>(std::string_view(text).substr(0, colon));
    if (colon == std::string::npos || !seq || *seq < 0 || !protocol::Mac::from_hex(text.substr(colon + 1)))
        return fail("--head " + quoted(text) +
                    " is not SEQ:CHAIN: the number and the 64 hexadecimal digits of a record");
    return audit::Head{.seq = *seq, .chain = text.substr(colon + 1), .epoch = 0};
}

}  // namespace luminous_healing::healctl
