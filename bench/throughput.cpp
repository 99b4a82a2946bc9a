#include "bench/load.h"
#include "bench/times.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <vector>

namespace luminous_healing::bench {
namespace {

struct Stream {
    UniqueFd fd;
    std::string frames;             // all of this connection, one after the other
    std::vector<std::size_t> ends;  // of each of them
    std::size_t sent = 0;           // of them
    std::size_t answered = 0;
    std::string partial;

    [[nodiscard]] bool done() const { return answered == ends.size(); }

    /// As many more as the window has room for, in one write.
    void send_up_to(std::size_t limit) {
        const std::size_t until = std::min(limit, ends.size());
        if (until <= sent) return;
        const std::size_t from = sent == 0 ? 0 : ends[sent - 1];
        send_all(fd.get(), std::string_view(frames).substr(from, ends[until - 1] - from));
        sent = until;
    }

    /// What has come, taken apart at its newlines.
    void take_answers(const LoadOptions& options) {
        std::array<char, 65536> buffer;  // NOLINT(*-member-init): recv(2) writes it
        const ssize_t n = ::recv(fd.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (n <= 0) give_up("a connection was closed");
        partial.append(buffer.data(), static_cast<std::size_t>(n));
        std::size_t from = 0;
        for (std::size_t end = 0; (end = partial.find('\n', from)) != std::string::npos; from = end + 1) {
            check_answer(options, std::string_view(partial).substr(from, end - from));
            ++answered;
        }
        partial.erase(0, from);
    }
};

std::vector<Stream> prepare(const LoadOptions& options, const Frames& frames) {
    std::vector<Stream> streams(options.clients);
    for (std::size_t i = 0; i < options.count; ++i) {
        Stream& stream = streams[i % streams.size()];
        stream.frames += frames.make(i);
        stream.ends.push_back(stream.frames.size());
    }
    for (auto& stream : streams) stream.fd = connect_to(options.socket);
    return streams;
}

}  // namespace

void measure_throughput(const LoadOptions& options, const Frames& frames) {
    auto streams = prepare(options, frames);
    const UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
    for (auto& stream : streams) {
        epoll_event event{.events = EPOLLIN, .data = {.ptr = &stream}};
        if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, stream.fd.get(), &event) != 0) give_up("epoll_ctl");
    }
    const auto began = Clock::now();
    for (auto& stream : streams) stream.send_up_to(options.window);
    std::size_t open = 0;
    for (const auto& stream : streams) open += stream.done() ? 0 : 1;
    while (open > 0) {
        std::array<epoll_event, 64> events{};
        const int ready = ::epoll_wait(epoll.get(), events.data(), static_cast<int>(events.size()), -1);
        for (int i = 0; i < ready; ++i) {
            auto& stream = *static_cast<Stream*>(events[static_cast<std::size_t>(i)].data.ptr);
            if (stream.done()) continue;
            stream.take_answers(options);
            stream.send_up_to(stream.answered + options.window);
            if (stream.done()) --open;
        }
    }
    const double seconds = std::chrono::duration<double>(Clock::now() - began).count();
    std::printf("{\"count\":%zu,\"seconds\":%.6f,\"per_second\":%.1f}\n", options.count, seconds,
                static_cast<double>(options.count) / seconds);
}

}  // namespace luminous_healing::bench
