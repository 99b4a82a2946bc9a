#pragma once
// A connection to the D-Bus system bus: in a worker through the proxy beside it (bus_proxy.h), which lets only its
// row's calls pass. This and its neighbours bus_*.cpp are the only users of sd-bus (see sd-bus(3), D-Bus
// Specification). Values cross this border as C++ types: what our calls need, no more.
//
// Addresses are fixed, so nothing in the environment can point a worker elsewhere. No call blocks beyond its limit.
// Errors are sentences with the peer's own words; `system_error` is the errno that sd-bus maps the D-Bus error to.

#include "base/clock.h"
#include "base/expected.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace luminous_healing::actions {

struct ObjectPath {
    std::string path;  // D-Bus type o
};
struct ObjectPaths {
    std::vector<std::string> paths;  // ao
};
struct Bytes {
    std::string data;  // ay
};
/// Programs of an ExecStart=, each an argument vector with an absolute program; all must succeed.
struct Commands {
    std::vector<std::vector<std::string>> argvs;  // a(sasb)
};
/// What is allowed, everything else being refused.
struct AllowList {
    std::vector<std::string> names;  // (bas)
};
/// One line of a timer: `base` as in systemd.timer(5), "OnActiveSec".
struct TimerSpec {
    std::string base;  // a(st)
    Micros delay{};
};

using BusValue = std::variant<bool, std::int32_t, std::uint32_t, std::uint64_t, std::string, ObjectPath, ObjectPaths,
                              std::vector<std::string>, Bytes, Commands, AllowList, TimerSpec>;
/// Named values, a(sv): the properties of a transient unit.
using BusProperties = std::vector<std::pair<std::string, BusValue>>;
struct AuxiliaryUnit {
    std::string name;
    BusProperties properties;
};
using AuxiliaryUnits = std::vector<AuxiliaryUnit>;  // a(sa(sv))
using BusArgument = std::variant<BusValue, BusProperties, AuxiliaryUnits>;

/// What came back. Kinds that no caller of ours reads are monostate.
using BusReplyValue =
    std::variant<std::monostate, bool, std::int64_t, std::uint64_t, std::string, std::vector<std::string>>;

class BusReply {
public:
    void add(std::string name, BusReplyValue value) { values_.emplace_back(std::move(name), std::move(value)); }
    /// By place (answers, signals) or by name (properties); empty or zero when absent or of another type.
    [[nodiscard]] std::string text(std::size_t place) const;
    [[nodiscard]] std::string text(std::string_view name) const;
    [[nodiscard]] std::uint64_t number(std::string_view name) const;
    [[nodiscard]] bool flag(std::string_view name) const;
    [[nodiscard]] std::vector<std::string> list(std::string_view name) const;

private:
    [[nodiscard]] const BusReplyValue* find(std::string_view name) const;
    std::vector<std::pair<std::string, BusReplyValue>> values_;
};

struct BusMethod {
    const char* destination;
    std::string path;
    const char* interface;
    const char* member;
};

/// A call that changes something, as a row declares it: complete, so that whoever may ask for it chooses nothing in it.
struct BusCall {
    BusMethod method;
    std::vector<BusArgument> arguments;
    /// What may be asked once it is done, if anything: of the object that it answered with (a job, a checkpoint), and
    /// the way back.
    std::function<std::vector<BusCall>(const std::string& object)> then = {};
};

struct BusSignal {
    std::string path;
    std::string interface;
    std::string member;
    BusReply values;
};

class SystemBus {
public:
    /// The proxy, where this process has one. Else the system bus; where there is none and we are uid 0, systemd's
    /// private socket, which knows only systemd.
    [[nodiscard]] static Expected<SystemBus> connect();
    /// From now on this process has the proxy at the other end of that socket, and reaches no bus but through it. Owns
    /// the descriptor. At most once a process.
    [[nodiscard]] static Expected<void> use_proxy(int descriptor);
    /// Why connect() cannot work on this machine, or nothing. Looks at files only.
    [[nodiscard]] static std::optional<std::string> missing();

    struct Connection;  // bus_message.h
    explicit SystemBus(std::shared_ptr<Connection> connection);

    /// Its socket, for questions that any socket answers (netdevice(7)). Not to be read or written.
    [[nodiscard]] int descriptor() const;

    [[nodiscard]] Expected<BusReply> call(const BusMethod& method, const std::vector<BusArgument>& arguments,
                                          Micros limit = 25s);
    /// org.freedesktop.DBus.Properties.GetAll.
    [[nodiscard]] Expected<BusReply> properties(const char* destination, const std::string& path,
                                                const char* interface);
    /// From now on next_signal() gives these. An empty path stands for any.
    [[nodiscard]] Expected<void> listen(const char* sender, const std::string& path, const char* interface,
                                        const char* member);
    /// The next signal that was asked for; nothing when `limit` has passed without one.
    [[nodiscard]] Expected<std::optional<BusSignal>> next_signal(Micros limit);

private:
    std::shared_ptr<Connection> connection_;
};

}  // namespace luminous_healing::actions
