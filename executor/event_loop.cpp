#include "executor/event_loop.h"

#include <sys/epoll.h>
#include <sys/signalfd.h>

#include <csignal>
#include <cstdlib>
#include <utility>

namespace luminous_healing::executor {

struct EventSource::State {
    sd_event_source* source = nullptr;
    std::function<void(std::uint32_t)> io;
    std::function<void()> plain;
    State() = default;
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    ~State() = default;
};

EventSource& EventSource::operator=(EventSource&& other) noexcept {
    if (this != &other) {
        reset();
        state_ = std::move(other.state_);
    }
    return *this;
}

/// The closure may be running at this moment and lives until it returns; the source ends now.
void EventSource::reset() noexcept {
    if (state_ == nullptr) return;
    state_->source = sd_event_source_disable_unref(state_->source);
    state_.reset();
}

namespace {

/// Adding a source fails only without memory or descriptors; a daemon without its timers and sockets must not go on.
void must(int result) {
    if (result < 0) std::abort();
}

template <class State>
void destroy_weak(void* userdata) {
    delete static_cast<std::weak_ptr<State>*>(userdata);
}

/// A callback may destroy its own EventSource; what this returns keeps the closure alive until it has returned.
template <class State>
std::shared_ptr<State> lock(void* userdata) {
    return static_cast<std::weak_ptr<State>*>(userdata)->lock();
}

}  // namespace

Expected<EventLoop> EventLoop::create() {
    sd_event* event = nullptr;
    const int error = sd_event_new(&event);
    if (error < 0) return fail_errno("sd_event_new", -error);
    return EventLoop(event);
}

EventLoop::EventLoop(EventLoop&& other) noexcept : event_(std::exchange(other.event_, nullptr)) {}
EventLoop::~EventLoop() { sd_event_unref(event_); }

EventSource EventLoop::on_io(int fd, std::uint32_t events, std::function<void(std::uint32_t)> callback) {
    using State = EventSource::State;
    EventSource result;
    result.state_ = std::make_shared<State>();
    result.state_->io = std::move(callback);
    auto* const weak = new std::weak_ptr<State>(result.state_);  // owned by the source, see destroy_weak
    const auto handler = [](sd_event_source*, int, std::uint32_t ready, void* userdata) {
        if (const auto state = lock<State>(userdata)) state->io(ready);
        return 0;
    };
    must(sd_event_add_io(event_, &result.state_->source, fd, events, handler, weak));
    must(sd_event_source_set_destroy_callback(result.state_->source, destroy_weak<State>));
    return result;
}

void EventLoop::set_io_events(EventSource& source, std::uint32_t events) {
    must(sd_event_source_set_io_events(source.state_->source, events));
}

EventSource EventLoop::after(Micros delay, std::function<void()> callback) {
    using State = EventSource::State;
    EventSource result;
    result.state_ = std::make_shared<State>();
    result.state_->plain = std::move(callback);
    auto* const weak = new std::weak_ptr<State>(result.state_);
    const auto handler = [](sd_event_source*, std::uint64_t, void* userdata) {
        if (const auto state = lock<State>(userdata)) state->plain();
        return 0;
    };
    must(sd_event_add_time_relative(event_, &result.state_->source, CLOCK_BOOTTIME,
                                    static_cast<std::uint64_t>(delay.count()), 1000, handler, weak));
    must(sd_event_source_set_destroy_callback(result.state_->source, destroy_weak<State>));
    return result;
}

void EventLoop::restart(EventSource& source, Micros delay) {
    must(sd_event_source_set_time_relative(source.state_->source, static_cast<std::uint64_t>(delay.count())));
    must(sd_event_source_set_enabled(source.state_->source, SD_EVENT_ONESHOT));
}

EventSource EventLoop::when_idle(std::function<void()> callback) {
    using State = EventSource::State;
    EventSource result;
    result.state_ = std::make_shared<State>();
    result.state_->plain = std::move(callback);
    auto* const weak = new std::weak_ptr<State>(result.state_);
    const auto handler = [](sd_event_source*, void* userdata) {
        if (const auto state = lock<State>(userdata)) state->plain();
        return 0;
    };
    must(sd_event_add_defer(event_, &result.state_->source, handler, weak));
    must(sd_event_source_set_destroy_callback(result.state_->source, destroy_weak<State>));
    must(sd_event_source_set_priority(result.state_->source, SD_EVENT_PRIORITY_IDLE));
    return result;
}

EventSource EventLoop::on_signal(int signal, std::function<void()> callback) {
    using State = EventSource::State;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    sigprocmask(SIG_BLOCK, &set, nullptr);
    EventSource result;
    result.state_ = std::make_shared<State>();
    result.state_->plain = std::move(callback);
    auto* const weak = new std::weak_ptr<State>(result.state_);
    const auto handler = [](sd_event_source*, const signalfd_siginfo*, void* userdata) {
        if (const auto state = lock<State>(userdata)) state->plain();
        return 0;
    };
    must(sd_event_add_signal(event_, &result.state_->source, signal, handler, weak));
    must(sd_event_source_set_destroy_callback(result.state_->source, destroy_weak<State>));
    return result;
}

Expected<void> EventLoop::run() {
    const int error = sd_event_loop(event_);
    if (error < 0) return fail_errno("sd_event_loop", -error);
    return {};
}

void EventLoop::stop() { sd_event_exit(event_, 0); }

}  // namespace luminous_healing::executor
