#include "executor/duty.h"

#include <cstdint>
#include <cstring>
#include <type_traits>
#include <variant>

namespace luminous_healing::executor {
namespace {

enum class Type : char { text, integer, boolean };  // of an argument

class Writer {
public:
    template <class T>
    void number(T value) {
        static_assert(std::is_trivially_copyable_v<T>);
        bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);  // NOLINT(*-reinterpret-cast): its bytes
    }
    void text(std::string_view value) {
        number(static_cast<std::uint32_t>(value.size()));
        bytes_ += value;
    }
    [[nodiscard]] std::string take() { return std::move(bytes_); }

private:
    std::string bytes_;
};

/// After the first thing that is not there, everything is empty and whole() is false.
class Reader {
public:
    explicit Reader(std::string_view bytes) : rest_(bytes) {}
    template <class T>
    T number() {
        T value{};
        const auto found = next(sizeof value);
        if (found.size() == sizeof value) std::memcpy(&value, found.data(), sizeof value);
        return value;
    }
    std::string text() { return std::string(next(number<std::uint32_t>())); }
    [[nodiscard]] bool whole() const { return whole_; }
    [[nodiscard]] bool at_end() const { return whole_ && rest_.empty(); }

private:
    std::string_view next(std::size_t size) {
        if (size > rest_.size()) {
            whole_ = false;
            size = 0;
        }
        const auto found = rest_.substr(0, size);
        rest_.remove_prefix(size);
        return found;
    }
    std::string_view rest_;
    bool whole_ = true;
};

void write_value(Writer& writer, const policy::ArgumentValue& value) {
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

policy::ArgumentValue read_value(Reader& reader) {
    switch (reader.number<Type>()) {
        case Type::integer: return reader.number<std::int64_t>();
        case Type::boolean: return reader.number<char>() != 0;
        case Type::text: break;
    }
    return reader.text();
}

}  // namespace

std::string encode_duty(const Duty& duty) {
    Writer writer;
    writer.number(duty.stage);
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
    Reader reader(bytes);
    Duty duty;
    duty.stage = reader.number<Stage>();
    duty.plan = reader.number<char>() != 0;
    duty.adopted = reader.number<char>() != 0;
    duty.action = ActionName(reader.text());
    duty.request_id = reader.text();
    duty.credentials.uid = reader.number<uid_t>();
    duty.credentials.gid = reader.number<gid_t>();
    for (auto left = reader.number<std::uint32_t>(); left > 0 && reader.whole(); --left)
        duty.credentials.groups.push_back(reader.number<gid_t>());
    for (auto left = reader.number<std::uint32_t>(); left > 0 && reader.whole(); --left) {
        auto name = reader.text();
        auto value = read_value(reader);
        duty.arguments.set(std::move(name), std::move(value));
    }
    if (!reader.at_end() || duty.stage > Stage::undo) return fail("its orders cannot be read");
    return duty;
}

}  // namespace luminous_healing::executor
