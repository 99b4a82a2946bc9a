#include "executor/config_sections.h"

#include "base/text.h"
#include "executor/config_trust.h"
#include "policy/unit_name.h"

#include <sys/un.h>

#include <algorithm>
#include <limits>

namespace luminous_healing::executor {
namespace {

constexpr Micros kMostClockSkew = 1h;                    // ids are remembered for as long, and room is bounded
constexpr std::uint64_t kLargestRecord = 128ULL << 10U;  // bytes of a line: audit::kMaxLine
constexpr std::int64_t kMostKept = 10'000;

void read_socket(Table& table, Reading& reading) {
    auto& daemon = reading.config.daemon;
    if (auto socket = table.absolute_path("socket")) {
        if (socket->size() >= sizeof(sockaddr_un::sun_path))
            table.problem("socket", "is too long for a Unix socket. Write a path of at most " +
                                        std::to_string(sizeof(sockaddr_un::sun_path) - 1) + " bytes");
        daemon.socket = std::move(*socket);
    }
    daemon.socket_group = table.text("socket_group");
    if (!daemon.socket_group) return;
    const auto exists = group_exists(*daemon.socket_group);
    if (!exists) table.problem("socket_group", printable_line(exists.error().message, 200));
    else if (!*exists)
        table.problem("socket_group", "there is no group " + quoted(*daemon.socket_group) +
                                          ". Write the name of a group of this machine, or create the group first");
}

void read_user(Table& table, Reading& reading) {
    auto& daemon = reading.config.daemon;
    daemon.user = table.text("user");
    if (!daemon.user) return;
    const auto uid = require_user(*daemon.user, table.line("user"), "daemon.user", reading.findings);
    if (uid && *uid == 0)
        table.problem("user", "is root, which is no step down. Write the service's own user, or leave the key out");
}

void read_protected_units(Table& table, Reading& reading) {
    auto& units = reading.config.daemon.protected_units;
    const auto entries = table.distinct_texts("protected_units", Table::WhenEmpty::refuse);
    if (!entries) return;
    units.clear();
    for (const auto& entry : *entries) {
        if (policy::is_wildcard(entry.text)) {
            units.push_back(entry.text);
        } else if (auto unit = policy::normalise_unit_name(entry.text)) {
            units.push_back(std::move(*unit));
        } else {
            reading.findings.problem(entry.line, "daemon.protected_units: " + unit.error().message +
                                                     ". Write a unit's name or a glob like \"systemd-*\"");
        }
    }
}

std::uint64_t room_for_a_record(Table& table, const std::string& key, std::uint64_t otherwise) {
    const auto size = table.size(key);
    if (size && *size < kLargestRecord)
        table.problem(key, "is less than one record may need. Write \"128KiB\" or more");
    return size.value_or(otherwise);
}

void read_witness(Table& table, Reading& reading) {
    const auto entries = table.texts("witness", Table::WhenEmpty::refuse);
    if (!entries) return;
    auto& witness = reading.config.audit.witness;
    for (const auto& entry : *entries) witness.push_back(entry.text);
    if (!is_plain_absolute_path(witness[0])) {
        table.problem("witness", "the program is " + quoted(witness[0]) +
                                     ". Write its absolute path, as command -v prints it, without . or .. in it");
    } else if (const auto opened = open_program(witness[0], reading.sources.check_owner); !opened) {
        table.problem("witness", "the program cannot be used: " + opened.error().message);
    }
    if (std::find(witness.begin() + 1, witness.end(), "{head}") == witness.end())
        table.problem("witness", R"(is not told anything. Write "{head}" as an argument of its own, where the )"
                                 "log's head SEQ:CHAIN belongs");
}

}  // namespace

void read_daemon(const ConfigNode& node, Reading& reading) {
    Table table(node, "daemon", reading.findings);
    auto& daemon = reading.config.daemon;
    read_socket(table, reading);
    if (const auto skew = table.duration("max_clock_skew", kMostClockSkew)) daemon.max_clock_skew = *skew;
    daemon.legacy_v1 = table.boolean("legacy_v1").value_or(false);
    read_user(table, reading);
    read_protected_units(table, reading);
    reading.key_directory = table.absolute_path("key_directory");
    if (daemon.legacy_v1)
        table.warning("legacy_v1",
                      "version 1 signatures do not cover the parameters, so whoever can change a request "
                      "on its way chooses them. Turn it off when the last old client is gone");
    table.finish();
}

void read_audit(const ConfigNode& node, Reading& reading) {
    Table table(node, "audit", reading.findings);
    auto& audit = reading.config.audit;
    if (auto path = table.absolute_path("path")) audit.path = std::move(*path);
    if (audit.path == reading.file || audit.path == reading.config.daemon.socket)
        table.problem("path",
                      "is the configuration or the socket itself. Write a file of the log's own, in a folder of "
                      "its own, like /var/log/luminous-healing/audit.json");
    if (const auto sync = table.text("sync")) {
        if (*sync == "batch") audit.sync = policy::AuditSync::batch;
        else if (*sync != "always")
            table.problem("sync", "is " + quoted(*sync) + did_you_mean(*sync, {"always", "batch"}) +
                                      ". Write \"always\" or \"batch\"");
    }
    audit.reserve = room_for_a_record(table, "reserve", audit.reserve);
    audit.rotate_size = room_for_a_record(table, "rotate_size", audit.rotate_size);
    read_witness(table, reading);
    if (const auto keep = table.integer("keep", 1, kMostKept)) audit.keep = static_cast<std::uint32_t>(*keep);
    table.finish();
}

}  // namespace luminous_healing::executor
