#pragma once
// A child process that plays the daemon's end of a Unix socket, one scripted connection after the other.

#include "base/file.h"
#include "base/unique_fd.h"
#include "protocol/framing.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <functional>
#include <string>
#include <vector>

namespace luminous_healing::tests {

/// What to send back for the frame received; empty: hang up without an answer.
using Reply = std::function<std::string(const std::string& frame)>;

class CannedServer {
public:
    /// Listens, then serves one connection for each reply, in order, hanging up after each. Then it keeps listening
    /// and never answers.
    explicit CannedServer(std::vector<Reply> replies) {
        std::array<char, 64> pattern{"/tmp/healctl-test-XXXXXX"};
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        directory_ = pattern.data();
        UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path().copy(address.sun_path, sizeof address.sun_path - 1);
        REQUIRE(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
        REQUIRE(::listen(listener.get(), 8) == 0);
        child_ = ::fork();
        REQUIRE(child_ >= 0);
        if (child_ == 0) serve(listener.get(), replies);
    }
    ~CannedServer() {
        ::kill(child_, SIGKILL);
        ::waitpid(child_, nullptr, 0);
        ::unlink(path().c_str());
        ::unlink((directory_ + "/seen").c_str());
        ::rmdir(directory_.c_str());
    }
    CannedServer(const CannedServer&) = delete;
    CannedServer& operator=(const CannedServer&) = delete;

    [[nodiscard]] std::string path() const { return directory_ + "/socket"; }
    /// Every frame that arrived, one a line.
    [[nodiscard]] std::string seen() const { return read_file(directory_ + "/seen", 1U << 20U).value_or(""); }

private:
    [[noreturn]] void serve(int listener, const std::vector<Reply>& replies) const {
        for (const auto& reply : replies) {
            const UniqueFd connection(::accept(listener, nullptr, nullptr));
            const std::string answer = reply(receive(connection.get()));
            (void)write_all(connection.get(), answer);
        }
        for (;;) ::pause();
    }

    [[nodiscard]] std::string receive(int connection) const {
        protocol::FrameSplitter splitter;
        std::array<char, 4096> buffer{};
        while (splitter.poll() != protocol::FrameSplitter::State::frame) {
            const ssize_t n = ::read(connection, buffer.data(), buffer.size());
            if (n <= 0) return {};
            splitter.feed({buffer.data(), static_cast<std::size_t>(n)});
        }
        const std::string frame = splitter.take();
        const UniqueFd log(::open((directory_ + "/seen").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
        (void)write_all(log.get(), frame + "\n");
        return frame;
    }

    std::string directory_;
    pid_t child_ = -1;
};

}  // namespace luminous_healing::tests
