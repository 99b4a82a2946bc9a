// luminous-healingd(8). Reads the command line and the configuration, binds or adopts the socket, starts the gate
// before any key is read, gives up what it does not need, and becomes the executor.

#include "base/descriptors.h"
#include "base/file.h"
#include "base/text.h"
#include "executor/confinement.h"
#include "executor/executor.h"
#include "executor/gate.h"
#include "executor/keeper.h"
#include "executor/logging.h"
#include "executor/needs.h"
#include "executor/privileges.h"
#include "executor/worker.h"
#include "protocol/json_writer.h"
#include "protocol/secret_memory.h"

#include <fcntl.h>
#include <getopt.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>

namespace {

using namespace luminous_healing;            // NOLINT(google-build-using-namespace): this file is the program
using namespace luminous_healing::executor;  // NOLINT(google-build-using-namespace)

constexpr int kExitUsage = 2;
constexpr int kExitConfig = 78;  // EX_CONFIG, sysexits.h: systemd shows it by name

constexpr const char* kUsage =
    "Usage: luminous-healingd [OPTION]...\n"
    "The privileged healing executor. See luminous-healingd(8).\n\n"
    "  --config FILE         the configuration (default /etc/luminous-healing/config.toml)\n"
    "  --check               read configuration and keys, print what is wrong, and exit\n"
    "  --socket PATH         bind this socket instead of the configured one\n"
    "  --print-capabilities  what the enabled actions need, as JSON for unit files, and exit\n"
    "  --verbose             log debug messages too\n"
    "  --version             print the version and exit\n"
    "  --help                print this and exit\n";

struct Options {
    std::string config = "/etc/luminous-healing/config.toml";
    std::optional<std::string> socket;
    bool check = false;
    bool print_capabilities = false;
    bool verbose = false;
    bool gate = false;
};

/// Nothing when the program has said what there was to say: `status` is its exit status.
std::optional<Options> parse_options(int argc, char** argv, int& status) {
    enum : int { kConfig = 1, kCheck, kSocket, kPrint, kVerbose, kVersion, kHelp, kGate };
    static const option table[] = {{"config", required_argument, nullptr, kConfig},
                                   {"check", no_argument, nullptr, kCheck},
                                   {"socket", required_argument, nullptr, kSocket},
                                   {"print-capabilities", no_argument, nullptr, kPrint},
                                   {"verbose", no_argument, nullptr, kVerbose},
                                   {"version", no_argument, nullptr, kVersion},
                                   {"help", no_argument, nullptr, kHelp},
                                   {"gate", no_argument, nullptr, kGate},  // for ourselves, see gate.h
                                   {nullptr, 0, nullptr, 0}};
    Options options;
    status = kExitUsage;
    for (int choice = 0; (choice = getopt_long(argc, argv, "", table, nullptr)) != -1;) {
        switch (choice) {
            case kConfig: options.config = optarg; break;
            case kCheck: options.check = true; break;
            case kSocket: options.socket = optarg; break;
            case kPrint: options.print_capabilities = true; break;
            case kVerbose: options.verbose = true; break;
            case kGate: options.gate = true; break;
            case kVersion:
                (void)std::puts("luminous-healingd " LUMINOUS_VERSION);
                status = 0;
                return {};
            case kHelp:
                (void)std::fputs(kUsage, stdout);
                status = 0;
                return {};
            default: (void)std::fputs("Try --help.\n", stderr); return {};
        }
    }
    if (optind == argc) return options;
    (void)std::fprintf(stderr, "luminous-healingd: unexpected argument \"%s\". Try --help.\n", argv[optind]);
    return {};
}

ConfigSources sources_of_environment() {
    ConfigSources sources;
    if (const char* const folder = std::getenv("CREDENTIALS_DIRECTORY")) sources.credentials_directory = folder;
    return sources;
}

constexpr std::size_t kShownProblem = 4096;  // bytes; a name in the file may hold what drives a terminal

int say_problems(const std::vector<ConfigProblem>& problems) {
    for (const auto& problem : problems)
        std::cerr << printable_line(problem.where + ": " + problem.what, kShownProblem) << "\n";
    return kExitConfig;
}

int check(const policy::Config& config, const ConfigSources& sources) {
    auto keys = read_keys(config, sources);
    if (!keys) return say_problems(keys.error());
    for (auto& [caller, texts] : *keys) {
        for (auto& text : texts) protocol::wipe(text);
    }
    for (const auto& warning : config.warnings)
        std::cerr << "warning: " << printable_line(warning, kShownProblem) << "\n";
    std::cout << config.file << ": good (" << config.callers.size() << " callers, " << config.actions.size()
              << " actions)\n";
    return 0;
}

void write_texts(protocol::JsonWriter& writer, const std::vector<std::string>& texts) {
    writer.begin_array();
    for (const auto& text : texts) writer.string(text);
    writer.end_array();
}

/// What the unit must let through to the worker, besides capabilities.
void write_privilege(protocol::JsonWriter& writer, const actions::Privilege& privilege) {
    writer.begin_object().member_bool("command", privilege.syscalls == actions::SyscallClass::command).key("writes");
    write_texts(writer, privilege.writes);
    writer.member_bool("network", privilege.network).member_bool("confined", privilege.confined).end_object();
}

/// Who the daemon runs as decides what it needs: the configured user, else the service's, else whoever asks.
int print_capabilities(const policy::Config& config) {
    uid_t uid = ::geteuid();
    const char* const service_user = "luminous-healing";
    if (const auto who = credentials_of(config.daemon.user.value_or(service_user))) uid = who->uid;
    else if (uid == 0) uid = 1;  // the service user does not exist yet: any uid but 0 gives the same answer
    protocol::JsonWriter writer;
    writer.begin_object().key("capabilities");
    write_texts(writer, capability_names(needed_capabilities(config, uid)));
    writer.key("privileges").begin_object();
    for (const auto& [name, action] : config.actions)
        write_privilege(writer.key_text(name.str()), row_of(action).privilege);
    writer.end_object().key("actions").begin_object();
    for (const auto& [name, action] : config.actions) {
        policy::Config only = config;
        only.actions = {{name, action}};
        writer.key_text(name.str());
        write_texts(writer, capability_names(needed_capabilities(only, uid)));
    }
    writer.end_object().end_object();
    std::cout << writer.text() << "\n";
    return 0;
}

std::string first_line(const std::string& path) {
    const auto content = read_file(path, 4096);
    return content ? std::string(trim(*content)) : std::string();
}

Host look_at_host() {
    std::array<char, 256> name{};
    ::gethostname(name.data(), name.size() - 1);
    return {name.data(), first_line("/etc/machine-id"), first_line("/proc/sys/kernel/random/boot_id")};
}

audit::LogSettings log_settings(const policy::Config& config, const Host& host) {
    return {config.audit.path, config.audit.reserve, config.audit.rotate_size, config.audit.keep,
            host.name,         host.boot_id};
}

/// Version 1 clients may still have their key in the environment of the service; it becomes the key of the caller
/// named "legacy", where one is configured.
void add_legacy_secret(const policy::Config& config, CallerKeys& keys) {
    const char* const secret = std::getenv("LUMINOUS_HEALING_SECRET");
    if (secret == nullptr) return;
    const auto legacy = keys.find(CallerName("legacy"));
    if (!config.daemon.legacy_v1 || legacy == keys.end())
        return log_warning(
            "LUMINOUS_HEALING_SECRET is ignored: it needs daemon.legacy_v1 and a caller named \"legacy\"");
    if (std::string_view(secret).size() < protocol::kMinKeyLength)
        return log_warning("LUMINOUS_HEALING_SECRET is ignored: it has fewer than 32 characters");
    log_warning("the key in LUMINOUS_HEALING_SECRET can be read in /proc by the service's user; use a key file");
    legacy->second.emplace_back(secret);
}

/// Started as root without systemd's help: the configured user, with what the actions need and no more.
Expected<void> step_down(const policy::Config& config, bool* bounded) {
    if (::geteuid() == 0 && config.daemon.user) {
        const auto who = credentials_of(*config.daemon.user);
        if (!who) return tl::unexpected(who.error());
        *bounded = limit_bounding(needed_capabilities(config, who->uid));
        if (auto ok = become(*who, needed_capabilities(config, who->uid)); !ok) return ok;
    }
    if (::geteuid() == 0)
        log_warning("running as uid 0 with its capabilities cut; set daemon.user, or start it by systemd");
    CapabilitySet keep = needed_capabilities(config, ::geteuid());
    if (::geteuid() == 0) {  // the gate has another uid then: it must be ended, and started again
        for (const char* const name : {"cap_kill", "cap_setuid", "cap_setgid"})
            keep |= capability_bit(name).value_or(0);
    }
    bool cut = false;
    auto confined = confine_executor(keep, &cut);
    *bounded = *bounded || cut;
    return confined;
}

/// Who the gate becomes, when we may choose: the service's user, else a uid that nobody has.
std::optional<Credentials> gate_user(const policy::Config& config) {
    if (::geteuid() != 0) return {};
    if (config.daemon.user) {
        if (const auto who = credentials_of(*config.daemon.user)) return Credentials{who->uid, who->gid, {}};
    }
    // One that no account has: whoever shares the gate's uid could stop it. Debian keeps 65000 to 65533 free.
    uid_t uid = 65533;
    while (uid > 65000 && ::getpwuid(uid) != nullptr) --uid;
    return Credentials{uid, static_cast<gid_t>(uid), {}};
}

/// After stepping down: could a reload read the keys again? Better to say so now than at the first reload.
Expected<void> readable_for_reload(const policy::Config& config, const ConfigSources& sources) {
    if (!config.daemon.user) return {};
    auto keys = read_keys(config, sources);
    if (!keys)
        return fail("as " + *config.daemon.user + ": " + keys.error().front().where + ": " + keys.error().front().what +
                    " Give the key files to daemon.user (chown " + *config.daemon.user +
                    " FILE), so that a reload can read them");
    for (auto& [caller, texts] : *keys) {
        for (auto& text : texts) protocol::wipe(text);
    }
    return {};
}

/// The loop, the channel, the log, a new connection, and a few for each of the workers that may run at a time.
constexpr rlim_t kLeastDescriptors = 64;

Expected<void> enough_descriptors() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return fail_errno("getrlimit RLIMIT_NOFILE");
    if (limit.rlim_cur >= kLeastDescriptors) return {};
    return fail("may open only " + std::to_string(limit.rlim_cur) + " descriptors (RLIMIT_NOFILE) and needs " +
                std::to_string(kLeastDescriptors) + ". Set LimitNOFILE= in the unit, or `ulimit -n`, to 1024 or more");
}

int fail_start(const std::string& what) {
    log_error(what);
    return 1;
}

/// systemd kills whatever is left of its units, systemd.kill(5); elsewhere the keeper does.
Expected<std::optional<Keeper>> start_keeper() {
    if (std::getenv("INVOCATION_ID") != nullptr) return std::optional<Keeper>();
    auto keeper = Keeper::start();
    if (!keeper) return tl::unexpected(keeper.error());
    return std::optional(std::move(*keeper));
}

/// The launcher lies beside this program where it was built, below libexec where it was installed. It is opened once:
/// an upgrade while we run must not give us one that understands us differently. Whoever may change it may change us
/// too.
Expected<UniqueFd> open_launcher() {
    std::error_code error;
    const auto folder = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
    const auto installed = (folder / LUMINOUS_LIBEXEC_FROM_SBIN "/luminous-healing").lexically_normal();
    for (const auto& place : {folder, installed}) {
        const auto path = place / "luminous-healing-launcher";
        const UniqueFd launcher(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
        if (!launcher.valid()) continue;
        struct stat status {};
        const bool is_file = ::fstat(launcher.get(), &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0;
        if (!is_file || ::faccessat(AT_FDCWD, path.c_str(), X_OK, AT_EACCESS) != 0)
            return fail(path.string() + " is no program; install the package again");
        UniqueFd kept(::fcntl(launcher.get(), F_DUPFD_CLOEXEC, 10));  // out of the way of what it starts with
        if (!kept.valid()) return fail_errno("open " + path.string());
        return kept;
    }
    return fail_errno("luminous-healing-launcher, which commands are started with, is neither in " + folder.string() +
                      " nor in " + installed.string() + "; install the package again");
}

int serve(const Options& options, const ConfigSources& sources, policy::Config config) {
    if (options.socket) config.daemon.socket = *options.socket;
    auto shared = std::make_shared<const policy::Config>(std::move(config));
    if (auto enough = enough_descriptors(); !enough) return fail_start(enough.error().message);
    ignore_signals();
    auto loop = EventLoop::create();
    if (!loop) return fail_start(loop.error().message);
    auto socket = ListeningSocket::open(shared->daemon);
    if (!socket) return fail_start(socket.error().message);
    auto launcher = open_launcher();
    if (!launcher) return fail_start(launcher.error().message);
    ExecutorSetup setup{options.config,      sources, options.socket, shared, look_at_host(), gate_user(*shared),
                        std::move(*launcher)};
    const Host host = setup.host;
    bool bounded = false;
    Executor executor(std::move(*loop), std::move(*socket), std::move(setup));
    if (auto started = executor.start_gate(); !started) return fail_start(started.error().message);
    auto texts = read_keys(*shared, sources);
    if (!texts) return say_problems(texts.error());
    add_legacy_secret(*shared, *texts);
    auto keyring = Keyring::create(std::move(*texts));
    if (!keyring) return fail_start(keyring.error().message);
    if (auto stepped = step_down(*shared, &bounded); !stepped) return fail_start(stepped.error().message);
    if (auto readable = readable_for_reload(*shared, sources); !readable) return fail_start(readable.error().message);
    if (shared->daemon.legacy_v1)
        log_warning("version 1 requests are accepted: their signature does not cover the parameters");
    auto keeper = start_keeper();
    if (!keeper) return fail_start(keeper.error().message);
    auto log = audit::Log::open(log_settings(*shared, host));
    if (!log) return fail_start(log.error().message);
    return executor.run(std::move(*keyring), std::move(*log), bounded);
}

}  // namespace

int main(int argc, char** argv) {
    if (!open_standard_descriptors()) return 1;  // and nowhere to say so
    int status = 0;
    const auto options = parse_options(argc, argv, status);
    if (!options) return status;
    if (options->gate) ::_exit(run_gate());
    close_descriptors_from(SD_LISTEN_FDS_START + std::max(sd_listen_fds(0), 0));
    start_logging(options->verbose);
    // First of all: the configuration's digest is OpenSSL's work too.
    if (auto installed = protocol::install_secret_memory(); !installed) return fail_start(installed.error().message);
    const auto sources = sources_of_environment();
    auto config = read_config(options->config, sources);
    if (!config) return say_problems(config.error());
    if (options->check) return check(*config, sources);
    if (options->print_capabilities) return print_capabilities(*config);
    return serve(*options, sources, std::move(*config));
}
