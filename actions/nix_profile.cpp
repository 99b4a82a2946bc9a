#include "actions/nix_profile.h"

#include "actions/machine_files.h"
#include "base/text.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <memory>

namespace luminous_healing::actions {
namespace {

constexpr std::string_view kProfiles = "/nix/var/nix/profiles";
constexpr std::string_view kProfileName = "system";

// Where a link leads, as it is written; empty when it is no link.
std::string link_target(std::string_view absolute) {
    std::array<char, PATH_MAX> target{};
    const ssize_t n = ::readlink(machine_path(absolute).c_str(), target.data(), target.size());
    return n > 0 ? std::string(target.data(), static_cast<std::size_t>(n)) : std::string();
}

std::string_view last_part(std::string_view path) { return path.substr(path.rfind('/') + 1); }

}  // namespace

std::optional<std::int64_t> generation_number(std::string_view link, std::string_view profile) {
    constexpr std::string_view kEnd = "-link";
    if (!link.starts_with(profile) || !link.ends_with(kEnd)) return {};
    link.remove_prefix(profile.size());
    if (!link.starts_with('-') || link.size() <= kEnd.size() + 1) return {};
    const auto number = parse_integer<std::int64_t>(link.substr(1, link.size() - 1 - kEnd.size()));
    return number && *number > 0 ? number : std::nullopt;
}

std::string generation_link(std::int64_t number) {
    return std::string(kProfiles) + "/" + std::string(kProfileName) + "-" + std::to_string(number) + "-link";
}

Expected<std::vector<Generation>> system_generations() {
    const std::string folder = machine_path(kProfiles);
    const std::unique_ptr<DIR, int (*)(DIR*)> entries(::opendir(folder.c_str()), ::closedir);
    if (!entries && errno == ENOENT) return std::vector<Generation>{};
    if (!entries) return fail_errno("open " + folder);
    const auto current = generation_number(last_part(link_target(kSystemProfile)), kProfileName);
    const std::string running = link_target("/run/current-system");
    const std::string booted = link_target("/run/booted-system");
    std::vector<Generation> found;
    while (const dirent* const entry = ::readdir(entries.get())) {
        const auto number = generation_number(entry->d_name, kProfileName);
        if (!number) continue;
        struct stat status {};
        if (::lstat(machine_path(generation_link(*number)).c_str(), &status) != 0) continue;
        Generation made;
        made.number = *number;
        made.made = std::chrono::seconds(status.st_mtim.tv_sec);
        made.store_path = link_target(generation_link(*number));
        made.current = current == number;
        made.running = !running.empty() && made.store_path == running;
        made.booted = !booted.empty() && made.store_path == booted;
        found.push_back(std::move(made));
    }
    std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.number < b.number; });
    return found;
}

std::vector<std::int64_t> generations_to_delete(const std::vector<Generation>& generations, Micros now,
                                                std::int64_t keep_days, std::int64_t keep_newest) {
    const Micros oldest_kept = now - std::chrono::hours(24 * keep_days);
    std::vector<std::int64_t> numbers;
    for (const auto& generation : generations) {
        const auto newer = std::count_if(generations.begin(), generations.end(),
                                         [&](const Generation& other) { return other.number > generation.number; });
        const bool kept = generation.current || generation.running || generation.booted || newer < keep_newest ||
                          generation.made >= oldest_kept;
        if (!kept) numbers.push_back(generation.number);
    }
    return numbers;
}

Expected<Generation> rollback_target(const std::vector<Generation>& generations, std::optional<std::int64_t> wanted) {
    const auto current = std::find_if(generations.begin(), generations.end(), [](const auto& g) { return g.current; });
    if (current == generations.end()) return fail("this machine has no current system generation");
    if (wanted) {
        const auto found = std::find_if(generations.begin(), generations.end(),
                                        [&](const auto& generation) { return generation.number == *wanted; });
        if (found == generations.end()) return fail("there is no generation " + std::to_string(*wanted));
        if (found->current && found->running)
            return fail("generation " + std::to_string(*wanted) + " is the present one");
        return *found;
    }
    const Generation* best = nullptr;
    for (const auto& generation : generations) {
        if (generation.number < current->number && (best == nullptr || generation.number > best->number))
            best = &generation;
    }
    if (best == nullptr) return fail("there is no generation before " + std::to_string(current->number));
    return *best;
}

}  // namespace luminous_healing::actions
