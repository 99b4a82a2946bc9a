#include "tests/fuzz/second_reader.h"

#include "protocol/limits.h"

#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace luminous_healing::fuzz {
namespace {

using Kind = protocol::Json::Kind;
using Stream = rapidjson::MemoryStream;

/// Builds the tree; false from a handler ends the reading with an error.
class Builder : public rapidjson::BaseReaderHandler<rapidjson::UTF8<>, Builder> {
public:
    explicit Builder(const Stream& stream) : stream_(stream) {}

    bool Null() { return add({}); }
    bool Bool(bool value) {
        Node node;
        node.kind = Kind::boolean;
        node.boolean = value;
        return add(std::move(node));
    }
    bool RawNumber(const char* text, rapidjson::SizeType length, bool) {
        Node node;
        node.kind = Kind::number;
        node.text.assign(text, length);
        return std::isfinite(std::strtod(node.text.c_str(), nullptr)) && add(std::move(node));
    }
    bool String(const char* text, rapidjson::SizeType length, bool) {
        Node node;
        node.kind = Kind::string;
        node.text.assign(text, length);
        return is_unicode(node.text) && add(std::move(node));
    }
    bool Key(const char* text, rapidjson::SizeType length, bool) {
        names_.emplace_back(text, length);
        return is_unicode(names_.back());
    }
    bool StartObject() {
        Node node;
        node.kind = Kind::object;
        node.begin = stream_.Tell() - 1;
        return open(std::move(node));
    }
    bool StartArray() {
        Node node;
        node.kind = Kind::array;
        return open(std::move(node));
    }
    bool EndObject(rapidjson::SizeType) {
        Node node = close();
        node.end = stream_.Tell();
        std::set<std::string_view> names;
        for (const auto& member : node.members) {
            if (!names.insert(member.name).second) return false;
        }
        return add(std::move(node));
    }
    bool EndArray(rapidjson::SizeType) { return add(close()); }

    std::optional<Node> root;

private:
    /// RapidJSON copies some lone surrogates out of escapes as they are.
    static bool is_unicode(const std::string& text) {
        rapidjson::MemoryStream stream(text.data(), text.size());
        unsigned code = 0;
        while (stream.Tell() < text.size()) {
            if (!rapidjson::UTF8<>::Decode(stream, &code)) return false;
            if (code >= 0xD800 && code <= 0xDFFF) return false;
        }
        return true;
    }
    bool open(Node node) {
        open_.push_back(std::move(node));
        return open_.size() <= protocol::kMaxDepth;
    }
    Node close() {
        Node node = std::move(open_.back());
        open_.pop_back();
        return node;
    }
    bool add(Node node) {
        if (open_.empty()) {
            root = std::move(node);
        } else if (open_.back().kind == Kind::array) {
            open_.back().items.push_back(std::move(node));
        } else {
            open_.back().members.push_back({std::move(names_.back()), std::move(node)});
            names_.pop_back();
        }
        return true;
    }

    const Stream& stream_;
    std::vector<Node> open_;
    std::vector<std::string> names_;
};

constexpr unsigned kFlags = rapidjson::kParseValidateEncodingFlag | rapidjson::kParseNumbersAsStringsFlag;

template <unsigned Flags>
std::optional<Node> read(std::string_view input, std::size_t& taken) {
    Stream stream(input.data(), input.size());
    Builder builder(stream);
    rapidjson::Reader reader;
    if (reader.Parse<Flags>(stream, builder).IsError()) return {};
    taken = stream.Tell();
    if (!builder.root || builder.root->kind != Kind::object) return {};
    return std::move(builder.root);
}

}  // namespace

const Node* Node::find(std::string_view name) const {
    const auto found = std::find_if(members.begin(), members.end(), [&](const Member& m) { return m.name == name; });
    return found == members.end() ? nullptr : &found->value;
}

std::optional<Node> read_all(std::string_view input) {
    std::size_t taken = 0;
    auto root = read<kFlags>(input, taken);
    if (taken != input.size()) return {};  // it stopped at a NUL, which it takes for the end
    return root;
}

std::optional<Node> read_first(std::string_view input) {
    std::size_t taken = 0;
    return read<kFlags | rapidjson::kParseStopWhenDoneFlag>(input, taken);
}

bool has_large_exponent(std::string_view input) {
    for (auto at = input.find_first_of("eE"); at != std::string_view::npos; at = input.find_first_of("eE", at + 1)) {
        const auto digits = input.substr(at + 1).find_first_not_of("+-");
        if (digits == std::string_view::npos) continue;
        if (input.substr(at + 1 + digits, 3).size() == 3 &&
            input.substr(at + 1 + digits, 3).find_first_not_of("0123456789") == std::string_view::npos)
            return true;
    }
    return false;
}

bool same(const protocol::Json& ours, const Node& theirs, std::string_view input) {
    if (ours.kind != theirs.kind) return false;
    switch (ours.kind) {
        case Kind::null: return true;
        case Kind::boolean: return ours.boolean == theirs.boolean;
        case Kind::number:
        case Kind::string: return ours.text == theirs.text;
        case Kind::array:
            return std::equal(ours.items.begin(), ours.items.end(), theirs.items.begin(), theirs.items.end(),
                              [&](const auto& a, const auto& b) { return same(a, b, input); });
        case Kind::object: break;
    }
    return ours.raw == theirs.bytes_in(input) && ours.raw.data() == input.data() + theirs.begin &&
           std::equal(ours.members.begin(), ours.members.end(), theirs.members.begin(), theirs.members.end(),
                      [&](const auto& a, const auto& b) { return a.name == b.name && same(a.value, b.value, input); });
}

}  // namespace luminous_healing::fuzz
