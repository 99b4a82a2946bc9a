// caller add: a new caller's key and its part of the configuration, both or neither.

#include "base/file.h"
#include "base/text.h"
#include "healctl/command.h"
#include "healctl/configuration.h"
#include "healctl/give_key.h"
#include "healctl/keys.h"
#include "healctl/new_caller.h"
#include "healctl/program.h"
#include "healctl/terminal.h"
#include "protocol/json_writer.h"
#include "protocol/mac.h"

#include <CLI/CLI.hpp>

#include <fcntl.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>

namespace luminous_healing::healctl {
namespace {

constexpr std::size_t kMaxConfig = 1U << 20U;  // bytes, as the daemon's own limit
constexpr const char* kGroup = "luminous-healing";
constexpr const char* kService = "luminous-healing.service";

struct CallerOptions {
    NewCaller caller;
    std::string file = kConfigFile;
    bool give = false;
    bool no_restart = false;
};

/// A file that is removed again unless it was kept.
class Draft {
public:
    explicit Draft(std::string path) : path_(std::move(path)) {}
    ~Draft() {
        if (!path_.empty()) ::unlink(path_.c_str());
    }
    Draft(const Draft&) = delete;
    Draft& operator=(const Draft&) = delete;
    void keep() { path_.clear(); }

private:
    std::string path_;
};

/// Held while the file is read, checked and replaced: two at once would each undo the other's caller. flock(2) of its
/// folder, which outlives the file that is replaced. Waits for nobody: whoever can read the folder could hold it.
Expected<UniqueFd> lock_folder_of(const std::string& file) {
    const std::string path = file.substr(0, file.rfind('/') + 1);
    UniqueFd folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder.valid()) return fail_errno(path);
    if (::flock(folder.get(), LOCK_EX | LOCK_NB) == 0) return folder;
    if (errno == EWOULDBLOCK) return fail("another healctl is changing " + file + " just now: try again");
    return fail_errno("lock " + path);
}

/// Beside the file it will replace, with its owner and mode; gone again with what is returned.
Expected<std::unique_ptr<Draft>> write_beside(const std::string& path, const std::string& draft,
                                              std::string_view text) {
    struct stat old {};
    if (::stat(path.c_str(), &old) != 0) return fail_errno(path);
    const UniqueFd fd(::open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!fd.valid() && errno == EEXIST)
        return fail(draft + " is there already, from a healctl that was ended too early: remove it");
    if (!fd.valid()) return fail_errno("create " + draft);
    auto made = std::make_unique<Draft>(draft);
    if (auto written = write_all(fd.get(), text); !written) return tl::unexpected(written.error());
    if (::fchown(fd.get(), old.st_uid, old.st_gid) != 0 || ::fchmod(fd.get(), old.st_mode & 07777U) != 0 ||
        ::fsync(fd.get()) != 0)
        return fail_errno(draft);
    return made;
}

/// The new file must be one that the daemon would take; what is wrong is told as if it were in place already.
tl::expected<policy::Config, ExitStatus> check_draft(const std::string& draft, const std::string& path) {
    auto config = executor::read_config(draft, config_sources());
    if (config) return std::move(*config);
    auto problems = std::move(config.error());
    for (auto& problem : problems) {
        if (problem.where.starts_with(draft)) problem.where = path + problem.where.substr(draft.size());
    }
    complain("nothing was changed; with this caller the configuration would be wrong:");
    report_problems(problems);
    return tl::unexpected(ExitStatus::error);
}

std::string key_path_of(const policy::Config& config, const std::string& caller) {
    const std::string key = config.callers.at(CallerName(caller)).keys.front();
    return key.starts_with('/') ? key : config_sources().key_directory + "/" + key;
}

/// Key, then configuration: a key that nobody refers to does no harm, the other way round the daemon would not start.
Expected<void> put_in_place(const std::string& draft, const std::string& file, const std::string& key_path,
                            std::string_view key, const policy::Config& config) {
    if (auto made = write_key_file(key_path, key); !made) return made;
    Draft unless_renamed(key_path);
    if (config.daemon.user) {  // a daemon that steps down by itself reads its keys as that user
        const auto* const entry = ::getpwnam(config.daemon.user->c_str());
        if (entry == nullptr || ::chown(key_path.c_str(), entry->pw_uid, static_cast<gid_t>(-1)) != 0)
            return fail_errno("give " + key_path + " to " + *config.daemon.user);
    }
    if (::rename(draft.c_str(), file.c_str()) != 0) return fail_errno("replace " + file);
    unless_renamed.keep();
    const UniqueFd folder(::open(file.substr(0, file.rfind('/') + 1).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (folder.valid()) ::fsync(folder.get());
    return {};
}

/// systemd hands the keys over when the service starts, so a reload would not see the new one. The socket stays open
/// over a restart: requests wait, and what runs is finished first.
bool restart_service(const CallerOptions& options) {
    if (options.no_restart) return false;
    if (options.file != kConfigFile || !is_systemd_here()) {
        complain("now let the daemon read it: send HUP to the main process of luminous-healingd");
        return false;
    }
    const auto restarted = run_program({"systemctl", "try-restart", kService}, false);
    if (restarted && restarted->status == 0) return true;
    complain("luminous-healing.service did not restart: systemctl status luminous-healing.service");
    return false;
}

void say_next_steps(const CallerOptions& options, const std::string& key_path, const std::string& given) {
    const auto& user = options.caller.users.front();
    if (given.empty())
        note("  the key is " + key_path + ": give " + user + " a copy that only they can read, or add --give\n");
    for (const auto& each : options.caller.users) {
        if (is_in_group(each, kGroup)) continue;
        std::string step("  let ");
        step.append(each).append(" open the socket: usermod --append --groups ").append(kGroup).append(" ");
        note(step.append(each).append("\n"));
    }
    const std::string named = user == options.caller.name ? "" : "--caller " + options.caller.name + " ";
    note("  then, as " + user + ": healctl " + named +
         (options.caller.actions.empty() ? "status" : "plan " + options.caller.actions.front() + " …") + "\n");
}

std::string to_json(const CallerOptions& options, const std::string& key_path, const std::string& given,
                    bool restarted) {
    protocol::JsonWriter writer;
    writer.begin_object().member("caller", options.caller.name).member("config", options.file);
    writer.member("key_file", key_path).member("given", given).member_bool("restarted", restarted).end_object();
    return writer.take() + "\n";
}

/// What to write: a symlink stays one. On NixOS the file is made anew from its configuration, which is what to change.
Expected<std::string> file_to_write(const std::string& path, const std::string& caller) {
    const std::unique_ptr<char, decltype(&::free)> real(::realpath(path.c_str(), nullptr), ::free);
    if (real == nullptr) return fail_errno(path);
    if (std::string_view(real.get()).starts_with("/nix/store/"))
        return fail(path + " is made by NixOS. Write services.luminous-healing.callers." + caller +
                    " = { users = [ … ]; actions = [ … ]; }; into its configuration instead");
    return std::string(real.get());
}

/// The key's bytes live no longer than this.
struct FreshKey {
    std::string text = new_key();
    FreshKey() = default;
    FreshKey(const FreshKey&) = delete;
    FreshKey& operator=(const FreshKey&) = delete;
    ~FreshKey() { protocol::wipe(text); }
};

ExitStatus add(const CallerOptions& options, const Globals& globals) {
    const auto file = file_to_write(options.file, options.caller.name);
    if (!file) return report_error(file.error());
    const auto locked = lock_folder_of(*file);
    if (!locked) return report_error(locked.error());
    const auto old = executor::read_config(options.file, config_sources());
    if (!old) {
        report_problems(old.error());
        return ExitStatus::error;
    }
    const auto tables = tables_of(options.caller, *old);
    if (!tables) return report_usage(tables.error());
    const auto bytes = read_file(*file, kMaxConfig);
    if (!bytes) return report_error(bytes.error());

    const std::string path = *file + ".new";
    const bool ends_line = bytes->empty() || bytes->back() == '\n';
    const auto draft = write_beside(*file, path, *bytes + (ends_line ? "" : "\n") + *tables);
    if (!draft) return report_error(draft.error());
    const auto config = check_draft(path, *file);
    if (!config) return config.error();
    const FreshKey key;
    const std::string key_path = key_path_of(*config, options.caller.name);
    if (auto ok = put_in_place(path, *file, key_path, key.text, *config); !ok) return report_error(ok.error());

    complain("caller " + options.caller.name + " is in " + options.file + ", its key in " + key_path);
    std::string given;
    if (options.give) {
        auto copy = give_key(options.caller.users.front(), key.text);
        if (copy) given = *copy;
        else complain(copy.error().message);
    }
    const bool restarted = restart_service(options);
    if (globals.json) print(to_json(options, key_path, given, restarted));
    else say_next_steps(options, key_path, given);
    return options.give && given.empty() ? ExitStatus::error : ExitStatus::done;
}

}  // namespace

void add_caller(CLI::App& command, CommandLine& line) {
    command.require_subcommand(1);
    command.fallthrough();
    auto* const adding = command.add_subcommand("add", "write a key and the caller's part of the configuration");
    const auto options = std::make_shared<CallerOptions>();
    adding->add_option("NAME", options->caller.name, "what it calls itself in its requests")->required()->type_name("");
    adding->add_option("--user", options->caller.users, "whose processes may use the key; may be repeated")
        ->required()
        ->take_all()
        ->allow_extra_args(false)
        ->type_name("USER");
    adding->add_option("--action", options->caller.actions, "what it may do; without it only status")
        ->take_all()
        ->allow_extra_args(false)
        ->type_name("ACTION");
    adding->add_option("--unit", options->caller.units, "which units, for an action that is not enabled so far")
        ->take_all()
        ->allow_extra_args(false)
        ->type_name("UNIT");
    adding->add_option("--config", options->file, std::string("the configuration [") + kConfigFile + "]")
        ->type_name("FILE");
    adding->add_flag("--give", options->give, "write the first user's copy of the key into their home");
    adding->add_flag("--no-restart", options->no_restart, "do not let the daemon read it");
    adding->callback(
        [options, &line] { line.chosen = [options](const Globals& globals) { return add(*options, globals); }; });
}

}  // namespace luminous_healing::healctl
