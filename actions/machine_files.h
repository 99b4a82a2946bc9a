#pragma once
// Small files of the kernel (/proc, /sys) and of /etc that actions read and write, by their usual absolute paths.
// Everything goes through here so that tests can put a tree of real files in their place.

#include "base/expected.h"

#include <optional>
#include <string>
#include <string_view>

namespace luminous_healing::actions {

/// Where the file of that absolute path is found: the path itself, but below a ScopedMachineRoot in a test.
[[nodiscard]] std::string machine_path(std::string_view absolute);

/// While it lives, machine_path() leads below `root`. For tests alone: no request and no configuration reaches it.
class ScopedMachineRoot {
public:
    explicit ScopedMachineRoot(std::string root);
    ~ScopedMachineRoot();
    ScopedMachineRoot(const ScopedMachineRoot&) = delete;
    ScopedMachineRoot& operator=(const ScopedMachineRoot&) = delete;

private:
    std::string before_;
};

/// The content without white space around it; at most 64 KiB.
[[nodiscard]] Expected<std::string> read_machine_file(std::string_view absolute);

/// Writes an existing file in one write(2), as files of the kernel want it.
[[nodiscard]] Expected<void> write_machine_file(std::string_view absolute, std::string_view text);

/// Why no worker will be able to write the file, or nothing: it does not exist, or it is on a read-only mount, as in
/// a container or below ProtectKernelTunables= of systemd.exec(5).
[[nodiscard]] std::optional<std::string> never_writable(std::string_view absolute);

}  // namespace luminous_healing::actions
