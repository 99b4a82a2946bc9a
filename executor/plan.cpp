#include "executor/plan.h"

#include "executor/needs.h"
#include "executor/worker_row.h"
#include "protocol/json_writer.h"

namespace luminous_healing::executor {
namespace {

void write_list(protocol::JsonWriter& writer, protocol::JsonName name, const std::vector<std::string>& items) {
    writer.key(name).begin_array();
    for (const auto& item : items) writer.string(item);
    writer.end_array();
}

std::string user_of(const actions::Privilege& privilege) {
    switch (privilege.user) {
        case actions::RunAs::root: return "root";
        case actions::RunAs::named: return privilege.user_name;
        case actions::RunAs::daemon: break;
    }
    return "the daemon's user";
}

}  // namespace

std::string describe_plan(const policy::Grant& grant) {
    policy::Arguments arguments;  // as people may see them
    for (const auto& spec : grant.action().parameters) {
        if (!grant.arguments().has(spec.name)) continue;
        arguments.set(spec.name, spec.secret ? std::string("(secret)") : grant.arguments().shown(spec.name));
    }
    const auto row = row_of(grant.action());
    protocol::JsonWriter writer;
    writer.begin_object();
    writer.member("action", row.name).member("target", grant.target()).member("user", user_of(row.privilege));
    write_list(writer, "capabilities", row.privilege.capabilities);
    write_list(writer, "writes", row.privilege.writes);
    writer.member_bool("network", row.privilege.network).member_bool("confined", row.privilege.confined);
    writer.member("timeout_ms", std::int64_t{grant.timeout().count() / 1000});
    writer.member("verifies", row.verifies);
    writer.member_bool("undoes",
                       row.undo != nullptr || (grant.action().command && !grant.action().command->undo.empty()));
    if (const auto& command = grant.action().command) {
        write_list(writer, "argv", fill_in(command->command, arguments));
        if (!command->verify.empty()) write_list(writer, "verify_argv", fill_in(command->verify, arguments));
        if (!command->undo.empty()) write_list(writer, "undo_argv", fill_in(command->undo, arguments));
    } else {
        writer.member("does", row.summary);
    }
    writer.end_object();
    return writer.take();
}

std::string complete_plan(const std::string& described, const actions::Facts& current) {
    if (current.all().empty()) return described;
    return described.substr(0, described.size() - 1) + ",\"current\":" + current.to_json() + "}";
}

const std::vector<policy::ParameterSpec>& own_parameters(std::string_view action) {
    using policy::ParameterSpec;
    using policy::ParameterType;
    static const std::vector<ParameterSpec> status{[] {
        ParameterSpec detail{.name = "detail", .required = false};
        detail.choices = {"actions"};
        return detail;
    }()};
    static const std::vector<ParameterSpec> confirm{{.name = "request_id", .max_length = 128}};
    return action == "status" ? status : confirm;
}

}  // namespace luminous_healing::executor
