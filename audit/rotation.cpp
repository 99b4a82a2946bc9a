#include "audit/rotation.h"

#include "audit/key_file.h"
#include "base/text.h"
#include "base/unique_fd.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <limits>
#include <memory>

namespace luminous_healing::audit {
namespace {

constexpr std::size_t kSeqDigits = 20;

struct Names {
    std::string folder;  // with its slash
    std::string base;
};

Names split(const std::string& path) {
    const auto slash = path.rfind('/');
    if (slash == std::string::npos) return {"./", path};
    return {path.substr(0, slash + 1), path.substr(slash + 1)};
}

Expected<std::vector<std::string>> names_in(const std::string& folder) {
    const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(folder.c_str()), ::closedir);
    if (!dir) return fail_errno("open folder " + folder);
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* const entry = ::readdir(dir.get())) {
        names.emplace_back(entry->d_name);
        errno = 0;
    }
    if (errno != 0) return fail_errno("read folder " + folder);
    std::sort(names.begin(), names.end());
    return names;
}

bool is_other_file_of_log(std::string_view suffix) {
    if (suffix.empty() || (suffix[0] != '.' && suffix[0] != '-')) return false;
    if (suffix.starts_with(".key") || suffix.starts_with(".first-key") || suffix.starts_with(".torn-")) return false;
    return !suffix.ends_with(".gz") && !suffix.ends_with(".xz") && !suffix.ends_with(".zst") &&
           !suffix.ends_with(".bz2");
}

/// The beginning of a regular file; empty for anything else.
std::string first_bytes(const std::string& path) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY));
    struct stat st {};
    if (!fd.valid() || ::fstat(fd.get(), &st) != 0 || !S_ISREG(st.st_mode)) return {};
    std::array<char, 256> buffer{};
    const ssize_t n = ::pread(fd.get(), buffer.data(), buffer.size(), 0);
    return n > 0 ? std::string(buffer.data(), static_cast<std::size_t>(n)) : std::string();
}

void sort_by_seq(std::vector<Segment>& segments) {
    const auto place = [](const Segment& s) {
        return s.first_seq > 0 ? s.first_seq : std::numeric_limits<std::int64_t>::max();
    };
    std::stable_sort(segments.begin(), segments.end(),
                     [&](const Segment& a, const Segment& b) { return place(a) < place(b); });
}

}  // namespace

std::string rotated_name(const std::string& path, std::int64_t first_seq) {
    std::string digits = std::to_string(first_seq);
    digits.insert(0, kSeqDigits - std::min(kSeqDigits, digits.size()), '0');
    return path + "." + digits;
}

std::optional<std::int64_t> seq_of_rotated_name(std::string_view path, std::string_view rotated) {
    if (rotated.size() != path.size() + 1 + kSeqDigits || !rotated.starts_with(path)) return {};
    if (rotated[path.size()] != '.') return {};
    const auto seq = parse_integer<std::int64_t>(rotated.substr(path.size() + 1));
    return seq && *seq > 0 ? seq : std::nullopt;
}

std::optional<std::int64_t> seq_of_line(std::string_view line) {
    constexpr std::string_view kStart = "{\"timestamp\":\"";
    constexpr std::string_view kMark = "\",\"seq\":";
    const auto mark = line.find(kMark);
    if (!line.starts_with(kStart) || mark == std::string_view::npos || mark > 64) return {};
    line.remove_prefix(mark + kMark.size());
    const auto seq = parse_integer<std::int64_t>(line.substr(0, line.find(',')));
    return seq && *seq > 0 ? seq : std::nullopt;
}

Expected<std::vector<Segment>> own_rotated_files(const std::string& path) {
    const auto [folder, base] = split(path);
    const auto names = names_in(folder);
    if (!names) return tl::unexpected(names.error());
    std::vector<Segment> files;
    for (const auto& name : *names) {
        if (const auto seq = seq_of_rotated_name(base, name)) files.push_back({folder + name, *seq});
    }
    sort_by_seq(files);
    return files;
}

Expected<std::vector<Segment>> earlier_files(const std::string& path) {
    const auto [folder, base] = split(path);
    const auto names = names_in(folder);
    if (!names) return tl::unexpected(names.error());
    std::vector<Segment> files;
    for (const auto& name : *names) {
        if (!name.starts_with(base) || !is_other_file_of_log(std::string_view(name).substr(base.size()))) continue;
        const std::string start = first_bytes(folder + name);
        if (start.empty()) continue;
        const auto seq = seq_of_line(start);
        files.push_back({folder + name, seq ? *seq : seq_of_rotated_name(base, name).value_or(0)});
    }
    sort_by_seq(files);
    return files;
}

Expected<std::vector<Segment>> all_files(const std::string& path) {
    auto files = earlier_files(path);
    if (!files) return files;
    const std::string start = first_bytes(path);
    if (!start.empty()) files->push_back({path, seq_of_line(start).value_or(0)});
    return files;
}

bool is_folder(const std::string& path) {
    struct stat st {};
    return ::stat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode);
}

Expected<std::string> log_in_folder(const std::string& folder) {
    const auto names = names_in(folder);
    if (!names) return tl::unexpected(names.error());
    std::vector<std::string> logs;
    for (const auto& name : *names) {
        if (name.ends_with(".json")) logs.push_back(name);
    }
    const bool usual = std::find(logs.begin(), logs.end(), "audit.json") != logs.end();
    if (!usual && logs.size() > 1) return fail(folder + " holds more than one log: name the file");
    const std::string prefix = folder.ends_with('/') ? folder : folder + "/";
    return prefix + (usual || logs.empty() ? "audit.json" : logs.front());
}

Expected<void> rename_durably(const std::string& from, const std::string& to) {
    int result = ::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE);
    if (result != 0 && errno == EINVAL) {  // a file system without it (renameat2(2)): look first, the folder is ours
        struct stat st {};
        if (::lstat(to.c_str(), &st) == 0) return fail_errno("rename to " + to, EEXIST);
        result = ::rename(from.c_str(), to.c_str());
    }
    if (result != 0) return fail_errno("rename " + from + " to " + to);
    return sync_folder_of(to);
}

Expected<void> remove_rotated_before(const std::string& path, std::int64_t oldest_kept) {
    const auto files = own_rotated_files(path);
    if (!files) return tl::unexpected(files.error());
    bool removed = false;
    for (const auto& file : *files) {
        if (file.first_seq >= oldest_kept) break;
        if (::unlink(file.path.c_str()) != 0 && errno != ENOENT) return fail_errno("remove " + file.path);
        removed = true;
    }
    return removed ? sync_folder_of(path) : Expected<void>();
}

}  // namespace luminous_healing::audit
