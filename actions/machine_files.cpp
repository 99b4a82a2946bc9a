#include "actions/machine_files.h"

#include "base/file.h"
#include "base/text.h"

#include <sys/statvfs.h>

#include <cstddef>
#include <utility>

namespace luminous_healing::actions {
namespace {

constexpr std::size_t kMaxFile = 64 * 1024;  // bytes

/// Empty but in tests.
std::string& root() {
    static std::string value;
    return value;
}

}  // namespace

std::string machine_path(std::string_view absolute) { return root() + std::string(absolute); }

ScopedMachineRoot::ScopedMachineRoot(std::string root_in_force)
    : before_(std::exchange(root(), std::move(root_in_force))) {}
ScopedMachineRoot::~ScopedMachineRoot() { root() = std::move(before_); }

Expected<std::string> read_machine_file(std::string_view absolute) {
    auto content = read_file(machine_path(absolute), kMaxFile);
    if (!content) return content;
    return std::string(trim(*content));
}

Expected<void> write_machine_file(std::string_view absolute, std::string_view text) {
    return write_existing(machine_path(absolute), text);
}

std::optional<std::string> never_writable(std::string_view absolute) {
    struct statvfs mount {};
    if (::statvfs(machine_path(absolute).c_str(), &mount) != 0)
        return std::string(absolute) + " is not there: " + std::strerror(errno);
    if ((mount.f_flag & ST_RDONLY) != 0) return std::string(absolute) + " is on a read-only mount";
    return {};
}

}  // namespace luminous_healing::actions
