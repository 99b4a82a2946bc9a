#include "audit/log_file.h"

#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

namespace luminous_healing::audit {
namespace {

constexpr int kOpenFlags = O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
constexpr Micros kEpochTime = 1h;

std::string how_to_start_anew(const std::string& path) {
    return ". Nothing was changed. To examine it: healctl audit verify. To start a new chain: stop the daemon and "
           "move " +
           path + " and every file beginning with that name (" + path + ".key too) to another folder";
}

bool is_ours(const struct stat& st) { return st.st_uid == 0 || st.st_uid == ::geteuid(); }

Expected<void> check_folder(const std::string& path) {
    const auto slash = path.rfind('/');
    if (path.empty() || path[0] != '/' || path.back() == '/')
        return fail("the audit log's path must be absolute and name a file: " + path);
    const std::string folder = slash == 0 ? "/" : path.substr(0, slash);
    struct stat st {};
    if (::stat(folder.c_str(), &st) != 0)
        return fail_errno("the audit log's folder " + folder + " (create it, owned by the daemon's user, mode 0750)");
    if (!S_ISDIR(st.st_mode)) return fail(folder + " is not a folder");
    if (!is_ours(st)) return fail(folder + " belongs to another user: chown it to the daemon's user");
    const bool group_is_ours = st.st_gid == ::getegid() || st.st_gid == 0;
    if ((st.st_mode & S_IWOTH) != 0 || ((st.st_mode & S_IWGRP) != 0 && !group_is_ours))
        return fail("others can replace files in " + folder + ": chmod go-w " + folder);
    return {};
}

Expected<void> check_log_file(const struct stat& st, const std::string& path) {
    if (S_ISLNK(st.st_mode)) return fail("the audit log " + path + " is a symbolic link: give the path it leads to");
    if (!S_ISREG(st.st_mode)) return fail("the audit log " + path + " is not a regular file: move it away");
    if (!is_ours(st)) return fail("the audit log " + path + " belongs to another user: chown it to the daemon's user");
    if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return fail("others can write the audit log " + path + ": chmod 640 " + path);
    if (st.st_nlink != 1) return fail("the audit log " + path + " has other names (hard links): remove them");
    return {};
}

Expected<UniqueFd> create_log_file(const std::string& path) {
    UniqueFd fd(::open(path.c_str(), kOpenFlags | O_CREAT | O_EXCL, 0640));
    if (!fd.valid()) return fail_errno("create the audit log " + path);
    if (::fchmod(fd.get(), 0640) != 0) return fail_errno("chmod " + path);  // whatever the umask
    if (auto synced = sync_folder_of(path); !synced) return tl::unexpected(synced.error());
    return fd;
}

/// What open() finds at the path and before it.
struct Found {
    UniqueFd fd;
    std::uint64_t size = 0;
    std::int64_t first_seq = 0;  // of the file; 0 when it is empty
    std::int64_t oldest = 0;     // what its first record says the oldest file begins with; 0 when it says nothing
    Tail tail;                   // of the newest file that holds a record
    std::string tail_error;      // why the end of the file at the path is none
    std::optional<SetAside> set_aside;
    bool existed = false;
    bool has_earlier_files = false;
};

/// The newest record is in an earlier file when a crash came after the renaming of a rotation.
Expected<void> look_at_earlier_files(const std::string& path, Found& found) {
    const auto files = earlier_files(path);
    if (!files) return tl::unexpected(files.error());
    found.has_earlier_files = !files->empty();
    if (files->empty() || found.tail.last) return {};
    const std::string& newest = files->back().path;
    const UniqueFd fd(::open(newest.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
    struct stat st {};
    if (!fd.valid() || ::fstat(fd.get(), &st) != 0) return fail_errno("open " + newest);
    auto tail = read_tail(fd.get(), static_cast<std::uint64_t>(st.st_size));
    if (!tail) return fail(newest + ": " + tail.error().message, tail.error().system_error);
    found.tail = std::move(*tail);
    return {};
}

Expected<Found> look(const std::string& path) {
    Found found;
    struct stat st {};
    found.existed = ::lstat(path.c_str(), &st) == 0;
    if (!found.existed && errno != ENOENT) return fail_errno("stat the audit log " + path);
    if (found.existed) {
        auto fd = open_log_file(path, false);
        if (!fd) return tl::unexpected(fd.error());
        found.fd = std::move(*fd);
        if (::fstat(found.fd.get(), &st) != 0) return fail_errno("stat the audit log " + path);
        auto tail = read_tail(found.fd.get(), static_cast<std::uint64_t>(st.st_size));
        if (!tail) {
            found.tail_error = tail.error().message;
            return found;
        }
        found.tail = std::move(*tail);
        found.size = found.tail.complete_size;
    }
    if (auto looked = look_at_earlier_files(path, found); !looked) return tl::unexpected(looked.error());
    return found;
}

/// The first start of a new log: the empty file first, then the key, so that a key without a log is always a loss.
Expected<KeyFile> start_new_log(const std::string& path, Found& found) {
    if (found.tail.last || !found.tail_error.empty() || found.has_earlier_files)
        return fail("the audit log " + path + " has records, but its key file " + path + ".key is missing" +
                    how_to_start_anew(path));
    if (!found.existed) {
        auto fd = create_log_file(path);
        if (!fd) return tl::unexpected(fd.error());
        found.fd = std::move(*fd);
        found.existed = true;
    }
    return KeyFile::create(path, now().wall);
}

/// The position of a log without any record yet.
Expected<Position> find_beginning(const Found& found, const KeyState& state, const std::string& otherwise) {
    if (!found.existed || state.seq > 0) return fail(otherwise);
    auto key = ChainKey::create(state.key, state.epoch);
    if (!key) return tl::unexpected(key.error());
    return Position{Head{}, std::move(*key), {}};
}

/// Goes back to the newest record up to which all are whole, where that is not the last one.
Expected<Position> find_position_in_file(const std::string& path, Found& found, const KeyState& state) {
    auto position = found.tail.last ? match(found.tail, state) : fail(found.tail_error);
    struct stat st {};
    if (::fstat(found.fd.get(), &st) != 0) return fail_errno("stat " + path);
    auto proven = last_proven(found.fd.get(), static_cast<std::uint64_t>(st.st_size), state);
    if (!proven) return tl::unexpected(proven.error());
    if (!*proven || (position && (*proven)->complete_size == found.size)) return position;
    found.tail = std::move(**proven);
    found.size = found.tail.complete_size;
    if (auto looked = look_at_earlier_files(path, found); !looked) return tl::unexpected(looked.error());
    if (found.tail.last) return match(found.tail, state);
    return find_beginning(found, state, position ? "its first record is damaged" : position.error().message);
}

Expected<Position> find_position(const std::string& path, Found& found, const KeyState& state) {
    const bool own = found.size > 0 || !found.tail_error.empty();
    if (own || found.tail.last) {
        // An earlier file is as it was when it was renamed, durably: nothing can be torn there.
        auto position = own ? find_position_in_file(path, found, state) : match(found.tail, state);
        if (!position) return fail("the audit log " + path + ": " + position.error().message + how_to_start_anew(path));
        return position;
    }
    return find_beginning(found, state,
                          "the audit log " + path + " is gone or empty, but its key file " + path + ".key is there" +
                              how_to_start_anew(path));
}

/// What the file's first record says; nothing of an empty file.
void read_first_record(Found& found) {
    std::string start(kMaxLine, '\0');
    const ssize_t n = ::pread(found.fd.get(), start.data(), start.size(), 0);
    start.resize(static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
    const auto record = read_record(std::string_view(start).substr(0, start.find('\n')));
    if (!record) return;
    found.first_seq = record->seq;
    found.oldest = record->seq == 1 ? 1 : read_oldest(record->record.detail).value_or(0);
}

/// Makes the file that appending goes to: without a torn line, and there.
Expected<void> make_ready(const std::string& path, Found& found) {
    if (!found.existed) {
        auto fd = create_log_file(path);
        if (!fd) return tl::unexpected(fd.error());
        found.fd = std::move(*fd);
        return {};
    }
    struct stat st {};
    if (::fstat(found.fd.get(), &st) != 0) return fail_errno("stat the audit log " + path);
    const auto size = static_cast<std::uint64_t>(st.st_size);
    if (size > found.size) {
        Tail torn;
        torn.complete_size = found.size;
        torn.torn = size - found.size;
        auto kept = set_torn_aside(found.fd.get(), path, torn);
        if (!kept) return tl::unexpected(kept.error());
        found.set_aside = std::move(*kept);
    }
    read_first_record(found);
    return {};
}

}  // namespace

Expected<UniqueFd> open_log_file(const std::string& path, bool create) {
    if (create) return create_log_file(path);
    struct stat st {};
    if (::lstat(path.c_str(), &st) != 0) return fail_errno("stat the audit log " + path);
    // Twice: before, because merely opening some devices does something; after, because only that is certain.
    if (auto checked = check_log_file(st, path); !checked) return tl::unexpected(checked.error());
    UniqueFd fd(::open(path.c_str(), kOpenFlags));
    if (!fd.valid()) return fail_errno("open the audit log " + path);
    if (::fstat(fd.get(), &st) != 0) return fail_errno("stat the audit log " + path);
    if (auto checked = check_log_file(st, path); !checked) return tl::unexpected(checked.error());
    return fd;
}

Expected<std::unique_ptr<Log>> Log::open(LogSettings settings) {
    const std::string path = settings.path;
    if (auto checked = check_folder(path); !checked) return tl::unexpected(checked.error());
    auto key_file = KeyFile::open(path);
    if (!key_file) return tl::unexpected(key_file.error());
    auto found = look(path);
    if (!found) return tl::unexpected(found.error());
    if (!*key_file) {
        auto created = start_new_log(path, *found);
        if (!created) return tl::unexpected(created.error());
        *key_file = std::move(*created);
    }
    auto state = (*key_file)->load();
    if (!state) return fail(state.error().message + how_to_start_anew(path), state.error().system_error);
    auto position = find_position(path, *found, *state);
    if (!position) return tl::unexpected(position.error());
    if (position->to_store) {
        if (auto stored = (*key_file)->replace(*position->to_store); !stored) return tl::unexpected(stored.error());
        state = std::move(*position->to_store);
    }
    if (auto ready = make_ready(path, *found); !ready) return tl::unexpected(ready.error());
    auto log = std::make_unique<FileLog>(std::move(settings), std::move(found->fd), found->size, std::move(**key_file),
                                         std::move(*position));
    const Instant time = now();
    log->begin(*state, found->first_seq, found->oldest, time);
    if (!found->set_aside) return log;
    log->append(set_aside_record(*found->set_aside), time);
    if (auto committed = log->commit(Durability::durable); !committed) return tl::unexpected(committed.error());
    return log;
}

FileLog::FileLog(LogSettings settings, UniqueFd fd, std::uint64_t size, KeyFile key_file, Position position)
    : settings_(std::move(settings)),
      fd_(std::move(fd)),
      size_(size),
      key_file_(std::move(key_file)),
      key_(std::move(position.key)),
      head_(position.head),
      batch_head_(position.head),
      reserve_(settings_.reserve) {}

void FileLog::begin(const KeyState& state, std::int64_t first_seq, std::int64_t oldest, Instant now) {
    epoch_began_seq_ = state.seq;
    epoch_began_ = BootTime{now.boot.since_boot - std::clamp(now.wall - state.since, Micros(0), kEpochTime)};
    first_seq_ = first_seq > 0 ? first_seq : head_.seq + 1;
    oldest_kept_ = oldest > 0 ? oldest : oldest_own_file();
    last_append_ = now;
    reserve_.top_up(fd_.get(), size_);
}

Space FileLog::space() const { return available_ ? reserve_.space(size_) : Space::none; }

}  // namespace luminous_healing::audit
