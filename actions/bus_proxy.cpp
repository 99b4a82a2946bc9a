#include "actions/bus_proxy.h"

#include "actions/bus_message.h"
#include "actions/transient_unit.h"
#include "base/text.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <utility>

#include <systemd/sd-id128.h>

namespace luminous_healing::actions {
namespace {

constexpr const char* kSystemd = "org.freedesktop.systemd1";
constexpr const char* kManagerPath = "/org/freedesktop/systemd1";
constexpr const char* kManager = "org.freedesktop.systemd1.Manager";
constexpr const char* kNetworkManager = "org.freedesktop.NetworkManager";
constexpr const char* kProperties = "org.freedesktop.DBus.Properties";
constexpr Micros kCallLimit = 25s;        // of one call on the bus, as in SystemBus::call
constexpr std::size_t kMaxWatched = 256;  // objects whose changes are passed on

struct Asked {
    std::string_view destination;
    std::string_view path;
    std::string_view interface;
    std::string_view member;
    [[nodiscard]] std::string shown() const {
        return printable_line(std::string(interface) + "." + std::string(member) + " of " + std::string(path), 200);
    }
};

std::string_view view(const char* text) { return text == nullptr ? std::string_view() : text; }

Asked asked_by(sd_bus_message* m) {
    return {view(sd_bus_message_get_destination(m)), view(sd_bus_message_get_path(m)),
            view(sd_bus_message_get_interface(m)), view(sd_bus_message_get_member(m))};
}

bool is_on_manager(const Asked& asked) {
    return asked.destination == kSystemd && asked.path == kManagerPath && asked.interface == kManager;
}

bool is_look(const Asked& asked) {
    const bool has_peer = asked.destination == kSystemd || asked.destination == kNetworkManager;
    return has_peer && asked.interface == kProperties && asked.member == "GetAll";
}

/// What any local user may ask, and all of it that a row of ours does.
bool is_read(const Asked& asked) {
    return is_look(asked) || (is_on_manager(asked) && (asked.member == "GetUnit" || asked.member == "LoadUnit"));
}

std::vector<std::string> leading_texts_of(const std::vector<BusArgument>& arguments) {
    std::vector<std::string> texts;
    for (const auto& argument : arguments) {
        const auto* const value = std::get_if<BusValue>(&argument);
        const auto* const text = value != nullptr ? std::get_if<std::string>(value) : nullptr;
        const auto* const object = value != nullptr ? std::get_if<ObjectPath>(value) : nullptr;
        if (text == nullptr && object == nullptr) break;
        texts.push_back(text != nullptr ? *text : object->path);
    }
    return texts;
}

bool is_chosen(const BusCall& call, const Asked& asked, const std::vector<std::string>& texts) {
    return asked.destination == call.method.destination && asked.path == call.method.path &&
           asked.interface == call.method.interface && asked.member == call.method.member &&
           texts == leading_texts_of(call.arguments);
}

Result<std::vector<BusCall>> declared_calls(const Action& row, Context& context, BusDuty duty) {
    if (duty == BusDuty::plan) return failed("a plan changes nothing");
    if (row.bus_calls == nullptr) return failed(row.name + " changes nothing by way of the bus");
    if (duty == BusDuty::adopted) {
        const auto found = find_adopted(context.request_id);
        if (!found) return failed(found.error().message);
        if (found->state == Adopted::State::absent) return failed("there is no " + found->unit);
        context.facts = found->facts;
        context.facts.set("adopted", true);
    } else if (row.check != nullptr) {
        if (const auto checked = row.check(context); !checked) return tl::unexpected(checked.error());
    }
    return row.bus_calls(context);
}

class Proxy {
public:
    Proxy(std::function<Result<std::vector<BusCall>>()> declare, std::function<void(std::string_view)> refused)
        : declare_(std::move(declare)), refused_(std::move(refused)) {}
    Expected<void> open(int descriptor);
    void serve();

private:
    bool take_call();     // false once there is none
    void pass_signals();  // all that there are
    void answer(sd_bus_message* call);
    void pass_on(sd_bus_message* call, const Asked& asked);
    void subscribe(sd_bus_message* call);
    void carry_out(sd_bus_message* call, const BusCall& declared);
    void refuse(sd_bus_message* call, const std::string& why);
    void reply(sd_bus_message* call, int r, BusError& error, sd_bus_message* with);
    [[nodiscard]] bool reach_bus(sd_bus_message* call);
    [[nodiscard]] std::optional<BusCall> chosen(sd_bus_message* call, const Asked& asked, std::string& why);

    SystemBus::Connection near_;                  // to the worker
    std::shared_ptr<SystemBus::Connection> far_;  // to the bus, once it is needed
    std::function<Result<std::vector<BusCall>>()> declare_;
    std::function<void(std::string_view)> refused_;
    std::optional<Result<std::vector<BusCall>>> declared_;
    std::set<std::string, std::less<>> watched_;
    bool subscribed_ = false;
    bool lost_ = false;  // an end of ours is closed
};

Expected<void> Proxy::open(int descriptor) {
    sd_id128_t id{};
    int r = sd_id128_randomize(&id);
    if (r >= 0) r = sd_bus_new(&near_.bus);
    if (r >= 0) r = sd_bus_set_fd(near_.bus, descriptor, descriptor);
    if (r >= 0) r = sd_bus_set_server(near_.bus, 1, id);
    if (r >= 0) r = sd_bus_set_anonymous(near_.bus, 1);  // whoever holds the other end is the worker
    if (r >= 0) r = sd_bus_negotiate_fds(near_.bus, 0);
    if (r >= 0) r = sd_bus_start(near_.bus);
    if (r < 0) return fail_errno("serve the bus", -r);
    return {};
}

/// Its timeouts concern a peer that does not finish to authenticate: the worker's own harm, and its end is ours.
void Proxy::serve() {
    while (!lost_) {
        while (take_call()) continue;
        if (far_ != nullptr) pass_signals();
        if (lost_) return;
        std::array<pollfd, 2> ends{
            {{sd_bus_get_fd(near_.bus), static_cast<short>(sd_bus_get_events(near_.bus)), 0}, {-1, 0, 0}}};
        if (far_ != nullptr) ends[1] = {sd_bus_get_fd(far_->bus), static_cast<short>(sd_bus_get_events(far_->bus)), 0};
        if (::poll(ends.data(), ends.size(), -1) < 0 && errno != EINTR) return;
    }
}

bool is_disconnected(sd_bus_message* m) {
    return sd_bus_message_is_signal(m, "org.freedesktop.DBus.Local", "Disconnected") > 0;
}

bool Proxy::take_call() {
    sd_bus_message* raw = nullptr;
    const int r = sd_bus_process(near_.bus, &raw);
    const Message message(raw);
    lost_ = lost_ || r < 0 || (raw != nullptr && is_disconnected(raw));
    if (lost_) return false;
    if (raw != nullptr && sd_bus_message_is_method_call(raw, nullptr, nullptr) > 0) answer(raw);
    return r > 0;
}

void Proxy::pass_signals() {
    sd_bus_message* raw = nullptr;
    int r = 0;
    while (!lost_ && (r = sd_bus_process(far_->bus, &raw)) > 0) {
        const Message message(std::exchange(raw, nullptr));
        if (message == nullptr || sd_bus_message_is_signal(message.get(), nullptr, nullptr) <= 0) continue;
        lost_ = is_disconnected(message.get());
        const auto said = asked_by(message.get());
        if (said.member != "JobRemoved" && watched_.find(said.path) == watched_.end()) continue;
        sd_bus_message* copy = nullptr;
        int sent = sd_bus_message_new_signal(near_.bus, &copy, sd_bus_message_get_path(message.get()),
                                             sd_bus_message_get_interface(message.get()),
                                             sd_bus_message_get_member(message.get()));
        const Message owned(copy);
        if (sent >= 0) sent = sd_bus_message_copy(copy, message.get(), 1);
        if (sent >= 0) sent = sd_bus_send(near_.bus, copy, nullptr);
        lost_ = lost_ || sent < 0;
    }
    lost_ = lost_ || r < 0;
}

void Proxy::answer(sd_bus_message* call) {
    const auto asked = asked_by(call);
    if (is_on_manager(asked) && asked.member == "Subscribe") return subscribe(call);
    if (is_read(asked)) {
        if (is_look(asked) && watched_.size() < kMaxWatched) watched_.emplace(asked.path);
        return pass_on(call, asked);
    }
    std::string why;
    const auto declared = chosen(call, asked, why);
    if (!declared) return refuse(call, asked.shown() + ": " + why);
    carry_out(call, *declared);
}

std::optional<BusCall> Proxy::chosen(sd_bus_message* call, const Asked& asked, std::string& why) {
    if (!declared_) declared_ = declare_();
    if (!*declared_) {
        why = declared_->error().message;
        return {};
    }
    const auto texts = leading_texts(call);
    const auto& calls = **declared_;
    const auto found =
        std::find_if(calls.begin(), calls.end(), [&](const auto& each) { return is_chosen(each, asked, texts); });
    if (found != calls.end()) return *found;
    why = "this action and this request do not include it";
    for (const auto& text : texts) why += ", \"" + printable_line(text, 100) + "\"";
    return {};
}

bool Proxy::reach_bus(sd_bus_message* call) {
    if (far_ != nullptr) return true;
    auto connection = connect_to_real_bus();
    if (connection) {
        far_ = std::move(*connection);
        return true;
    }
    sd_bus_reply_method_errorf(call, SD_BUS_ERROR_NO_SERVER, "%s", connection.error().message.c_str());
    return false;
}

void Proxy::pass_on(sd_bus_message* call, const Asked& asked) {
    if (!reach_bus(call)) return;
    sd_bus_message* raw = nullptr;
    int r = sd_bus_message_new_method_call(far_->bus, &raw, far_->destination(std::string(asked.destination).c_str()),
                                           std::string(asked.path).c_str(), std::string(asked.interface).c_str(),
                                           std::string(asked.member).c_str());
    const Message question(raw);
    if (r >= 0) r = sd_bus_message_set_auto_start(raw, 0);  // looking starts nothing
    if (r >= 0) r = sd_bus_message_copy(raw, call, 1);
    BusError error;
    sd_bus_message* said = nullptr;
    if (r >= 0) r = sd_bus_call(far_->bus, raw, microseconds(kCallLimit), error.get(), &said);
    const Message owned(said);
    reply(call, r, error, said);
}

/// systemd answers a second Subscribe on the same connection with an error, and the worker's steps do not know of each
/// other.
void Proxy::subscribe(sd_bus_message* call) {
    if (!reach_bus(call)) return;
    BusError error;
    int r = 0;
    if (!subscribed_) {
        r = far_->listen(kSystemd, kManagerPath, kManager, "JobRemoved");
        if (r >= 0) r = far_->listen(kSystemd, nullptr, kProperties, "PropertiesChanged");
        if (r >= 0)
            r = sd_bus_call_method(far_->bus, far_->destination(kSystemd), kManagerPath, kManager, "Subscribe",
                                   error.get(), nullptr, nullptr);
        subscribed_ = r >= 0;
    }
    reply(call, r, error, nullptr);
}

void Proxy::carry_out(sd_bus_message* call, const BusCall& declared) {
    if (!reach_bus(call)) return;
    const auto& method = declared.method;
    sd_bus_message* raw = nullptr;
    int r = sd_bus_message_new_method_call(far_->bus, &raw, far_->destination(method.destination), method.path.c_str(),
                                           method.interface, method.member);
    const Message request(raw);
    for (const auto& argument : declared.arguments) {
        if (r >= 0) r = append_argument(raw, argument);
    }
    BusError error;
    sd_bus_message* said = nullptr;
    if (r >= 0) r = sd_bus_call(far_->bus, raw, microseconds(kCallLimit), error.get(), &said);
    const Message owned(said);
    if (r >= 0 && declared.then) {
        const auto texts = leading_texts(said);
        for (auto& next : declared.then(texts.empty() ? std::string("/") : texts.front()))
            (*declared_)->push_back(std::move(next));
        r = sd_bus_message_rewind(said, 1);
    }
    reply(call, r, error, said);
}

void Proxy::refuse(sd_bus_message* call, const std::string& why) {
    refused_(why);
    if (sd_bus_reply_method_errorf(call, SD_BUS_ERROR_ACCESS_DENIED, "refused: %s", why.c_str()) < 0) lost_ = true;
}

/// What was signalled before the answer goes to the worker before it: a job that can no longer be cancelled has its end
/// there already.
void Proxy::reply(sd_bus_message* call, int r, BusError& error, sd_bus_message* with) {
    pass_signals();
    if (r < 0) {
        r = error.is_set() ? sd_bus_reply_method_error(call, error.get()) : sd_bus_reply_method_errno(call, r, nullptr);
    } else {
        sd_bus_message* raw = nullptr;
        r = sd_bus_message_new_method_return(call, &raw);
        const Message answer(raw);
        if (r >= 0 && with != nullptr) r = sd_bus_message_copy(raw, with, 1);
        if (r >= 0) r = sd_bus_send(near_.bus, raw, nullptr);
    }
    lost_ = lost_ || r < 0;
}

}  // namespace

Expected<void> serve_bus(int descriptor, const Action& row, Context& context, BusDuty duty,
                         const std::function<void(std::string_view)>& refused) {
    Proxy proxy([&] { return declared_calls(row, context, duty); }, refused);
    if (auto opened = proxy.open(descriptor); !opened) return opened;
    proxy.serve();
    return {};
}

}  // namespace luminous_healing::actions
