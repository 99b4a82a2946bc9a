#include "executor/duty.h"

#include "executor/bytes.h"

#include <variant>

namespace luminous_healing::executor {
namespace {

enum class Type : char { text, integer, boolean };  // of an argument

void write_value(ByteWriter& writer, const policy::ArgumentValue& value) {
    if (const auto* const text = std::get_if<std::string>(&value)) {
        writer.number(Type::text);
        writer.text(*text);
    } else if (const auto* const integer = std::get_if<std::int64_t>(&value)) {
        writer.number(Type::integer);
        writer.number(*integer);
    } else {
        writer.number(Type::boolean);
        writer.number(std::get<bool>(value));
    }
}

policy::ArgumentValue read_value(ByteReader& reader) {
    switch (reader.number<Type>()) {
        case Type::integer: return reader.number<std::int64_t>();
        case Type::boolean: return reader.number<char>() != 0;
        case Type::text: break;
    }
    return std::string(reader.text());
}

}  // namespace

std::string encode_duty(const Duty& duty) {
    ByteWriter writer;
    writer.number(duty.plan);
    writer.number(duty.adopted);
    writer.text(duty.action.str());
    writer.text(duty.request_id);
    writer.number(duty.credentials.uid);
    writer.number(duty.credentials.gid);
    writer.number(static_cast<std::uint32_t>(duty.credentials.groups.size()));
    for (const gid_t group : duty.credentials.groups) writer.number(group);
    writer.number(static_cast<std::uint32_t>(duty.arguments.all().size()));
    for (const auto& [name, value] : duty.arguments.all()) {
        writer.text(name);
        write_value(writer, value);
    }
    return writer.take();
}

Expected<Duty> decode_duty(std::string_view bytes) {
    ByteReader reader(bytes);
    Duty duty;
    duty.plan = reader.number<char>() != 0;
    duty.adopted = reader.number<char>() != 0;
    duty.action = ActionName(std::string(reader.text()));
    duty.request_id = reader.text();
    duty.credentials.uid = reader.number<uid_t>();
    duty.credentials.gid = reader.number<gid_t>();
    for (auto left = reader.number<std::uint32_t>(); left > 0 && reader.whole(); --left)
        duty.credentials.groups.push_back(reader.number<gid_t>());
    for (auto left = reader.number<std::uint32_t>(); left > 0 && reader.whole(); --left) {
        std::string name(reader.text());
        auto value = read_value(reader);
        duty.arguments.set(std::move(name), std::move(value));
    }
    if (!reader.at_end()) return fail("its orders cannot be read");
    return duty;
}

}  // namespace luminous_healing::executor
