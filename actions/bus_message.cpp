#include "actions/bus_message.h"

#include <string_view>

namespace luminous_healing::actions {
namespace {

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

}  // namespace

int append_argument(sd_bus_message* m, const BusArgument& argument) {
    if (const auto* const properties = std::get_if<BusProperties>(&argument)) return append_properties(m, *properties);
    if (const auto* const units = std::get_if<AuxiliaryUnits>(&argument)) return append_units(m, *units);
    return std::visit(Append{m}, std::get<BusValue>(argument));
}

// Reading.

namespace {

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

}  // namespace

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

std::vector<std::string> leading_texts(sd_bus_message* m) {
    std::vector<std::string> texts;
    char type = 0;
    const char* text = nullptr;
    while (sd_bus_message_peek_type(m, &type, nullptr) > 0 &&
           (type == SD_BUS_TYPE_STRING || type == SD_BUS_TYPE_OBJECT_PATH) &&
           sd_bus_message_read_basic(m, type, static_cast<void*>(&text)) > 0)
        texts.emplace_back(text);
    return texts;
}

}  // namespace luminous_healing::actions
