#include "actions/process.h"

#include "actions/machine_files.h"
#include "base/text.h"
#include "policy/unit_name.h"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <csignal>

#include <algorithm>
#include <array>
#include <optional>

namespace luminous_healing::actions {
namespace {

constexpr std::uint64_t kKernelThread = 0x00200000;  // PF_KTHREAD, include/linux/sched.h

std::string file_of(pid_t pid, std::string_view name) {
    return "/proc/" + std::to_string(pid) + "/" + std::string(name);
}

/// Cuts the next word off the front.
std::string_view next_word(std::string_view& text) {
    text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
    const auto word = text.substr(0, text.find_first_of(" \t\n"));
    text.remove_prefix(word.size());
    return word;
}

/// "PID (COMM) STATE PPID ...": COMM may hold spaces and brackets itself, so it ends at the last bracket.
std::optional<ProcessFacts> parse_stat(std::string_view text) {
    const auto open = text.find('(');
    const auto close = text.rfind(')');
    if (open == std::string_view::npos || close == std::string_view::npos || close < open) return {};
    ProcessFacts facts;
    facts.comm = text.substr(open + 1, close - open - 1);
    text.remove_prefix(close + 1);
    std::array<std::string_view, 25> field{};  // numbered as in the manual page
    for (std::size_t i = 3; i < field.size(); ++i) field.at(i) = next_word(text);
    const auto parent = parse_integer<pid_t>(field[4]);
    const auto flags = parse_integer<std::uint64_t>(field[9]);
    const auto start_time = parse_integer<std::int64_t>(field[22]);
    const auto rss_pages = parse_integer<std::int64_t>(field[24]);
    if (!parent || !flags || !start_time || !rss_pages) return {};
    facts.parent = *parent;
    facts.kernel_thread = (*flags & kKernelThread) != 0;
    facts.start_time = *start_time;
    facts.rss_bytes = *rss_pages * ::sysconf(_SC_PAGESIZE);
    return facts;
}

/// The first three numbers after "Uid:" of /proc/PID/status. A comm is escaped there and cannot forge the line.
std::optional<std::vector<uid_t>> parse_uids(std::string_view status) {
    const auto at = status.find("\nUid:");
    if (at == std::string_view::npos) return {};
    std::string_view line = status.substr(at + 5);
    std::vector<uid_t> uids;
    for (int i = 0; i < 3; ++i) {
        const auto uid = parse_integer<uid_t>(next_word(line));
        if (!uid) return {};
        uids.push_back(*uid);
    }
    return uids;
}

/// The path of the hierarchy with those controllers; a line is "ID:CONTROLLERS:PATH" and PATH may hold colons.
std::optional<std::string_view> cgroup_path(std::string_view content, std::string_view controllers) {
    while (!content.empty()) {
        auto line = content.substr(0, content.find('\n'));
        content.remove_prefix(std::min(line.size() + 1, content.size()));
        line.remove_prefix(std::min(line.find(':') + 1, line.size()));
        const auto colon = line.find(':');
        if (colon != std::string_view::npos && line.substr(0, colon) == controllers) return line.substr(colon + 1);
    }
    return {};
}

}  // namespace

std::string unit_in_cgroup(std::string_view content) {
    // Where systemd uses version 1 its tree is the one it named; otherwise the only one, which has no name.
    auto path = cgroup_path(content, "name=systemd");
    if (!path) path = cgroup_path(content, "");
    if (!path) return {};
    std::string_view rest = *path;
    while (!rest.empty()) {
        rest.remove_prefix(1);  // the slash
        std::string_view part = rest.substr(0, rest.find('/'));
        rest.remove_prefix(part.size());
        if (part.ends_with(".slice")) continue;
        if (part.starts_with('_')) part.remove_prefix(1);  // how systemd keeps clear of the kernel's own names
        return policy::is_valid_unit_name(part) ? std::string(part) : std::string();
    }
    return {};
}

namespace {

Expected<ProcessFacts> read_stat(pid_t pid) {
    const auto stat = read_machine_file(file_of(pid, "stat"));
    if (!stat) return tl::unexpected(stat.error());
    auto facts = parse_stat(*stat);
    if (!facts) return fail(file_of(pid, "stat") + " is not as proc_pid_stat(5) has it");
    return std::move(*facts);
}

}  // namespace

Expected<pid_t> read_parent(pid_t pid) {
    return read_stat(pid).map([](const ProcessFacts& facts) { return facts.parent; });
}

Expected<ProcessFacts> read_process(pid_t pid) {
    auto facts = read_stat(pid);
    if (!facts) return facts;
    const auto status = read_machine_file(file_of(pid, "status"));
    if (!status) return tl::unexpected(status.error());
    const auto uids = parse_uids(*status);
    if (!uids) return fail(file_of(pid, "status") + " is not as proc_pid_status(5) has it");
    const auto cgroup = read_machine_file(file_of(pid, "cgroup"));
    if (!cgroup) return tl::unexpected(cgroup.error());
    facts->pid = pid;
    facts->uids = *uids;
    facts->unit = unit_in_cgroup(*cgroup);
    return std::move(*facts);
}

Expected<HeldProcess> HeldProcess::open(pid_t pid) {
    // By number: glibc has had pidfd_open() only since 2.36. The kernel sets close-on-exec.
    UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    if (!fd.valid()) return fail_errno("pidfd_open " + std::to_string(pid));
    return HeldProcess(pid, std::move(fd));
}

Expected<ProcessFacts> HeldProcess::inspect() const {
    auto facts = read_process(pid_);
    // A number is given away again only after its process has ended and been reaped.
    if (ends_within(Micros{0})) return fail("process " + std::to_string(pid_) + " has ended", ESRCH);
    return facts;
}

Expected<void> HeldProcess::send(int signal) const {
    if (::syscall(SYS_pidfd_send_signal, fd_.get(), signal, nullptr, 0) != 0) return fail_errno("pidfd_send_signal");
    return {};
}

bool HeldProcess::ends_within(Micros limit) const {
    const BootTime until = now().boot + limit;
    while (true) {
        const Micros left = std::max(until - now().boot, Micros{0});
        pollfd waiting{fd_.get(), POLLIN, 0};
        const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(left).count();
        const int ready = ::poll(&waiting, 1, static_cast<int>(milliseconds));
        if (ready > 0) return true;
        if (ready == 0 || left == Micros{0}) return false;
    }
}

}  // namespace luminous_healing::actions
