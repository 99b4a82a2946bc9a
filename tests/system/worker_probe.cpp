// Starts, for every built-in row, a worker with that row's confinement as the daemon would, and lets it look at itself
// and try what the other rows are for. To be run as the daemon is: by its unit (tests/system/workers.sh).
//
//   worker_probe PID-OF-ANOTHER-USER PID-OF-ROOT UNIT HIDDEN-FOLDER…
//
// Prints what each worker holds, then the matrix; exit status 0 when all is as the rows say.

#include "actions/registry.h"
#include "actions/service_manager.h"
#include "base/file.h"
#include "base/text.h"
#include "executor/worker.h"
#include "executor/worker_row.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

using namespace luminous_healing;            // a program, not a header
using namespace luminous_healing::executor;  // ditto
using actions::Action;

namespace {

int failures = 0;

struct Lab {
    pid_t of_another_user = 0;
    pid_t of_root = 0;
    std::string unit;
    std::vector<std::string> hidden;
};

// --- in the worker ---------------------------------------------------------------------------------------------------

void say(const std::string& line) { (void)write_all(kWorkerReport, line + "\n"); }

void describe_descriptors() {
    DIR* const folder = ::opendir("/proc/self/fd");
    if (folder == nullptr) return say("descriptors unknown");
    std::string list;
    for (const dirent* entry = nullptr; (entry = ::readdir(folder)) != nullptr;) {
        const int fd = std::atoi(entry->d_name);
        if (entry->d_name[0] == '.' || fd == ::dirfd(folder)) continue;
        std::array<char, 256> target{};
        (void)!::readlinkat(::dirfd(folder), entry->d_name, target.data(), target.size() - 1);
        const std::string where = target.data();
        list += std::to_string(fd) + "=" + where.substr(0, where.find(':')) + " ";
    }
    ::closedir(folder);
    say("descriptors " + list);
}

void describe_limits() {
    for (const auto& [name, which] : {std::pair{"core", RLIMIT_CORE}, std::pair{"nofile", RLIMIT_NOFILE}}) {
        rlimit limit{};
        ::getrlimit(which, &limit);
        say(std::string("limit_") + name + " " + std::to_string(limit.rlim_max));
    }
}

/// Lines "name value": of /proc/self/status, and what is not in there.
void describe_myself(const Lab& lab) {
    const auto status = read_file("/proc/self/status", 65536);
    say(status ? *status : "status unknown");
    describe_descriptors();
    describe_limits();
    int at_parents_end = 0;
    ::prctl(PR_GET_PDEATHSIG, &at_parents_end);
    say("dies_with_parent " + std::to_string(at_parents_end));
    say("environment " + std::to_string(environ == nullptr || environ[0] == nullptr ? 0 : 1));
    for (const auto& folder : lab.hidden)
        say("hidden " + std::string(::open(folder.c_str(), O_RDONLY | O_DIRECTORY) < 0 ? "yes " : "no ") + folder);
    say("elsewhere " +
        std::to_string(::open("/dev/full", O_WRONLY) >= 0 || ::open("/run/lab-probe", O_CREAT | O_WRONLY, 0600) >= 0));
}

bool can_write(const char* path, const std::string& value) {
    const UniqueFd fd(::open(path, O_WRONLY | O_CLOEXEC));
    return fd.valid() && ::write(fd.get(), value.data(), value.size()) == static_cast<ssize_t>(value.size());
}

/// Signal 0 asks for the permission alone, kill(2).
bool can_signal(pid_t pid) {
    if (::kill(pid, 0) == 0 || ::syscall(SYS_tgkill, pid, pid, 0) == 0 || ::syscall(SYS_tkill, pid, 0) == 0)
        return true;
    const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    return process.valid() && ::syscall(SYS_pidfd_send_signal, process.get(), 0, nullptr, 0) == 0;
}

bool can_ask_systemd(const std::string& unit) {
    auto manager = actions::ServiceManager::connect();
    if (!manager) return false;
    const auto end = manager->run_job("RestartUnit", unit, 10s);
    return end && end->is_done();
}

enum class Operation { units, signals, swappiness, caches, governor };
constexpr std::array kOperations{Operation::units, Operation::signals, Operation::swappiness, Operation::caches};

bool attempt(Operation operation, const Lab& lab) {
    switch (operation) {
        case Operation::units: return can_ask_systemd(lab.unit);
        case Operation::signals: return can_signal(lab.of_another_user) || can_signal(lab.of_root);
        case Operation::swappiness:
            return can_write("/proc/sys/vm/swappiness", read_file("/proc/sys/vm/swappiness", 64).value_or("60"));
        case Operation::caches: return can_write("/proc/sys/vm/drop_caches", "1");
        case Operation::governor: return false;
    }
    return false;
}

Operation operation_of(const Action& row) {
    if (row.name == "kill_process") return Operation::signals;
    if (row.name == "adjust_swappiness") return Operation::swappiness;
    if (row.name == "clear_system_cache") return Operation::caches;
    if (row.name == "set_cpu_governor") return Operation::governor;
    return Operation::units;
}

// --- outside of it ---------------------------------------------------------------------------------------------------

/// What a worker of the row says while it runs `body`.
std::string run_as(const Action& row, const Lab& lab, const std::function<void()>& body) {
    const auto who = who_runs(row.privilege, false);
    const auto filter = worker_filter(row.privilege.syscalls, row.privilege.network);
    const auto files = FileSystemRuleset::build(file_rules(row.privilege, false, lab.hidden));
    if (!who || !filter || !files) return "no confinement";
    WorkerConfinement confinement;
    confinement.credentials = *who;
    confinement.capabilities = row_capabilities(row.privilege, false);
    confinement.ruleset = files->fd();
    confinement.filter = &*filter;
    auto worker = start_builtin(confinement, body);
    if (!worker) return "no worker: " + worker.error().message;
    std::string said;
    std::array<char, 4096> buffer{};
    pollfd waiting{worker->report.get(), POLLIN, 0};
    while (::poll(&waiting, 1, 30000) == 1) {
        const ssize_t n = ::read(waiting.fd, buffer.data(), buffer.size());
        if (n <= 0) break;
        said.append(buffer.data(), static_cast<std::size_t>(n));
    }
    int status = 0;
    ::waitpid(worker->pid, &status, 0);
    if (status != 0) said += "\nended " + std::to_string(status) + "\n";
    return said;
}

std::map<std::string, std::string> members_of(const std::string& said) {
    std::map<std::string, std::string> members;
    for (std::size_t at = 0; at < said.size();) {
        const auto end = std::min(said.find('\n', at), said.size());
        const std::string line = said.substr(at, end - at);
        const auto name_ends = std::min(line.find_first_of(": \t"), line.size());
        const auto value = std::min(line.find_first_not_of(": \t", name_ends), line.size());
        auto& all = members[line.substr(0, name_ends)];
        all += (all.empty() ? "" : "; ") + std::string(trim(line.substr(value)));
        at = end + 1;
    }
    return members;
}

std::string four_times(unsigned id) {
    std::string text = std::to_string(id);
    return text + "\t" + text + "\t" + text + "\t" + text;
}

std::string as_hex(CapabilitySet set) {
    std::array<char, 17> text{};
    std::snprintf(text.data(), text.size(), "%016lx", set);
    return text.data();
}

/// What the row says, spelled out here a second time.
std::map<std::string, std::string> expected_of(const Action& row, const Lab& lab) {
    const bool root = row.privilege.user == actions::RunAs::root;
    const CapabilitySet held = row.name == "kill_process" ? 1U << 5U : 0;  // CAP_KILL
    std::map<std::string, std::string> wanted{{"Uid", four_times(root ? 0 : ::getuid())},
                                              {"Gid", four_times(root ? 0 : ::getgid())},
                                              {"CapInh", as_hex(0)},
                                              {"CapPrm", as_hex(held)},
                                              {"CapEff", as_hex(held)},
                                              {"CapBnd", as_hex(held)},
                                              {"CapAmb", as_hex(0)},
                                              {"NoNewPrivs", "1"},
                                              {"Seccomp", "2"},
                                              {"Umask", "0077"},
                                              {"Threads", "1"},
                                              {"SigBlk", as_hex(0)},
                                              {"SigIgn", as_hex(0)},
                                              {"SigCgt", as_hex(0)},
                                              {"descriptors", "0=/dev/null 1=/dev/null 2=/dev/null 3=pipe 4=pipe"},
                                              {"limit_core", "0"},
                                              {"limit_nofile", "1024"},
                                              {"dies_with_parent", "9"},
                                              {"environment", "0"},
                                              {"elsewhere", "0"}};
    if (root) wanted["Groups"] = "";
    for (const auto& folder : lab.hidden) {
        auto& all = wanted["hidden"];
        all += (all.empty() ? "" : "; ") + ("yes " + folder);
    }
    return wanted;
}

void hold_against_row(const Action& row, const Lab& lab) {
    auto members = members_of(run_as(row, lab, [&] { describe_myself(lab); }));
    int differences = 0;
    for (const auto& [name, wanted] : expected_of(row, lab)) {
        if (members[name] == wanted) continue;
        std::printf("not ok: %s: %s is \"%s\", the row says \"%s\"\n", row.name.c_str(), name.c_str(),
                    members[name].c_str(), wanted.c_str());
        ++differences;
    }
    if (members.count("ended") != 0) ++differences;
    if (differences == 0)
        std::printf("ok: %-20s uid %s, capabilities %s, seccomp %s, groups \"%s\", hidden %s\n", row.name.c_str(),
                    members["Uid"].substr(0, members["Uid"].find('\t')).c_str(), members["CapEff"].c_str(),
                    members["Seccomp"].c_str(), members["Groups"].c_str(), members["hidden"].c_str());
    failures += differences;
}

/// For each column: what the row's worker could do, "own" where it should.
void print_matrix(const Lab& lab) {
    std::printf("\n%-20s", "worker of \\ tries");
    for (const auto& other : actions::all()) std::printf(" %-9.9s", other.name.c_str());
    for (const auto& row : actions::all()) {
        std::map<Operation, bool> could;
        for (const auto operation : kOperations) {
            const auto said =
                members_of(run_as(row, lab, [&] { say(attempt(operation, lab) ? "could yes" : "could no"); }));
            could[operation] = said.count("could") != 0 && said.at("could") == "yes";
            if (said.count("could") == 0) ++failures;
        }
        std::printf("\n%-20s", row.name.c_str());
        for (const auto& other : actions::all()) {
            const auto tried = operation_of(other);
            const bool is_its_own = tried == operation_of(row);
            const char* cell = could[tried] ? is_its_own ? row.name == other.name ? "own" : "same" : "COULD"
                               : is_its_own ? "CANNOT"
                                            : "-";
            if (tried == Operation::governor) cell = "n/a";
            else if (could[tried] != is_its_own) ++failures;
            std::printf(" %-9s", cell);
        }
    }
    std::printf(
        "\n\n- refused   own: its own   same: another action with the same operation (systemd over D-Bus as uid 0)\n"
        "n/a: this machine has no such file\n");
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 4) return 2;
    Lab lab{std::atoi(argv[1]), std::atoi(argv[2]), argv[3], {argv + 4, argv + argc}};
    const CapabilitySet needed = (1U << 5U) | (1U << 6U) | (1U << 7U) | (1U << 8U);
    bool bounded = false;
    if (auto confined = confine_executor(needed, &bounded); !confined || !bounded) {
        std::printf("not ok: the executor could not be confined\n");
        return 1;
    }
    for (const auto& row : actions::all()) hold_against_row(row, lab);
    print_matrix(lab);
    std::printf("%d failed\n", failures);
    return failures == 0 ? 0 : 1;
}
