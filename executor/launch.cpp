#include "executor/launch.h"

#include "executor/bytes.h"

#include <cstdint>

namespace luminous_healing::executor {

namespace {

Expected<void> check_version(ByteReader& reader) {
    const auto version = reader.text();
    if (version == LUMINOUS_VERSION) return {};
    return fail("its orders are of version " + std::string(version) +
                ", and the launcher is " LUMINOUS_VERSION ": restart the daemon");
}

}  // namespace

std::string encode_fence(const FilterProgram& filter) {
    ByteWriter writer;
    writer.text(LUMINOUS_VERSION);
    writer.number(static_cast<std::uint32_t>(filter.size()));
    for (const sock_filter& instruction : filter) writer.number(instruction);
    return writer.take();
}

Expected<FilterProgram> decode_fence(std::string_view bytes) {
    ByteReader reader(bytes);
    if (auto ok = check_version(reader); !ok) return tl::unexpected(ok.error());
    FilterProgram filter;
    for (auto left = reader.number<std::uint32_t>(); left > 0 && reader.whole(); --left)
        filter.push_back(reader.number<sock_filter>());
    if (!reader.at_end() || filter.empty()) return fail("its fence cannot be read");
    return filter;
}

std::string encode_launch(const Launch& launch) {
    ByteWriter writer;
    writer.text(LUMINOUS_VERSION);
    writer.number(launch.executor);
    writer.number(launch.credentials.uid);
    writer.number(launch.credentials.gid);
    writer.number(static_cast<std::uint32_t>(launch.credentials.groups.size()));
    for (const gid_t group : launch.credentials.groups) writer.number(group);
    writer.number(launch.capabilities);
    writer.number(launch.confined);
    writer.number(static_cast<std::uint32_t>(launch.argv.size()));
    for (const auto& argument : launch.argv) writer.text(argument);
    return writer.take();
}

Expected<Launch> decode_launch(std::string_view bytes) {
    ByteReader reader(bytes);
    Launch launch;
    if (auto ok = check_version(reader); !ok) return tl::unexpected(ok.error());
    launch.executor = reader.number<pid_t>();
    launch.credentials.uid = reader.number<uid_t>();
    launch.credentials.gid = reader.number<gid_t>();
    for (auto left = reader.number<std::uint32_t>(); left > 0 && reader.whole(); --left)
        launch.credentials.groups.push_back(reader.number<gid_t>());
    launch.capabilities = reader.number<CapabilitySet>();
    launch.confined = reader.number<char>() != 0;
    for (auto left = reader.number<std::uint32_t>(); left > 0 && reader.whole(); --left)
        launch.argv.emplace_back(reader.text());
    if (!reader.at_end() || launch.argv.empty()) return fail("its orders cannot be read");
    return launch;
}

}  // namespace luminous_healing::executor
