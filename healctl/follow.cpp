#include "healctl/follow.h"

#include "audit/reader.h"
#include "audit/rotation.h"

#include <sys/inotify.h>
#include <sys/stat.h>

#include <array>

namespace luminous_healing::healctl {
namespace {

std::string folder_of(const std::string& path) {
    const auto slash = path.rfind('/');
    return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

/// Has the name been given to another file than the open one? Not while there is none: rotation renames first.
bool is_replaced(const std::string& path, int fd) {
    struct stat named {};
    struct stat opened {};
    if (::stat(path.c_str(), &named) != 0 || ::fstat(fd, &opened) != 0) return false;
    return named.st_ino != opened.st_ino || named.st_dev != opened.st_dev;
}

/// Visits what is there beyond `last_seq`; false when visit() wants no more.
Expected<bool> drain(audit::LineReader& reader, std::int64_t& last_seq, const Visit& visit) {
    for (;;) {
        const auto line = reader.next();
        if (!line) return tl::unexpected(line.error());
        if (!*line) return true;
        if (audit::seq_of_line((*line)->text).value_or(last_seq + 1) <= last_seq) continue;
        const auto record = audit::read_record((*line)->text);
        if (!record) return fail("line " + std::to_string((*line)->number) + ": " + record.error().message);
        last_seq = record->seq;
        if (!visit(*record, (*line)->text)) return false;
    }
}

/// Drains every file that may hold a record after `last_seq`.
Expected<bool> drain_all(const std::string& path, std::int64_t& last_seq, const Visit& visit) {
    const auto files = audit::all_files(path);
    if (!files) return tl::unexpected(files.error());
    for (std::size_t i = 0; i < files->size(); ++i) {
        const std::int64_t next_begins = i + 1 < files->size() ? (*files)[i + 1].first_seq : 0;
        if (next_begins != 0 && next_begins <= last_seq + 1) continue;
        auto reader = audit::LineReader::open((*files)[i].path);
        if (!reader) return tl::unexpected(reader.error());
        const auto goes_on = drain(*reader, last_seq, visit);
        if (!goes_on || !*goes_on) return goes_on;
    }
    return true;
}

Expected<void> wait_for_change(int inotify) {
    alignas(inotify_event) std::array<char, 4096> events{};
    ssize_t n = 0;
    do {
        n = ::read(inotify, events.data(), events.size());
    } while (n < 0 && errno == EINTR);
    if (n < 0) return fail_errno("wait for the log to grow");
    return {};
}

/// Until visit() wants no more (false), or the name was given to another file (true).
Expected<bool> follow_file(const std::string& path, int inotify, std::int64_t& last_seq, const Visit& visit) {
    auto reader = audit::LineReader::open(path);
    if (!reader) return tl::unexpected(reader.error());
    for (;;) {
        const bool replaced = is_replaced(path, reader->fd());  // before draining, which then sees all of the old file
        const auto goes_on = drain(*reader, last_seq, visit);
        if (!goes_on || !*goes_on || replaced) return goes_on;
        if (auto changed = wait_for_change(inotify); !changed) return tl::unexpected(changed.error());
    }
}

}  // namespace

Expected<void> read_after(const std::string& path, std::int64_t last_seq, const Visit& visit) {
    const auto read = drain_all(path, last_seq, visit);
    if (!read) return tl::unexpected(read.error());
    return {};
}

Expected<void> follow(const std::string& path, std::int64_t last_seq, const Visit& visit) {
    const UniqueFd inotify(::inotify_init1(IN_CLOEXEC));
    if (!inotify.valid()) return fail_errno("inotify_init1");
    // The folder, not the file: so that a new file under the name is noticed too. Watched before the first look.
    if (::inotify_add_watch(inotify.get(), folder_of(path).c_str(), IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0)
        return fail_errno("watch " + folder_of(path));
    for (;;) {
        auto goes_on = drain_all(path, last_seq, visit);
        if (goes_on && *goes_on) goes_on = follow_file(path, inotify.get(), last_seq, visit);
        if (!goes_on) return tl::unexpected(goes_on.error());
        if (!*goes_on) return {};
    }
}

}  // namespace luminous_healing::healctl
