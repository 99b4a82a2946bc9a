// Starts, for every built-in row, a worker with that row's confinement as the daemon would, and lets it look at itself
// and try what the other rows are for. To be run as the daemon is: by its unit (tests/system/workers.sh).
//
//   worker_probe PID-OF-ANOTHER-USER PID-OF-ROOT UNIT UNIT-TO-STOP BYSTANDER-UNIT HIDDEN-FOLDER…
//
// Prints what each worker holds, then the matrix; exit status 0 when all is as the rows say.

#include "worker_probe.h"

#include "actions/bus_proxy.h"
#include "actions/registry.h"
#include "base/file.h"
#include "base/text.h"
#include "executor/worker_row.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
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

// --- in the worker ---------------------------------------------------------------------------------------------------

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

/// A way to another socket: by a new one, or by the one that it has (connect, and a message with an address).
void describe_sockets() {
    sockaddr_un bus{};
    bus.sun_family = AF_UNIX;
    std::snprintf(bus.sun_path, sizeof bus.sun_path, "/run/dbus/system_bus_socket");
    const auto* const address = reinterpret_cast<const sockaddr*>(&bus);
    std::array<int, 2> pair{};
    std::string ways;
    for (const int family : {AF_UNIX, AF_INET, AF_NETLINK})
        if (::socket(family, SOCK_DGRAM, 0) >= 0) ways += " socket";
    if (::socketpair(AF_UNIX, SOCK_DGRAM, 0, pair.data()) == 0) ways += " socketpair";
    for (const int has : {kWorkerBus, kWorkerControl}) {
        if (::connect(has, address, sizeof bus) == 0 || errno == EISCONN) ways += " connect";
        if (::sendto(has, "x", 1, MSG_NOSIGNAL, address, sizeof bus) >= 0) ways += " sendto";
    }
    if (::send(kWorkerControl, "x", 1, MSG_NOSIGNAL) >= 0) ways += " control";  // it only listens there
    say("ways_to_sockets" + ways);
}

/// The proxy holds root's standing with systemd; its memory is not its worker's to read.
void describe_proxy_memory() {
    const auto children = read_file("/proc/self/task/" + std::to_string(::getpid()) + "/children", 64);
    if (!children || trim(*children).empty()) return say("proxy_memory none");
    const std::string path = "/proc/" + std::string(trim(*children)) + "/mem";
    say(std::string("proxy_memory ") + (::open(path.c_str(), O_RDONLY) < 0 ? "closed" : "open"));
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
    describe_sockets();
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

}  // namespace

// --- what the matrix uses too ----------------------------------------------------------------------------------------

namespace luminous_healing {

void say(const std::string& line) { (void)write_all(kWorkerReport, line + "\n"); }

std::string target_of(std::string_view action, const Lab& lab) {
    return action == "stop_service" ? lab.stoppable : lab.unit;
}

namespace {

policy::Arguments decided_arguments(const Action& row, const Lab& lab) {
    policy::Arguments arguments;
    for (const auto& spec : row.parameters) {
        if (spec.name == "service") arguments.set(spec.name, target_of(row.name, lab));
        if (spec.name == "keep_days") arguments.set(spec.name, std::int64_t{3000});
        if (spec.name == "keep_generations") arguments.set(spec.name, std::int64_t{100});
    }
    return arguments;
}

/// As executor/runner does it.
void serve_bus(const Action& row, const Lab& lab, const std::string& request_id) {
    const auto arguments = decided_arguments(row, lab);
    policy::ActionPolicy policy;
    policy.units = {"*"};
    policy.timeout = row.timeout;
    const policy::DaemonSettings settings;
    actions::Context context{arguments, policy, settings, request_id, now().boot + 60s, [](std::string_view) {}};
    (void)actions::serve_bus(kWorkerBus, row, context, actions::BusDuty::run,
                             [](std::string_view line) { say("refused " + std::string(line)); });
}

/// Until its other end is closed.
std::string all_from(const UniqueFd& pipe) {
    std::string said;
    std::array<char, 4096> buffer{};
    pollfd waiting{pipe.get(), POLLIN, 0};
    while (::poll(&waiting, 1, 30000) == 1) {
        const ssize_t n = ::read(waiting.fd, buffer.data(), buffer.size());
        if (n == 0) return said;
        if (n > 0) said.append(buffer.data(), static_cast<std::size_t>(n));
    }
    return said + "\nended not\n";
}

}  // namespace

std::string run_as(const Action& row, const Lab& lab, const std::string& request_id, const std::function<void()>& body,
                   const std::function<void()>& beside) {
    const bool has_proxy = row.privilege.syscalls == actions::SyscallClass::bus;
    const auto who = who_runs(row.privilege, false);
    const auto filter = worker_filter(row.privilege.syscalls, row.privilege.network);
    const auto proxy_filter = worker_filter(actions::SyscallClass::bus_proxy, false);
    const auto files = FileSystemRuleset::build(file_rules(row.privilege, false, lab.hidden));
    if (!who || !filter || !files || !proxy_filter) return "no confinement";
    Orders orders;
    orders.row.credentials = *who;
    orders.row.capabilities = row_capabilities(row.privilege, false);
    orders.row.ruleset = files->fd();
    orders.row.filter = &*filter;
    orders.body = [&](BootTime) { body(); };
    if (has_proxy)
        orders.companion =
            Companion{&*proxy_filter, [&](BootTime) { beside ? beside() : serve_bus(row, lab, request_id); }};
    auto worker = hatch([&orders](std::string_view) { return orders; });
    if (!worker) return "no worker: " + worker.error().message;
    if (auto given = give_orders(*worker, {*who, files->fd(), false, has_proxy, {}}); !given)
        return "no orders: " + given.error().message;
    let_go(*worker, now().boot + 60s);
    std::string said = all_from(worker->report);
    if (has_proxy) said += all_from(worker->beside);
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

}  // namespace luminous_healing

namespace {

// --- outside of it ---------------------------------------------------------------------------------------------------

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
                                              {"descriptors", "0=/dev/null 1=/dev/null 2=/dev/null 3=pipe 4=socket"},
                                              {"ways_to_sockets", ""},
                                              {"limit_core", "0"},
                                              {"limit_nofile", "1024"},
                                              {"dies_with_parent", "9"},
                                              {"environment", "0"},
                                              {"elsewhere", "0"}};
    if (row.privilege.syscalls == actions::SyscallClass::bus) wanted["descriptors"] += " 5=socket";
    if (root) wanted["Groups"] = "";
    for (const auto& folder : lab.hidden) {
        auto& all = wanted["hidden"];
        all += (all.empty() ? "" : "; ") + ("yes " + folder);
    }
    return wanted;
}

void compare(const std::string& who, std::map<std::string, std::string> wanted, std::map<std::string, std::string> is) {
    int differences = 0;
    for (const auto& [name, value] : wanted) {
        if (is[name] == value) continue;
        std::printf("not ok: %s: %s is \"%s\", the row says \"%s\"\n", who.c_str(), name.c_str(), is[name].c_str(),
                    value.c_str());
        ++differences;
    }
    if (is.count("ended") != 0) ++differences;
    if (differences == 0)
        std::printf("ok: %-20s uid %s, capabilities %s, seccomp %s, groups \"%s\", hidden %s\n", who.c_str(),
                    is["Uid"].substr(0, is["Uid"].find('\t')).c_str(), is["CapEff"].c_str(), is["Seccomp"].c_str(),
                    is["Groups"].c_str(), is["hidden"].c_str());
    failures += differences;
}

void hold_against_row(const Action& row, const Lab& lab) {
    auto wanted = expected_of(row, lab);
    const bool has_proxy = row.privilege.syscalls == actions::SyscallClass::bus;
    if (has_proxy) wanted["proxy_memory"] = "closed";
    compare(row.name, wanted, members_of(run_as(row, lab, "look", [&] {
                describe_myself(lab);
                if (has_proxy) describe_proxy_memory();
            })));
    if (!has_proxy) return;
    wanted.erase("proxy_memory");
    wanted["descriptors"] = "0=/dev/null 1=/dev/null 2=/dev/null 3=pipe 5=socket";
    wanted["ways_to_sockets"] = "socket connect";  // of AF_UNIX alone
    const auto wait_for_it = [] {
        char none = 0;
        while (::read(kWorkerBus, &none, 1) > 0) continue;
    };
    compare("  its bus proxy", wanted,
            members_of(run_as(row, lab, "look", wait_for_it, [&] { describe_myself(lab); })));
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 6) return 2;
    const Lab lab{std::atoi(argv[1]), std::atoi(argv[2]), argv[3], argv[4], argv[5], {argv + 6, argv + argc}};
    const CapabilitySet needed = (1U << 5U) | (1U << 6U) | (1U << 7U) | (1U << 8U);
    bool bounded = false;
    if (auto confined = confine_executor(needed, &bounded); !confined || !bounded) {
        std::printf("not ok: the executor could not be confined\n");
        return 1;
    }
    for (const auto& row : actions::all()) hold_against_row(row, lab);
    failures += print_matrix(lab);
    std::printf("%d failed\n", failures);
    return failures == 0 ? 0 : 1;
}
