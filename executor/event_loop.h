#pragma once
// A thin C++ face of sd-event(3): sources that end with their owner, callbacks that are closures.

#include "base/clock.h"
#include "base/expected.h"

#include <systemd/sd-event.h>

#include <cstdint>
#include <functional>
#include <memory>

namespace luminous_healing::executor {

/// Owns one event source and its callback. Ending it, also from inside its own callback, takes effect at once: the
/// descriptor may be closed right after.
class EventSource {
public:
    EventSource() = default;
    EventSource(EventSource&&) noexcept = default;
    EventSource& operator=(EventSource&& other) noexcept;
    EventSource(const EventSource&) = delete;
    EventSource& operator=(const EventSource&) = delete;
    ~EventSource() { reset(); }
    [[nodiscard]] bool active() const noexcept { return state_ != nullptr; }
    void reset() noexcept;

private:
    friend class EventLoop;
    struct State;
    std::shared_ptr<State> state_;
};

class EventLoop {
public:
    [[nodiscard]] static Expected<EventLoop> create();
    ~EventLoop();
    EventLoop(EventLoop&& other) noexcept;
    EventLoop& operator=(EventLoop&&) = delete;
    EventLoop(const EventLoop&) = delete;
    EventLoop& operator=(const EventLoop&) = delete;

    /// Calls back with the ready events (epoll(7) EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR). Does not own the descriptor.
    [[nodiscard]] EventSource on_io(int fd, std::uint32_t events, std::function<void(std::uint32_t)> callback);
    void set_io_events(EventSource& source, std::uint32_t events);
    /// Once, after `delay` on CLOCK_BOOTTIME.
    [[nodiscard]] EventSource after(Micros delay, std::function<void()> callback);
    /// Sets a timer made by after() anew.
    void restart(EventSource& source, Micros delay);
    /// Once, as soon as nothing else is there to do.
    [[nodiscard]] EventSource when_idle(std::function<void()> callback);
    /// The signal is blocked for normal delivery.
    [[nodiscard]] EventSource on_signal(int signal, std::function<void()> callback);

    /// Until stop().
    [[nodiscard]] Expected<void> run();
    void stop();

private:
    explicit EventLoop(sd_event* event) : event_(event) {}
    sd_event* event_ = nullptr;
};

}  // namespace luminous_healing::executor
