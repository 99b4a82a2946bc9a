#include "executor/status.h"

#include "executor/needs.h"
#include "protocol/json_writer.h"
#include "protocol/limits.h"

namespace luminous_healing::executor {
namespace {

using protocol::JsonWriter;

std::string_view name_of(audit::Space space) {
    switch (space) {
        case audit::Space::normal: return "normal";
        case audit::Space::low: return "low: the reserve is in use, only actions that free space may run";
        case audit::Space::none: break;
    }
    return "none";
}

std::string_view name_of(policy::ParameterType type) {
    switch (type) {
        case policy::ParameterType::integer: return "integer";
        case policy::ParameterType::boolean: return "boolean";
        case policy::ParameterType::unit: return "unit";
        case policy::ParameterType::string: break;
    }
    return "string";
}

void write_audit(JsonWriter& writer, audit::Log& log) {
    const auto head = log.head();
    writer.key("audit").begin_object();
    writer.member_bool("available", log.is_available());
    if (!log.is_available()) writer.member("why", log.why_unavailable());
    writer.member("space", name_of(log.space())).member("seq", head.seq).member("chain", head.chain);
    writer.member("epoch", head.epoch).end_object();
}

void write_action(JsonWriter& writer, const policy::ActionPolicy& action, const Authority& authority,
                  const policy::Limiter& limiter) {
    const auto row = row_of(action);
    const auto why = authority.unavailable.find(action.name);
    writer.begin_object().member("name", row.name).member("summary", row.summary).member_bool("allowed", true);
    writer.member("remaining",
                  std::int64_t{limiter.remaining(policy::action_bucket(action.name), action.rate_limit, boot_now())});
    writer.member("limit", std::int64_t{action.rate_limit.limit});
    writer.member("window_ms", std::int64_t{action.rate_limit.window.count() / 1000});
    writer.key("unavailable");
    if (why == authority.unavailable.end()) writer.null();
    else writer.string(why->second);
    if (!row.privilege.confined) writer.member_bool("confined", false);
    writer.key("parameters").begin_array();
    for (const auto& spec : action.parameters) {
        writer.begin_object().member("name", spec.name).member("type", name_of(spec.type));
        writer.member_bool("required", spec.required).member("description", spec.description).end_object();
    }
    writer.end_array().end_object();
}

}  // namespace

std::string describe_daemon(const DaemonFacts& facts, const policy::Config& config, audit::Log& log) {
    JsonWriter writer;
    writer.begin_object();
    writer.member("version", LUMINOUS_VERSION).member("host", facts.host.name).member("boot_id", facts.host.boot_id);
    writer.member("pid", std::int64_t{facts.pid}).member("uid", std::int64_t{facts.uid});
    writer.member("uptime_s", std::int64_t{(boot_now() - facts.started).count() / 1'000'000});
    writer.member("config", config.file).member("config_digest", config.digest);
    writer.member_bool("legacy_v1", config.daemon.legacy_v1);
    writer.key("capabilities").begin_array();
    for (const auto& name : facts.capabilities) writer.string(name);
    writer.end_array();
    writer.member_bool("bounding_limited", facts.bounding_limited).member_bool("memory_locked", facts.memory_locked);
    writer.member("landlock_abi", std::int64_t{facts.landlock_abi});
    writer.member("socket", facts.inherited_socket ? "systemd" : config.daemon.socket);
    writer.member("connections", static_cast<std::int64_t>(facts.connections));
    writer.member("running", static_cast<std::int64_t>(facts.running));
    writer.member("gate_restarts", static_cast<std::int64_t>(facts.gate_restarts));
    write_audit(writer, log);
    writer.end_object();
    return writer.take();
}

std::string describe_actions(const policy::CallerPolicy& caller, const Authority& authority,
                             const policy::Limiter& limiter) {
    JsonWriter writer;
    writer.begin_object().key("actions").begin_array();
    bool complete = true;
    for (const auto& name : caller.actions) {
        const auto found = authority.config->actions.find(name);
        if (found == authority.config->actions.end()) continue;
        complete = writer.text().size() < protocol::kMaxResult - 3000;  // room for one more and the end
        if (!complete) break;
        write_action(writer, found->second, authority, limiter);
    }
    writer.end_array();
    if (!complete) writer.member_bool("truncated", true);
    writer.end_object();
    return writer.take();
}

}  // namespace luminous_healing::executor
