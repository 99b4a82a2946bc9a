// Holds our rule for unit names (policy/unit_name.h) against that of the systemd which is running: reads names, each
// ended by a NUL, and prints a line for each:
//
//   OURS SYSTEMD FULL-NAME
//
// OURS and SYSTEMD are `name`, `template` or `none`; the last is the name as we would give it to systemd, or `-`.
// systemd's word is what LoadUnit of its bus answers; what a D-Bus string cannot hold is not asked (`unasked`).

#include "base/text.h"
#include "policy/unit_name.h"

#include <systemd/sd-bus.h>

#include <iostream>
#include <iterator>
#include <string>
#include <string_view>

namespace {

using namespace luminous_healing;

std::string our_word(const std::string& name) {
    if (!policy::is_valid_unit_name(name)) return "none";
    return name.find('@') == name.rfind('.') - 1 ? "template" : "name";
}

std::string word_of_systemd(sd_bus* bus, const std::string& name) {
    if (name.empty() || name.find('\0') != std::string::npos || !is_valid_utf8(name)) return "unasked";
    sd_bus_error error{};
    const int called =
        sd_bus_call_method(bus, "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
                           "org.freedesktop.systemd1.Manager", "LoadUnit", &error, nullptr, "s", name.c_str());
    std::string word = "name";
    if (called < 0) {
        const std::string_view text = error.message != nullptr ? error.message : "";
        if (!sd_bus_error_has_name(&error, SD_BUS_ERROR_INVALID_ARGS)) word = error.name != nullptr ? error.name : "?";
        else word = text.find("missing the instance") != std::string_view::npos ? "template" : "none";
    }
    sd_bus_error_free(&error);
    return word;
}

}  // namespace

int main() {
    sd_bus* bus = nullptr;
    if (sd_bus_open_system(&bus) < 0) {
        std::cerr << "no system bus\n";
        return 1;
    }
    const std::string input(std::istreambuf_iterator<char>(std::cin), {});
    std::string_view rest = input;
    while (!rest.empty()) {
        const std::string name(rest.substr(0, rest.find('\0')));
        rest.remove_prefix(std::min(rest.size(), name.size() + 1));
        const auto full = policy::normalise_unit_name(name);
        std::cout << our_word(name) << ' ' << word_of_systemd(bus, name) << ' ' << (full ? *full : "-") << '\n';
    }
    sd_bus_flush_close_unref(bus);
    return 0;
}
