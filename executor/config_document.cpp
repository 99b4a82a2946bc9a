#include "executor/config_document.h"

#include "base/text.h"

#include <algorithm>
#include <vector>

namespace {

/// The parser lost its way: a document led it to a state that it takes for impossible ("[,name]" does so in 3.3.0).
struct LostParser {};

constexpr void take_for_granted(bool condition) {
    if (!condition) throw LostParser();
}

}  // namespace

// Left alone, what toml++ takes for granted ends the program, and with NDEBUG it is undefined behaviour (TOML_ASSUME in
// toml++/impl/preprocessor.h). Here it is one more way to be no TOML. No other file includes the library.
#undef NDEBUG
#define TOML_ASSERT(condition) take_for_granted(static_cast<bool>(condition))
#include <toml++/toml.h>

namespace luminous_healing::executor {
namespace {

using Kind = ConfigNode::Kind;

// Longer than anything that people write. It bounds how deep "a.a.a… = 1" nests, which is walked recursively.
constexpr std::size_t kMaxLine = 2048;

/// The number of the first line that is too long, or 0.
int overlong_line(std::string_view text) {
    for (int line = 1;; ++line) {
        const auto end = text.find('\n');
        if (std::min(end, text.size()) > kMaxLine) return line;
        if (end == std::string_view::npos) return 0;
        text.remove_prefix(end + 1);
    }
}

int line_of(const toml::source_region& source) { return static_cast<int>(source.begin.line); }

bool loses_the_parser(std::string_view text) {
    try {
        static_cast<void>(toml::parse(text));
    } catch (const LostParser&) {
        return true;
    } catch (const toml::parse_error&) {  // what was cut from `text` may be missing
    }
    return false;
}

/// The number of the first line at which the parser gets lost in `text`. It reads in order, so each cut decides.
int line_that_loses_the_parser(std::string_view text) {
    std::vector<std::size_t> ends;  // of the lines, behind their newline
    for (std::size_t at = text.find('\n'); at != std::string_view::npos; at = text.find('\n', at + 1))
        ends.push_back(at + 1);
    const auto first = std::partition_point(ends.begin(), ends.end(),
                                            [&](auto end) { return !loses_the_parser(text.substr(0, end)); });
    return static_cast<int>(first - ends.begin()) + 1;
}

ConfigNode convert(const toml::node& node) {
    ConfigNode result;
    result.line = line_of(node.source());
    if (const auto* const text = node.as_string()) {
        result.kind = Kind::string;
        result.text = text->get();
    } else if (const auto* const number = node.as_integer()) {
        result.kind = Kind::integer;
        result.integer = number->get();
    } else if (const auto* const flag = node.as_boolean()) {
        result.kind = Kind::boolean;
        result.boolean = flag->get();
    } else if (const auto* const array = node.as_array()) {
        result.kind = Kind::array;
        for (const auto& item : *array) result.items.push_back(convert(item));
    } else if (const auto* const table = node.as_table()) {
        result.kind = Kind::table;
        for (const auto& [key, value] : *table) {
            result.members.push_back({std::string(key.str()), convert(value)});
            if (!value.is_table() || line_of(value.source()) == 0)
                result.members.back().value.line = line_of(key.source());
        }
        std::stable_sort(result.members.begin(), result.members.end(),
                         [](const auto& a, const auto& b) { return a.value.line < b.value.line; });
    }
    return result;
}

}  // namespace

const ConfigNode* ConfigNode::find(std::string_view name) const noexcept {
    for (const auto& [key, value] : members) {
        if (key == name) return &value;
    }
    return nullptr;
}

std::string_view kind_name(Kind kind) {
    switch (kind) {
        case Kind::string: return "a string";
        case Kind::integer: return "a whole number";
        case Kind::boolean: return "true or false";
        case Kind::array: return "a list";
        case Kind::table: return "a table";
        case Kind::other: break;
    }
    return "a number with a fraction, a date or a time";
}

tl::expected<ConfigNode, SyntaxProblem> parse_config_document(std::string_view text) {
    const auto problem = [](int line, std::string what) {
        return tl::unexpected<SyntaxProblem>(SyntaxProblem{line, std::move(what)});
    };
    if (const int line = overlong_line(text); line != 0)
        return problem(line, "the line is longer than " + std::to_string(kMaxLine) + " bytes. Break it into several");
    try {  // the packaged library is built with exceptions; they end here
        return convert(toml::parse(text));
    } catch (const toml::parse_error& error) {
        return problem(line_of(error.source()), "not valid TOML: " + printable_line(error.description(), 300));
    } catch (const LostParser&) {
        return problem(line_that_loses_the_parser(text), "not valid TOML: the parser cannot make sense of this line");
    } catch (const std::exception& error) {
        return problem(1, std::string("could not be read as TOML: ") + error.what());
    }
}

}  // namespace luminous_healing::executor
