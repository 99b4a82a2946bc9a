#pragma once
// A worker as the daemon starts one, as far as these tests need it, and a machine made of files.

#include "actions/action.h"
#include "actions/machine_files.h"
#include "base/file.h"

#include <doctest/doctest.h>

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <vector>

namespace luminous_healing::actions::test {

/// A folder that stands for the machine's root while it lives.
class FakeMachine {
public:
    FakeMachine() : folder_(make_folder()), root_(folder_) {}
    ~FakeMachine() { std::filesystem::remove_all(folder_); }
    FakeMachine(const FakeMachine&) = delete;
    FakeMachine& operator=(const FakeMachine&) = delete;

    void write(const std::string& path, const std::string& content) const {
        std::filesystem::create_directories(std::filesystem::path(folder_ + path).parent_path());
        std::ofstream(folder_ + path) << content;
        std::filesystem::permissions(folder_ + path, std::filesystem::perms(0666));
    }
    [[nodiscard]] std::string read(const std::string& path) const {
        std::ifstream file(folder_ + path);
        return {std::istreambuf_iterator<char>(file), {}};
    }
    [[nodiscard]] std::string path(const std::string& absolute) const { return folder_ + absolute; }

private:
    static std::string make_folder() {
        std::string folder = (std::filesystem::temp_directory_path() / "luminous-actions-XXXXXX").string();
        if (::mkdtemp(folder.data()) == nullptr) std::abort();
        std::filesystem::permissions(folder, std::filesystem::perms(0755));
        return folder;
    }
    std::string folder_;
    ScopedMachineRoot root_;
};

/// What a request would bring.
struct Request {
    policy::Arguments arguments;
    policy::ActionPolicy policy;
    policy::DaemonSettings settings;
    Micros time = 10s;
    bool only_check = false;
    std::function<void(std::string_view)> progress = [](std::string_view) {};
};

/// Arguments through the row's own specification, as decide() would check them.
inline policy::Arguments arguments_for(const Action& row, const std::string& json) {
    const auto object = protocol::read_json_object(json, 65536);
    REQUIRE(object);
    auto arguments = policy::check_parameters(row.parameters, object->members);
    REQUIRE_MESSAGE(arguments, (arguments ? std::string() : arguments.error().detail));
    return std::move(*arguments);
}

inline Report carry_out_here(const Action& row, const Request& request) {
    Context context{.arguments = request.arguments,
                    .policy = request.policy,
                    .settings = request.settings,
                    .request_id = "test",
                    .deadline = now().boot + request.time,
                    .progress = request.progress};
    return carry_out(row, context, request.only_check);
}

/// uid 0 without one capability, as RunAs::root means it. By system call: libcap stays behind its fence.
inline void drop_all_capabilities() {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    std::array<__user_cap_data_struct, 2> none{};
    if (::syscall(SYS_capset, &header, none.data()) != 0) ::_exit(90);
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) ::_exit(91);
}

inline void become_nobody() {
    if (::geteuid() == 0 && (::setresgid(65534, 65534, 65534) != 0 || ::setresuid(65534, 65534, 65534) != 0))
        ::_exit(92);
}

/// A report as it comes out of a worker: everything as text.
struct WorkerReport {
    std::string code, verdict, output, error, facts;
    pid_t daemon = 0;
};

/// Runs the action in a child of a child: the first stands for the daemon, the second is the worker. `prepare` runs in
/// the worker, and may set the request by the daemon's PID.
inline WorkerReport in_worker(const Action& row, Request request,
                              const std::function<void(Request&, pid_t daemon)>& prepare) {
    std::array<int, 2> channel{};
    REQUIRE(::pipe(channel.data()) == 0);
    const pid_t daemon = ::fork();
    REQUIRE(daemon >= 0);
    if (daemon == 0) {
        const pid_t self = ::getpid();
        const pid_t worker = ::fork();
        if (worker == 0) {
            prepare(request, self);
            const Report report = carry_out_here(row, request);
            const std::string text = std::string(name_of(report.code)) + '\n' +
                                     std::string(report.verdict ? name_of(*report.verdict) : "none") + '\n' +
                                     report.output + '\n' + report.error.value_or("") + '\n' + report.facts.to_json() +
                                     '\n';
            ::_exit(write_all(channel[1], text) ? 0 : 1);
        }
        ::waitpid(worker, nullptr, 0);
        ::_exit(0);
    }
    ::close(channel[1]);
    const auto text = read_all(channel[0], 65536);
    ::close(channel[0]);
    ::waitpid(daemon, nullptr, 0);
    REQUIRE(text);
    std::vector<std::string> lines;
    for (std::size_t at = 0, end = 0; (end = text->find('\n', at)) != std::string::npos; at = end + 1)
        lines.push_back(text->substr(at, end - at));
    REQUIRE(lines.size() == 5);
    return {lines[0], lines[1], lines[2], lines[3], lines[4], daemon};
}

/// A child that runs `body` once; when this returns the child has called its argument.
class Child {
public:
    explicit Child(const std::function<void(const std::function<void()>& ready)>& body) {
        std::array<int, 2> channel{};
        REQUIRE(::pipe(channel.data()) == 0);
        pid_ = ::fork();
        REQUIRE(pid_ >= 0);
        if (pid_ == 0) {
            ::close(channel[0]);
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            for (const int number : {SIGTERM, SIGINT, SIGHUP}) ::signal(number, SIG_DFL);  // doctest has handlers
            body([&] { ::close(channel[1]); });
            ::_exit(0);
        }
        ::close(channel[1]);
        char nothing = 0;
        REQUIRE(::read(channel[0], &nothing, 1) == 0);  // end of file: the child has closed its end
        ::close(channel[0]);
    }
    ~Child() {
        if (pid_ <= 0) return;
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;

    [[nodiscard]] pid_t pid() const { return pid_; }
    /// Reaps it and says which signal ended it, 0 for none.
    int reap() {
        int status = 0;
        ::waitpid(std::exchange(pid_, 0), &status, 0);
        return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    }

private:
    pid_t pid_ = 0;
};

/// A child that waits for signals, with one of them ignored when given.
inline std::function<void(const std::function<void()>&)> sleeper(int ignored = 0, uid_t uid = static_cast<uid_t>(-1)) {
    return [=](const std::function<void()>& ready) {
        if (ignored != 0) ::signal(ignored, SIG_IGN);
        if (uid != static_cast<uid_t>(-1) && ::setresuid(uid, uid, uid) != 0) ::_exit(93);
        // A change of user clears it, see PR_SET_PDEATHSIG(2const).
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        ::prctl(PR_SET_NAME, "victim");
        ready();
        while (true) ::pause();
    };
}

}  // namespace luminous_healing::actions::test
