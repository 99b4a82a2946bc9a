#include "actions/system_bus.h"

#include "actions/bus_message.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <utility>

namespace luminous_healing::actions {
namespace {

constexpr const char* kBusAddress = "unix:path=/run/dbus/system_bus_socket";
constexpr const char* kBusSocket = "/run/dbus/system_bus_socket";
constexpr const char* kPrivateAddress = "unix:path=/run/systemd/private";
constexpr const char* kPrivateSocket = "/run/systemd/private";

bool is_socket(const char* path) {
    struct stat status {};
    return ::stat(path, &status) == 0 && S_ISSOCK(status.st_mode);
}

// The one connection of a process that has a proxy: a descriptor is handed to it once, and authenticates once.
std::shared_ptr<SystemBus::Connection>& inherited() {
    static std::shared_ptr<SystemBus::Connection> connection;
    return connection;
}

// Keeps a signal that we asked for from being dropped: what a match's handler leaves, sd_bus_process(3) hands out.
int leave_to_process(sd_bus_message* /*message*/, void* /*userdata*/, sd_bus_error* /*error*/) { return 0; }

}  // namespace

Expected<void> SystemBus::Connection::open(const char* address, Peer whom) {
    peer = whom;
    int r = sd_bus_new(&bus);
    if (r >= 0) r = sd_bus_set_address(bus, address);
    if (r >= 0) r = sd_bus_set_bus_client(bus, whom == Peer::bus ? 1 : 0);
    if (r >= 0) r = sd_bus_set_allow_interactive_authorization(bus, 0);  // nobody is there to be asked
    if (r >= 0) r = sd_bus_start(bus);
    if (r < 0) return fail_errno(std::string("connect to ") + (address + std::strlen("unix:path=")), -r);
    return {};
}

Expected<void> SystemBus::Connection::open_proxy(int descriptor) {
    peer = Peer::proxy;
    int r = sd_bus_new(&bus);
    if (r >= 0) r = sd_bus_set_fd(bus, descriptor, descriptor);
    if (r >= 0) r = sd_bus_set_bus_client(bus, 0);
    if (r >= 0) r = sd_bus_set_allow_interactive_authorization(bus, 0);
    if (r >= 0) r = sd_bus_start(bus);
    if (r < 0) return fail_errno("connect to the bus proxy", -r);
    return {};
}

int SystemBus::Connection::listen(const char* from, const char* path, const char* interface, const char* member) {
    return sd_bus_match_signal(bus, nullptr, sender(from), path, interface, member, leave_to_process, nullptr);
}

Expected<std::shared_ptr<SystemBus::Connection>> connect_to_real_bus() {
    using Peer = SystemBus::Connection::Peer;
    auto connection = std::make_shared<SystemBus::Connection>();
    const auto opened = connection->open(kBusAddress, Peer::bus);
    if (opened) return connection;
    if (::geteuid() != 0) return tl::unexpected(opened.error());
    auto straight = std::make_shared<SystemBus::Connection>();
    if (!straight->open(kPrivateAddress, Peer::systemd)) return tl::unexpected(opened.error());
    return straight;
}

SystemBus::SystemBus(std::shared_ptr<Connection> connection) : connection_(std::move(connection)) {}

Expected<void> SystemBus::use_proxy(int descriptor) {
    auto connection = std::make_shared<Connection>();
    if (auto opened = connection->open_proxy(descriptor); !opened) return opened;
    inherited() = std::move(connection);
    return {};
}

std::optional<std::string> SystemBus::missing() {
    struct stat status {};
    if (::stat("/run/systemd/system", &status) != 0) return "this machine was not booted with systemd";
    if (is_socket(kBusSocket) || is_socket(kPrivateSocket)) return {};
    return std::string("there is no D-Bus system bus (") + kBusSocket + ")";
}
Expected<SystemBus> SystemBus::connect() {
    if (inherited() != nullptr) return SystemBus(inherited());
    auto connection = connect_to_real_bus();
    if (!connection) return tl::unexpected(connection.error());
    return SystemBus(std::move(*connection));
}

int SystemBus::descriptor() const { return sd_bus_get_fd(connection_->bus); }

Expected<BusReply> SystemBus::call(const BusMethod& method, const std::vector<BusArgument>& arguments, Micros limit) {
    sd_bus_message* raw = nullptr;
    int r = sd_bus_message_new_method_call(connection_->bus, &raw, connection_->destination(method.destination),
                                           method.path.c_str(), method.interface, method.member);
    const Message message(raw);
    for (const auto& argument : arguments) {
        if (r >= 0) r = append_argument(raw, argument);
    }
    if (r < 0) return fail_errno(std::string("write the call ") + method.member, -r);
    BusError error;
    sd_bus_message* answer = nullptr;
    r = sd_bus_call(connection_->bus, raw, microseconds(limit), error.get(), &answer);
    if (r < 0) return error.as_error(method.member, r);
    const Message owned(answer);
    return read_reply(answer);
}

Expected<BusReply> SystemBus::properties(const char* destination, const std::string& path, const char* interface) {
    BusError error;
    sd_bus_message* answer = nullptr;
    const int r = sd_bus_call_method(connection_->bus, connection_->destination(destination), path.c_str(),
                                     "org.freedesktop.DBus.Properties", "GetAll", error.get(), &answer, "s", interface);
    if (r < 0) return error.as_error(std::string("properties of ") + path, r);
    const Message owned(answer);
    return read_properties(answer);
}

Expected<void> SystemBus::listen(const char* sender, const std::string& path, const char* interface,
                                 const char* member) {
    const int r = connection_->listen(sender, path.empty() ? nullptr : path.c_str(), interface, member);
    if (r < 0) return fail_errno(std::string("listen for ") + member, -r);
    return {};
}

Expected<std::optional<BusSignal>> SystemBus::next_signal(Micros limit) {
    const BootTime until = now().boot + limit;
    while (true) {
        sd_bus_message* raw = nullptr;
        int r = sd_bus_process(connection_->bus, &raw);
        const Message message(raw);
        if (r < 0) return fail_errno("the bus connection", -r);
        if (raw != nullptr && sd_bus_message_is_signal(raw, nullptr, nullptr) > 0) {
            auto values = read_reply(raw);
            if (!values) return tl::unexpected(values.error());
            const auto text = [](const char* s) { return std::string(s != nullptr ? s : ""); };
            return BusSignal{text(sd_bus_message_get_path(raw)), text(sd_bus_message_get_interface(raw)),
                             text(sd_bus_message_get_member(raw)), std::move(*values)};
        }
        if (r > 0) continue;
        const Micros left = until - now().boot;
        if (left <= 0us) return std::optional<BusSignal>{};
        r = sd_bus_wait(connection_->bus, microseconds(left));
        if (r < 0 && r != -EINTR) return fail_errno("wait for the bus", -r);
    }
}

const BusReplyValue* BusReply::find(std::string_view name) const {
    const auto found = std::find_if(values_.begin(), values_.end(), [&](const auto& v) { return v.first == name; });
    return found == values_.end() ? nullptr : &found->second;
}

std::string BusReply::text(std::size_t place) const {
    const auto* const text = place < values_.size() ? std::get_if<std::string>(&values_[place].second) : nullptr;
    return text != nullptr ? *text : std::string();
}

std::string BusReply::text(std::string_view name) const {
    const auto* const value = find(name);
    const auto* const text = value != nullptr ? std::get_if<std::string>(value) : nullptr;
    return text != nullptr ? *text : std::string();
}

std::uint64_t BusReply::number(std::string_view name) const {
    const auto* const value = find(name);
    if (value == nullptr) return 0;
    if (const auto* const number = std::get_if<std::uint64_t>(value)) return *number;
    const auto* const signed_number = std::get_if<std::int64_t>(value);
    return signed_number != nullptr ? static_cast<std::uint64_t>(*signed_number) : 0;
}

bool BusReply::flag(std::string_view name) const {
    const auto* const value = find(name);
    const auto* const flag = value != nullptr ? std::get_if<bool>(value) : nullptr;
    return flag != nullptr && *flag;
}

std::vector<std::string> BusReply::list(std::string_view name) const {
    const auto* const value = find(name);
    const auto* const list = value != nullptr ? std::get_if<std::vector<std::string>>(value) : nullptr;
    return list != nullptr ? *list : std::vector<std::string>{};
}

}  // namespace luminous_healing::actions
