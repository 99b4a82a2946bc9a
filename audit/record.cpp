#include "audit/record.h"

#include "audit/chain.h"
#include "base/text.h"
#include "protocol/json_reader.h"
#include "protocol/json_writer.h"
#include "protocol/limits.h"
#include "protocol/mac.h"

#include <array>

namespace luminous_healing::audit {
namespace {

using protocol::Json;
using protocol::JsonName;
using protocol::JsonWriter;

constexpr std::array<std::string_view, 13> kEventNames{"decision",  "outcome",   "interrupted", "aborted", "suppressed",
                                                       "start",     "stop",      "reload",      "reopen",  "rotate",
                                                       "recovered", "gate_lost", "key_epoch"};

// Bytes kept of each string before escaping. Escaping makes at most three of one (a two-byte character becomes
// \uXXXX), so that all of these together stay far below kMaxLine and only the JSON members can be too long.
constexpr std::size_t kMaxName = 128;  // ids, actions, callers, digests
constexpr std::size_t kMaxUnit = 256;
constexpr std::size_t kMaxPath = 512;

constexpr std::size_t kUsualBytes = 960;  // of a record without its JSON members: nearly all have fewer

/// The members that are JSON already, as they will be written.
struct Blobs {
    std::string parameters;
    std::string result;
    std::string detail;
};

std::string digest_instead(std::string_view json) {
    const auto digest = protocol::sha256(json);
    JsonWriter writer;
    writer.begin_object().member_bool("truncated", true).member("bytes", static_cast<std::int64_t>(json.size()));
    writer.member("sha256", to_hex({digest.data(), digest.size()})).end_object();
    return writer.take();
}

/// The same object if read_record() will be able to read it where it stands, else its digest: one line that cannot be
/// read back would keep the daemon from starting.
std::string checked(std::string_view json) {
    if (json.empty() || json == "{}") return std::string(json);
    if (!is_printable_line(json) || json.size() > kMaxLine) return digest_instead(json);
    std::string nested = "{\"x\":";
    nested.append(json).append("}");
    const auto read = protocol::read_json_object(nested, nested.size());
    const bool readable = read && read->members.size() == 1 && read->members[0].value.is(Json::Kind::object) &&
                          read->members[0].value.raw.size() == json.size();
    return readable ? std::string(json) : digest_instead(json);
}

/// As printable_line() gives it, without a copy where that changes nothing.
void write_line(JsonWriter& writer, JsonName key, std::string_view text, std::size_t most) {
    if (text.size() <= most && is_printable_line(text)) writer.member(key, text);
    else writer.member(key, printable_line(text, most));
}

void write_line_or_null(JsonWriter& writer, JsonName key, const std::optional<std::string>& text, std::size_t most) {
    if (text) write_line(writer, key, std::string_view(*text), most);
    else writer.key(key).null();
}

void write_peer(JsonWriter& writer, const PeerFields& peer) {
    writer.key("peer").begin_object().member("uid", peer.uid).member("gid", peer.gid).member("pid", peer.pid);
    write_line(writer, "exe", peer.exe, kMaxPath);
    write_line(writer, "unit", peer.unit, kMaxUnit);
    writer.end_object();
}

void write_optional_members(JsonWriter& writer, const Record& r, const Blobs& blobs) {
    if (r.allowed) writer.member("decision", *r.allowed ? "allow" : "deny");
    if (r.code) writer.member("code", protocol::name_of(*r.code));
    if (!r.rule.empty()) write_line(writer, "rule", r.rule, kMaxPath);
    if (r.caller) write_line(writer, "caller", *r.caller, kMaxName);
    if (r.peer) write_peer(writer, *r.peer);
    if (r.mode) write_line(writer, "mode", *r.mode, kMaxName);
    if (r.verdict) writer.member("verdict", protocol::name_of(*r.verdict));
    if (!blobs.result.empty()) writer.key("result").raw(blobs.result);
    if (r.reason) write_line(writer, "reason", *r.reason, protocol::kMaxReason);
    if (r.output) writer.member("output", printable(*r.output, protocol::kMaxOutput));
    if (r.count) writer.member("count", *r.count);
    if (!blobs.detail.empty()) writer.key("detail").raw(blobs.detail);
    if (!r.request_mac.empty()) write_line(writer, "request_mac", r.request_mac, kMaxName);
}

std::string write_members(const Record& r, const Stamp& stamp, const Blobs& blobs) {
    JsonWriter writer(kUsualBytes + blobs.parameters.size() + blobs.result.size() + blobs.detail.size());
    writer.begin_object().member("timestamp", format_rfc3339(stamp.now.wall)).member("seq", stamp.seq);
    writer.member("event", name_of(r.event));
    write_line_or_null(writer, "request_id", r.request_id, kMaxName);
    write_line_or_null(writer, "action", r.action, kMaxName);
    writer.key("parameters");
    if (blobs.parameters.empty()) writer.null();
    else writer.raw(blobs.parameters);
    writer.key("success");
    if (r.success) writer.boolean(*r.success);
    else writer.null();
    writer.member_or_null("duration_ms", r.duration_ms);
    write_line_or_null(writer, "error", r.error, protocol::kMaxError);
    write_optional_members(writer, r, blobs);
    write_line(writer, "boot_id", stamp.boot_id, kMaxName);
    writer.member("boottime_us", static_cast<std::int64_t>(stamp.now.boot.since_boot.count()));
    write_line(writer, "host", stamp.host, kMaxUnit);
    write_line(writer, "config", stamp.config, kMaxName);
    writer.end_object();
    return writer.take();
}

std::string& longest(Blobs& blobs) {
    std::string& first = blobs.parameters.size() >= blobs.result.size() ? blobs.parameters : blobs.result;
    return first.size() >= blobs.detail.size() ? first : blobs.detail;
}

// ---- reading ----

/// Takes members out of a read object and remembers the first one of a wrong type.
class Members {
public:
    explicit Members(const Json& object) : object_(object) {}

    std::string text(std::string_view name, bool required) {
        const Json* const found = take(name, Json::Kind::string, required, false);
        return found != nullptr ? found->text : std::string();
    }
    std::optional<std::string> optional_text(std::string_view name, bool required = false) {
        const Json* const found = take(name, Json::Kind::string, required, required);
        return found != nullptr ? std::optional(found->text) : std::nullopt;
    }
    std::optional<std::int64_t> integer(std::string_view name, bool required, bool may_be_null = false) {
        const Json* const found = take(name, Json::Kind::number, required, may_be_null);
        if (found == nullptr) return {};
        const auto value = parse_integer<std::int64_t>(found->text);
        if (!value) complain(name);
        return value;
    }
    std::optional<bool> boolean(std::string_view name) {
        const Json* const found = take(name, Json::Kind::boolean, true, true);
        return found != nullptr ? std::optional(found->boolean) : std::nullopt;
    }
    std::string object(std::string_view name, bool required) {
        const Json* const found = take(name, Json::Kind::object, required, required);
        return found != nullptr ? std::string(found->raw) : std::string();
    }
    const Json* object_value(std::string_view name) { return take(name, Json::Kind::object, false, false); }

    template <class Value>
    void require(const std::optional<Value>& value, std::string_view name) {
        if (!value) complain(name);
    }
    void complain(std::string_view name) {
        if (wrong_.empty()) wrong_ = "the member " + printable_line(name, kMaxName) + " is missing or wrong";
    }
    /// The first complaint; one about members that nobody took otherwise.
    [[nodiscard]] std::string complaint() const {
        if (wrong_.empty() && taken_ != object_.members.size()) return "a member that this log does not have";
        return wrong_;
    }

private:
    const Json* take(std::string_view name, Json::Kind kind, bool required, bool may_be_null) {
        const Json* const found = find(name);
        if (found == nullptr) {
            if (required) complain(name);
            return nullptr;
        }
        ++taken_;
        if (found->is(kind)) return found;
        if (!may_be_null || !found->is(Json::Kind::null)) complain(name);
        return nullptr;
    }

    /// They are asked for nearly in the order in which they are written, so the search begins after the last one found.
    const Json* find(std::string_view name) {
        const auto& members = object_.members;
        for (std::size_t i = 0; i < members.size(); ++i) {
            const std::size_t at = next_ + i < members.size() ? next_ + i : next_ + i - members.size();
            if (members[at].name != name) continue;
            next_ = at + 1 < members.size() ? at + 1 : 0;
            return &members[at].value;
        }
        return nullptr;
    }

    const Json& object_;
    std::size_t next_ = 0;
    std::size_t taken_ = 0;
    std::string wrong_;
};

void read_peer(Members& members, Record& r) {
    const Json* const object = members.object_value("peer");
    if (object == nullptr) return;
    Members inner(*object);
    PeerFields peer;
    peer.uid = inner.integer("uid", true).value_or(-1);
    peer.gid = inner.integer("gid", true).value_or(-1);
    peer.pid = inner.integer("pid", true).value_or(0);
    peer.exe = inner.text("exe", true);
    peer.unit = inner.text("unit", true);
    if (!inner.complaint().empty()) members.complain("peer");
    r.peer = std::move(peer);
}

void read_decision(Members& members, Record& r) {
    if (const auto decision = members.optional_text("decision")) {
        if (*decision != "allow" && *decision != "deny") members.complain("decision");
        r.allowed = *decision == "allow";
    }
    if (const auto code = members.optional_text("code")) {
        r.code = protocol::code_from_name(*code);
        members.require(r.code, "code");
    }
    if (const auto verdict = members.optional_text("verdict")) {
        r.verdict = protocol::verdict_from_name(*verdict);
        members.require(r.verdict, "verdict");
    }
}

Record read_what_was_said(Members& members) {
    Record r;
    const auto event = event_from_name(members.text("event", true));
    members.require(event, "event");
    r.event = event.value_or(EventType::decision);
    r.request_id = members.optional_text("request_id", true);
    r.action = members.optional_text("action", true);
    r.parameters = members.object("parameters", true);
    r.success = members.boolean("success");
    r.duration_ms = members.integer("duration_ms", true, true);
    r.error = members.optional_text("error", true);
    read_decision(members, r);
    r.rule = members.text("rule", false);
    r.caller = members.optional_text("caller");
    read_peer(members, r);
    r.mode = members.optional_text("mode");
    r.result = members.object("result", false);
    r.reason = members.optional_text("reason");
    r.output = members.optional_text("output");
    r.count = members.integer("count", false);
    r.detail = members.object("detail", false);
    r.request_mac = members.text("request_mac", false);
    return r;
}

}  // namespace

std::string_view name_of(EventType event) { return kEventNames.at(static_cast<std::size_t>(event)); }

std::optional<EventType> event_from_name(std::string_view name) {
    for (std::size_t i = 0; i < kEventNames.size(); ++i) {
        if (kEventNames.at(i) == name) return static_cast<EventType>(i);
    }
    return {};
}

std::string write_record(const Record& record, const Stamp& stamp) {
    Blobs blobs{checked(record.parameters), checked(record.result), checked(record.detail)};
    std::string text = write_members(record, stamp, blobs);
    for (int i = 0; i < 3 && text.size() + kChainAndNewline > kMaxLine; ++i) {
        std::string& blob = longest(blobs);
        blob = digest_instead(blob);
        text = write_members(record, stamp, blobs);
    }
    return text;
}

Expected<StoredRecord> read_record(std::string_view line) {
    if (line.size() >= kMaxLine) return fail("a line longer than any record");
    const auto object = protocol::read_json_object(line, kMaxLine);
    if (!object) return tl::unexpected(object.error());
    Members members(*object);
    StoredRecord stored;
    stored.record = read_what_was_said(members);
    const auto time = parse_rfc3339(members.text("timestamp", true));
    members.require(time, "timestamp");
    stored.timestamp = time.value_or(WallTime{});
    stored.seq = members.integer("seq", true).value_or(0);
    stored.boot_id = members.text("boot_id", true);
    stored.boottime = BootTime{Micros(members.integer("boottime_us", true).value_or(0))};
    stored.host = members.text("host", true);
    stored.config = members.text("config", true);
    stored.chain = members.text("chain", true);
    if (!members.complaint().empty()) return fail("not a record: " + members.complaint());
    return stored;
}

bool lost_records(const Record& recovered) {
    const auto object = protocol::read_json_object(recovered.detail, kMaxLine);
    const Json* const lost = object ? object->find("lost") : nullptr;
    return lost != nullptr && lost->is(Json::Kind::boolean) && lost->boolean;
}

}  // namespace luminous_healing::audit
