#include "actions/system_bus.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include <systemd/sd-bus.h>

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

std::uint64_t microseconds(Micros limit) {
    // sd_bus_call(3) takes 0 for "the default", which is longer than what we have left.
    return static_cast<std::uint64_t>(std::max<std::int64_t>(limit.count(), 1));
}

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
    [[nodiscard]] tl::unexpected<Error> as_error(std::string_view what, int result) const {
        if (error_.message == nullptr) return fail_errno(what, -result);
        return fail(std::string(what) + ": " + error_.message, -result);
    }

private:
    sd_bus_error error_{};  // SD_BUS_ERROR_NULL is a compound literal, which is no C++
};

// Appending. Each writes one complete value; below zero is an errno, as in sd-bus itself.

int append_strings(sd_bus_message* m, char type, const std::vector<std::string>& items) {
    const char contents[] = {type, '\0'};
    int r = sd_bus_message_open_container(m, SD_BUS_TYPE_ARRAY, contents);
    for (const auto& item : items) {
        if (r >= 0) r = sd_bus_message_append_basic(m, type, item.c_str());
    }
    return r < 0 ? r : sd_bus_message_close_container(m);
}

int append_command(sd_bus_message* m, const std::vector<std::string>& argv) {
    int r = sd_bus_message_open_container(m, SD_BUS_TYPE_STRUCT, "sasb");
    if (r >= 0) r = sd_bus_message_append(m, "s", argv.front().c_str());
    if (r >= 0) r = append_strings(m, 's', argv);
    if (r >= 0) r = sd_bus_message_append(m, "b", 0);  // a failing exit status is a failure
    return r < 0 ? r : sd_bus_message_close_container(m);
}

int append_commands(sd_bus_message* m, const Commands& commands) {
    int r = sd_bus_message_open_container(m, SD_BUS_TYPE_ARRAY, "(sasb)");
    for (const auto& argv : commands.argvs) {
        if (r >= 0) r = append_command(m, argv);
    }
    return r < 0 ? r : sd_bus_message_close_container(m);
}

int append_allow_list(sd_bus_message* m, const AllowList& list) {
    int r = sd_bus_message_open_container(m, SD_BUS_TYPE_STRUCT, "bas");
    if (r >= 0) r = sd_bus_message_append(m, "b", 1);
    if (r >= 0) r = append_strings(m, 's', list.names);
    return r < 0 ? r : sd_bus_message_close_container(m);
}

struct Signature {
    const char* operator()(bool) const { return "b"; }
    const char* operator()(std::int32_t) const { return "i"; }
    const char* operator()(std::uint32_t) const { return "u"; }
    const char* operator()(std::uint64_t) const { return "t"; }
    const char* operator()(const std::string&) const { return "s"; }
    const char* operator()(const ObjectPath&) const { return "o"; }
    const char* operator()(const ObjectPaths&) const { return "ao"; }
    const char* operator()(const std::vector<std::string>&) const { return "as"; }
    const char* operator()(const Bytes&) const { return "ay"; }
    const char* operator()(const Commands&) const { return "a(sasb)"; }
    const char* operator()(const AllowList&) const { return "(bas)"; }
    const char* operator()(const TimerSpec&) const { return "a(st)"; }
};

struct Append {
    sd_bus_message* m;
    int operator()(bool value) const { return sd_bus_message_append(m, "b", static_cast<int>(value)); }
    int operator()(std::int32_t value) const { return sd_bus_message_append(m, "i", value); }
    int operator()(std::uint32_t value) const { return sd_bus_message_append(m, "u", value); }
    int operator()(std::uint64_t value) const { return sd_bus_message_append(m, "t", value); }
    int operator()(const std::string& value) const { return sd_bus_message_append(m, "s", value.c_str()); }
    int operator()(const ObjectPath& value) const { return sd_bus_message_append(m, "o", value.path.c_str()); }
    int operator()(const ObjectPaths& value) const { return append_strings(m, 'o', value.paths); }
    int operator()(const std::vector<std::string>& value) const { return append_strings(m, 's', value); }
    int operator()(const Bytes& value) const {
        return sd_bus_message_append_array(m, 'y', value.data.data(), value.data.size());
    }
    int operator()(const Commands& value) const { return append_commands(m, value); }
    int operator()(const AllowList& value) const { return append_allow_list(m, value); }
    int operator()(const TimerSpec& value) const {
        return sd_bus_message_append(m, "a(st)", 1, value.base.c_str(), microseconds(value.delay));
    }
};

int append_properties(sd_bus_message* m, const BusProperties& properties) {
    int r = sd_bus_message_open_container(m, SD_BUS_TYPE_ARRAY, "(sv)");
    for (const auto& [name, value] : properties) {
        if (r >= 0) r = sd_bus_message_open_container(m, SD_BUS_TYPE_STRUCT, "sv");
        if (r >= 0) r = sd_bus_message_append(m, "s", name.c_str());
        if (r >= 0) r = sd_bus_message_open_container(m, SD_BUS_TYPE_VARIANT, std::visit(Signature{}, value));
        if (r >= 0) r = std::visit(Append{m}, value);
        if (r >= 0) r = sd_bus_message_close_container(m);
        if (r >= 0) r = sd_bus_message_close_container(m);
    }
    return r < 0 ? r : sd_bus_message_close_container(m);
}

int append_units(sd_bus_message* m, const AuxiliaryUnits& units) {
    int r = sd_bus_message_open_container(m, SD_BUS_TYPE_ARRAY, "(sa(sv))");
    for (const auto& unit : units) {
        if (r >= 0) r = sd_bus_message_open_container(m, SD_BUS_TYPE_STRUCT, "sa(sv)");
        if (r >= 0) r = sd_bus_message_append(m, "s", unit.name.c_str());
        if (r >= 0) r = append_properties(m, unit.properties);
        if (r >= 0) r = sd_bus_message_close_container(m);
    }
    return r < 0 ? r : sd_bus_message_close_container(m);
}

int append(sd_bus_message* m, const BusArgument& argument) {
    if (const auto* const properties = std::get_if<BusProperties>(&argument)) return append_properties(m, *properties);
    if (const auto* const units = std::get_if<AuxiliaryUnits>(&argument)) return append_units(m, *units);
    return std::visit(Append{m}, std::get<BusValue>(argument));
}

// Reading.

template <class Read, class Kept>
int read_number(sd_bus_message* m, char type, BusReplyValue& into) {
    Read value{};
    const int r = sd_bus_message_read_basic(m, type, &value);
    into = static_cast<Kept>(value);
    return r;
}

int read_strings(sd_bus_message* m, const char* contents, BusReplyValue& into) {
    std::vector<std::string> items;
    int r = sd_bus_message_enter_container(m, SD_BUS_TYPE_ARRAY, contents);
    const char* item = nullptr;
    while (r >= 0 && (r = sd_bus_message_read_basic(m, contents[0], &item)) > 0) items.emplace_back(item);
    if (r < 0) return r;
    into = std::move(items);
    return sd_bus_message_exit_container(m);
}

// One complete value of the message; more than zero when there was one.
int read_value(sd_bus_message* m, BusReplyValue& into) {
    char type = 0;
    const char* contents = nullptr;
    const int r = sd_bus_message_peek_type(m, &type, &contents);
    if (r <= 0) return r;
    switch (type) {
        case SD_BUS_TYPE_BOOLEAN: return read_number<int, bool>(m, type, into);
        case SD_BUS_TYPE_INT32: return read_number<std::int32_t, std::int64_t>(m, type, into);
        case SD_BUS_TYPE_INT64: return read_number<std::int64_t, std::int64_t>(m, type, into);
        case SD_BUS_TYPE_UINT32: return read_number<std::uint32_t, std::uint64_t>(m, type, into);
        case SD_BUS_TYPE_UINT64: return read_number<std::uint64_t, std::uint64_t>(m, type, into);
        case SD_BUS_TYPE_STRING:
        case SD_BUS_TYPE_OBJECT_PATH: {
            const char* text = nullptr;
            const int read = sd_bus_message_read_basic(m, type, static_cast<void*>(&text));
            if (read > 0) into = std::string(text);
            return read;
        }
        case SD_BUS_TYPE_ARRAY:
            if (std::string_view(contents) == "s" || std::string_view(contents) == "o") {
                const int read = read_strings(m, contents, into);
                return read < 0 ? read : 1;
            }
            [[fallthrough]];
        default: {
            into = std::monostate{};
            const int skipped = sd_bus_message_skip(m, nullptr);
            return skipped < 0 ? skipped : 1;
        }
    }
}

Expected<BusReply> read_reply(sd_bus_message* m) {
    BusReply reply;
    BusReplyValue value;
    int r = 0;
    while ((r = read_value(m, value)) > 0) reply.add({}, std::move(value));
    if (r < 0) return fail_errno("read an answer", -r);
    return reply;
}

// The a{sv} of GetAll.
Expected<BusReply> read_properties(sd_bus_message* m) {
    BusReply reply;
    int r = sd_bus_message_enter_container(m, SD_BUS_TYPE_ARRAY, "{sv}");
    while (r >= 0 && (r = sd_bus_message_enter_container(m, SD_BUS_TYPE_DICT_ENTRY, "sv")) > 0) {
        const char* name = nullptr;
        const char* contents = nullptr;
        BusReplyValue value;
        r = sd_bus_message_read_basic(m, 's', static_cast<void*>(&name));
        if (r >= 0) r = sd_bus_message_peek_type(m, nullptr, &contents);
        if (r >= 0) r = sd_bus_message_enter_container(m, SD_BUS_TYPE_VARIANT, contents);
        if (r >= 0) r = read_value(m, value);
        if (r >= 0) r = sd_bus_message_exit_container(m);
        if (r >= 0) r = sd_bus_message_exit_container(m);
        if (r >= 0) reply.add(name, std::move(value));
    }
    if (r < 0) return fail_errno("read properties", -r);
    return reply;
}

// Keeps a signal that we asked for from being dropped: what a match's handler leaves, sd_bus_process(3) hands out.
int leave_to_process(sd_bus_message* /*message*/, void* /*userdata*/, sd_bus_error* /*error*/) { return 0; }

}  // namespace

struct SystemBus::Connection {
    sd_bus* bus = nullptr;
    bool direct = false;  // to systemd itself: no bus in between, so no destinations and no senders

    Connection() = default;
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;
    ~Connection() { sd_bus_close_unref(bus); }

    Expected<void> open(const char* address, bool straight) {
        direct = straight;
        int r = sd_bus_new(&bus);
        if (r >= 0) r = sd_bus_set_address(bus, address);
        if (r >= 0) r = sd_bus_set_bus_client(bus, straight ? 0 : 1);
        if (r >= 0) r = sd_bus_set_allow_interactive_authorization(bus, 0);  // nobody is there to be asked
        if (r >= 0) r = sd_bus_start(bus);
        if (r < 0) return fail_errno(std::string("connect to ") + (address + std::strlen("unix:path=")), -r);
        return {};
    }
    [[nodiscard]] const char* peer(const char* name) const { return direct ? nullptr : name; }
};

SystemBus::SystemBus(std::unique_ptr<Connection> connection) : connection_(std::move(connection)) {}
SystemBus::SystemBus(SystemBus&&) noexcept = default;
SystemBus& SystemBus::operator=(SystemBus&&) noexcept = default;
SystemBus::~SystemBus() = default;

std::optional<std::string> SystemBus::missing() {
    struct stat status {};
    if (::stat("/run/systemd/system", &status) != 0) return "this machine was not booted with systemd";
    if (is_socket(kBusSocket) || is_socket(kPrivateSocket)) return {};
    return std::string("there is no D-Bus system bus (") + kBusSocket + ")";
}

Expected<SystemBus> SystemBus::connect() {
    auto connection = std::make_unique<Connection>();
    const auto opened = connection->open(kBusAddress, false);
    if (opened) return SystemBus(std::move(connection));
    if (::geteuid() != 0) return tl::unexpected(opened.error());
    auto straight = std::make_unique<Connection>();
    if (!straight->open(kPrivateAddress, true)) return tl::unexpected(opened.error());
    return SystemBus(std::move(straight));
}

Expected<BusReply> SystemBus::call(const BusMethod& method, const std::vector<BusArgument>& arguments, Micros limit) {
    sd_bus_message* raw = nullptr;
    int r = sd_bus_message_new_method_call(connection_->bus, &raw, connection_->peer(method.destination),
                                           method.path.c_str(), method.interface, method.member);
    const Message message(raw);
    for (const auto& argument : arguments) {
        if (r >= 0) r = append(raw, argument);
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
    const int r = sd_bus_call_method(connection_->bus, connection_->peer(destination), path.c_str(),
                                     "org.freedesktop.DBus.Properties", "GetAll", error.get(), &answer, "s", interface);
    if (r < 0) return error.as_error(std::string("properties of ") + path, r);
    const Message owned(answer);
    return read_properties(answer);
}

Expected<void> SystemBus::listen(const char* sender, const std::string& path, const char* interface,
                                 const char* member) {
    const int r =
        sd_bus_match_signal(connection_->bus, nullptr, connection_->peer(sender), path.empty() ? nullptr : path.c_str(),
                            interface, member, leave_to_process, nullptr);
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
