// keygen: makes the key that a caller and the daemon share.

#include "healctl/keys.h"

#include "base/file.h"
#include "base/text.h"
#include "healctl/command.h"
#include "healctl/terminal.h"
#include "protocol/mac.h"

#include <CLI/CLI.hpp>

#include <fcntl.h>
#include <sys/stat.h>

namespace luminous_healing::healctl {
namespace {

constexpr std::size_t kKeyBytes = 32;  // 256 bits, as long as the MAC's own strength

ExitStatus keygen(const std::string& path) {
    std::string line = new_key();
    Expected<void> written;
    if (path.empty() || path == "-") print(line);
    else written = write_key_file(path, line);
    protocol::wipe(line);
    if (!written) return report_error(written.error());
    if (!path.empty() && path != "-") complain("wrote a new key to " + path + " (mode 0400)");
    return ExitStatus::done;
}

}  // namespace

std::string new_key() {
    std::string bytes = protocol::random_bytes(kKeyBytes);
    std::string line = to_hex(bytes) + "\n";
    protocol::wipe(bytes);
    return line;
}

Expected<void> write_key_file(const std::string& path, std::string_view key) {
    // O_EXCL: neither an existing key nor what a symbolic link points to is ever overwritten, open(2).
    const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0400));
    if (!fd.valid() && errno == EEXIST)
        return fail(path + " exists and is not overwritten: name another file, or remove it if nobody uses its key");
    if (!fd.valid()) return fail_errno("create " + path);
    auto written = write_all(fd.get(), key);
    if (written && ::fsync(fd.get()) != 0) written = fail_errno("write");
    if (written) return {};
    ::unlink(path.c_str());
    return fail(path + ": " + written.error().message);
}

void add_keygen(CLI::App& command, CommandLine& line) {
    const auto path = std::make_shared<std::string>();
    command.add_option("FILE", *path, "where to; standard output without it")->type_name("");
    command.callback([path, &line] { line.chosen = [path](const Globals&) { return keygen(*path); }; });
}

}  // namespace luminous_healing::healctl
