#pragma once
// Between the values of system_bus.h and sd-bus's messages. Inside of actions/bus_*.cpp and system_bus.cpp only: nobody
// else includes sd-bus.

#include "actions/system_bus.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include <systemd/sd-bus.h>

namespace luminous_healing::actions {

struct MessageDeleter {
    void operator()(sd_bus_message* message) const noexcept { sd_bus_message_unref(message); }
};
using Message = std::unique_ptr<sd_bus_message, MessageDeleter>;

class BusError {
public:
    BusError() = default;
    BusError(const BusError&) = delete;
    BusError& operator=(const BusError&) = delete;
    ~BusError() { sd_bus_error_free(&error_); }
    sd_bus_error* get() { return &error_; }
    [[nodiscard]] bool is_set() const { return error_.name != nullptr; }
    [[nodiscard]] tl::unexpected<Error> as_error(std::string_view what, int result) const {
        if (error_.message == nullptr) return fail_errno(what, -result);
        return fail(std::string(what) + ": " + error_.message, -result);
    }

private:
    sd_bus_error error_{};  // SD_BUS_ERROR_NULL is a compound literal, which is no C++
};

/// sd_bus_call(3) takes 0 for "the default", which is longer than what we have left.
[[nodiscard]] inline std::uint64_t microseconds(Micros limit) {
    return static_cast<std::uint64_t>(std::max<std::int64_t>(limit.count(), 1));
}

/// Writes one complete value; below zero is an errno, as in sd-bus itself.
[[nodiscard]] int append_argument(sd_bus_message* m, const BusArgument& argument);

/// Everything in the message, by place.
[[nodiscard]] Expected<BusReply> read_reply(sd_bus_message* m);
/// The a{sv} of GetAll, by name.
[[nodiscard]] Expected<BusReply> read_properties(sd_bus_message* m);

/// The strings and object paths that a message begins with, up to its first value of another type.
[[nodiscard]] std::vector<std::string> leading_texts(sd_bus_message* m);

/// A connection; the one who holds it owns it.
struct SystemBus::Connection {
    enum class Peer {
        bus,      ///< the system bus
        systemd,  ///< systemd itself: no bus in between, so no destinations and no senders
        proxy,    ///< bus_proxy.h: it passes calls on to their destination; its signals name no sender
    };
    sd_bus* bus = nullptr;
    Peer peer = Peer::bus;

    Connection() = default;
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;
    ~Connection() { sd_bus_close_unref(bus); }

    [[nodiscard]] Expected<void> open(const char* address, Peer whom);
    /// Owns `descriptor` from now on.
    [[nodiscard]] Expected<void> open_proxy(int descriptor);
    /// Signals of that kind are handed out by sd_bus_process(3) from now on; nullptr stands for any path.
    [[nodiscard]] int listen(const char* from, const char* path, const char* interface, const char* member);
    [[nodiscard]] const char* destination(const char* name) const { return peer == Peer::systemd ? nullptr : name; }
    [[nodiscard]] const char* sender(const char* name) const { return peer == Peer::bus ? name : nullptr; }
};

/// The real bus, whatever proxy this process may have.
[[nodiscard]] Expected<std::shared_ptr<SystemBus::Connection>> connect_to_real_bus();

}  // namespace luminous_healing::actions
