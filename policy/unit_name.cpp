#include "policy/unit_name.h"

#include "base/text.h"
#include "policy/pattern.h"

#include <algorithm>
#include <array>

namespace luminous_healing::policy {
namespace {

constexpr std::size_t kMaxLength = 255;
constexpr std::array<std::string_view, 11> kTypes{"service", "socket", "target", "device", "mount", "automount",
                                                  "swap",    "timer",  "path",   "slice",  "scope"};

/// Of these alone there are templates and instances: systemd has no x@1.mount, see unit_type_may_template() of its
/// source.
constexpr std::array<std::string_view, 5> kInstantiable{"service", "socket", "target", "timer", "path"};

bool may_have_instances(std::string_view type) {
    return std::find(kInstantiable.begin(), kInstantiable.end(), type) != kInstantiable.end();
}

bool is_known_type(std::string_view suffix) { return std::find(kTypes.begin(), kTypes.end(), suffix) != kTypes.end(); }

bool is_name_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view(":-_.\\@").find(c) != std::string_view::npos;
}

}  // namespace

bool is_valid_unit_name(std::string_view name) {
    if (name.empty() || name.size() > kMaxLength) return false;
    const auto dot = name.rfind('.');
    if (dot == std::string_view::npos || dot == 0 || !is_known_type(name.substr(dot + 1))) return false;
    const auto stem = name.substr(0, dot);
    if (stem.find('@') != std::string_view::npos && !may_have_instances(name.substr(dot + 1))) return false;
    return std::all_of(stem.begin(), stem.end(), is_name_character) && stem[0] != '@';
}

Expected<std::string> normalise_unit_name(std::string_view written) {
    const std::string shown = printable_line(written, 80);
    std::string name(written);
    const auto dot = name.rfind('.');
    if (dot == std::string::npos || !is_known_type(std::string_view(name).substr(dot + 1))) name += ".service";
    if (name[0] == '-') return fail("unit name \"" + shown + "\" begins with '-'");
    if (!is_valid_unit_name(name))
        return fail("\"" + shown +
                    "\" is not a valid unit name: letters, digits and : - _ . \\ @ only, at most 255, and an @ only in "
                    "services, sockets, targets, timers and paths");
    if (name.find("@.") != std::string::npos && name.find('@') == name.rfind('.') - 1)
        return fail("\"" + shown + "\" is a template: name an instance, like " + name.substr(0, name.find('@') + 1) +
                    "1" + name.substr(name.rfind('.')));
    return name;
}

const std::vector<std::string>& default_protected_units() {
    static const std::vector<std::string> units{
        "dbus.service",
        "dbus.socket",
        "dbus-broker.service",
        "messagebus.service",
        "polkit.service",
        "systemd-*",
        "user@*.service",
        "sshd.service",
        "ssh.service",
        "ssh.socket",
        "sshd.socket",
        "*.target",
        "*.slice",
        "*.scope",
        "*.device",
        "nix-daemon.*",
    };
    return units;
}

bool is_own_unit(std::string_view name) {
    return glob_matches("luminous-healing.*", name) || glob_matches("luminous-healing-*", name);
}

UnitAccess check_unit(std::string_view name, const std::vector<std::string>& entries,
                      const std::vector<std::string>& protected_units) {
    if (!is_valid_unit_name(name)) return UnitAccess::not_listed;  // a glob would take "a.service b.service" for one
    if (is_own_unit(name)) return UnitAccess::protected_unit;
    if (std::find(entries.begin(), entries.end(), name) != entries.end()) return UnitAccess::allowed;
    const auto matches = [&](const std::string& glob) { return glob_matches(glob, name); };
    if (!std::any_of(entries.begin(), entries.end(), matches)) return UnitAccess::not_listed;
    return std::any_of(protected_units.begin(), protected_units.end(), matches) ? UnitAccess::protected_unit
                                                                                : UnitAccess::allowed;
}

}  // namespace luminous_healing::policy
