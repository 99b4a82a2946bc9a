#include "audit/key_file.h"

#include "base/file.h"
#include "base/text.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <vector>

namespace luminous_healing::audit {
namespace {

constexpr std::size_t kSlotBytes = 4096;
constexpr int kOpenFlags = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;

std::string slot_text(const KeyState& state) {
    std::string hex = to_hex(state.key.bytes());
    std::string text = "luminous-healing audit key 1\nepoch " + std::to_string(state.epoch) + "\nseq " +
                       std::to_string(state.seq) + "\nchain " + state.chain + "\nsince " +
                       std::to_string(state.since.since_epoch.count()) + "\nkey " + hex + "\n";
    protocol::wipe(hex);
    const auto digest = protocol::sha256(text);
    text += "sha256 " + to_hex({digest.data(), digest.size()}) + "\n";
    return text;
}

/// The value of the line `NAME VALUE`.
std::string_view line_value(std::string_view text, std::string_view name) {
    std::string key = "\n";
    key.append(name).append(" ");
    const auto begin = text.find(key);
    if (begin == std::string_view::npos) return {};
    text.remove_prefix(begin + key.size());
    return text.substr(0, text.find('\n'));
}

/// Nothing for a slot that is empty, torn or changed: it is compared with what its own values would be written as.
std::optional<KeyState> parse_slot(std::string_view text) {
    const auto epoch = parse_integer<std::int64_t>(line_value(text, "epoch"));
    const auto seq = parse_integer<std::int64_t>(line_value(text, "seq"));
    const auto since = parse_integer<std::int64_t>(line_value(text, "since"));
    auto key = from_hex(line_value(text, "key"));
    if (!epoch || !seq || !since || !key || key->size() != kKeyBytes || *epoch < 0 || *seq < 0) return {};
    KeyState state{*epoch, *seq, std::string(line_value(text, "chain")), WallTime{Micros(*since)},
                   Secret(std::move(*key))};
    std::string expected = slot_text(state);
    const bool same = text.substr(0, expected.size()) == expected;
    protocol::wipe(expected);
    return same ? std::optional(std::move(state)) : std::nullopt;
}

Expected<void> write_at(int fd, std::string_view bytes, off_t offset) {
    while (!bytes.empty()) {
        const ssize_t n = ::pwrite(fd, bytes.data(), bytes.size(), offset);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail_errno("write");
        bytes.remove_prefix(static_cast<std::size_t>(n));
        offset += n;
    }
    return {};
}

std::string padded(std::string text) {
    text.resize(kSlotBytes);
    return text;
}

/// A new file of these bytes under `path`, complete or not there at all.
Expected<void> create_secret_file(const std::string& path, std::string_view bytes) {
    const std::string draft = path + ".new";
    if (::unlink(draft.c_str()) != 0 && errno != ENOENT) return fail_errno("remove " + draft);
    const UniqueFd fd(::open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | kOpenFlags, 0600));
    if (!fd.valid()) return fail_errno("create " + draft);
    if (auto written = write_all(fd.get(), bytes); !written)
        return fail_errno("write " + draft, written.error().system_error);
    if (::fsync(fd.get()) != 0) return fail_errno("fsync " + draft);
    if (::rename(draft.c_str(), path.c_str()) != 0) return fail_errno("rename " + draft + " to " + path);
    return sync_folder_of(path);
}

/// Root looks after a log that is the service's: its key then belongs to whoever the folder belongs to.
bool is_own(uid_t owner, const std::string& path) {
    if (owner == 0 || owner == ::geteuid()) return true;
    struct stat folder {};
    return ::geteuid() == 0 && ::stat(path.substr(0, path.rfind('/') + 1).c_str(), &folder) == 0 &&
           folder.st_uid == owner;
}

Expected<void> check_secret_file(int fd, const std::string& path) {
    struct stat st {};
    if (::fstat(fd, &st) != 0) return fail_errno("stat " + path);
    if (!S_ISREG(st.st_mode)) return fail(path + " is not a regular file");
    if (!is_own(st.st_uid, path)) return fail(path + " belongs to another user: chown it");
    if ((st.st_mode & 077U) != 0) return fail(path + " is open to others: chmod 600 " + path);
    if (st.st_nlink != 1) return fail(path + " has other names (hard links): remove them");
    return {};
}

Expected<void> lock(int fd, const std::string& path) {
    struct flock whole {};
    whole.l_type = F_WRLCK;
    whole.l_whence = SEEK_SET;
    if (::fcntl(fd, F_SETLK, &whole) == 0) return {};
    if (errno == EACCES || errno == EAGAIN)
        return fail("another process writes this audit log (it has locked " + path + ")");
    return fail_errno("lock " + path);
}

}  // namespace

Expected<void> sync_folder_of(const std::string& path) {
    const auto slash = path.rfind('/');
    const std::string folder = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
    const UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd.valid()) return fail_errno("open " + folder);
    if (::fsync(fd.get()) != 0) return fail_errno("fsync " + folder);
    return {};
}

Expected<KeyFile> KeyFile::create(const std::string& log_path, WallTime now) {
    const KeyState first{0, 0, std::string(kGenesis), now, Secret(protocol::random_bytes(kKeyBytes))};
    std::string hex = to_hex(first.key.bytes()) + "\n";
    auto kept = create_secret_file(log_path + ".first-key", hex);
    protocol::wipe(hex);
    if (!kept) return tl::unexpected(kept.error());
    std::string slots = padded(slot_text(first)) + std::string(kSlotBytes, '\0');
    auto created = create_secret_file(log_path + ".key", slots);
    protocol::wipe(slots);
    if (!created) return tl::unexpected(created.error());
    auto file = open(log_path);
    if (!file) return tl::unexpected(file.error());
    if (!*file) return fail(log_path + ".key vanished while it was made");
    return std::move(**file);
}

Expected<std::optional<KeyFile>> KeyFile::open(const std::string& log_path) {
    const std::string path = log_path + ".key";
    UniqueFd fd(::open(path.c_str(), O_RDWR | kOpenFlags));
    if (!fd.valid() && errno == ENOENT) return std::optional<KeyFile>();
    if (!fd.valid()) return fail_errno("open " + path);
    if (auto checked = check_secret_file(fd.get(), path); !checked) return tl::unexpected(checked.error());
    if (auto locked = lock(fd.get(), path); !locked) return tl::unexpected(locked.error());
    return std::optional<KeyFile>(KeyFile(std::move(fd), path));
}

Expected<std::optional<KeyState>> KeyFile::read_slot(int slot) const {
    std::string bytes(kSlotBytes, '\0');
    const ssize_t n = ::pread(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(kSlotBytes) * slot);
    if (n < 0) return fail_errno("read " + path_);
    auto state = parse_slot(bytes);
    protocol::wipe(bytes);
    return state;
}

Expected<void> KeyFile::write_slot(int slot, const std::string& bytes) {
    if (auto written = write_at(fd_.get(), bytes, static_cast<off_t>(kSlotBytes) * slot); !written)
        return fail_errno("write " + path_, written.error().system_error);
    if (::fdatasync(fd_.get()) != 0) return fail_errno("fdatasync " + path_);
    return {};
}

Expected<KeyState> KeyFile::load() {
    auto first = read_slot(0);
    if (!first) return tl::unexpected(first.error());
    auto second = read_slot(1);
    if (!second) return tl::unexpected(second.error());
    if (!*first && !*second) return fail(path_ + " holds no whole key");
    active_ = !*first || (*second && (*second)->epoch > (*first)->epoch) ? 1 : 0;
    if (auto erased = write_slot(1 - active_, std::string(kSlotBytes, '\0')); !erased)
        return tl::unexpected(erased.error());
    return std::move(active_ == 0 ? **first : **second);
}

Expected<void> KeyFile::replace(const KeyState& next) {
    std::string bytes = padded(slot_text(next));
    auto written = write_slot(1 - active_, bytes);
    protocol::wipe(bytes);
    if (!written) return written;
    active_ = 1 - active_;
    return write_slot(1 - active_, std::string(kSlotBytes, '\0'));
}

Expected<void> take_first_key(const std::string& log_path, const std::function<bool(std::string_view key)>& deliver) {
    const std::string path = log_path + ".first-key";
    const UniqueFd fd(::open(path.c_str(), O_RDWR | kOpenFlags));
    if (!fd.valid() && errno == ENOENT)
        return fail("there is no " + path + ": the first key was taken before, or the log has not been started",
                    ENOENT);
    if (!fd.valid()) return fail_errno("open " + path);
    if (auto checked = check_secret_file(fd.get(), path); !checked) return tl::unexpected(checked.error());
    // One at a time; who opened the file before another erased it finds that it has lost its name since.
    struct stat file {};
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK ? fail("another is taking the first key from " + path + " at this moment")
                                    : fail_errno("lock " + path);
    if (::fstat(fd.get(), &file) != 0) return fail_errno("stat " + path);
    if (file.st_nlink == 0) return fail("another has taken the first key from " + path + " just now", ENOENT);
    auto content = read_all(fd.get(), kSlotBytes);
    if (!content) return fail("read " + path + ": " + content.error().message, content.error().system_error);
    std::string key(trim(*content));
    const std::string zeros(content->size(), '\0');
    protocol::wipe(*content);
    if (key.size() != 2 * kKeyBytes || !from_hex(key)) return fail(path + " holds no key");
    const bool delivered = deliver(key);
    protocol::wipe(key);
    if (!delivered) return fail("the first key could not be handed over; it is still in " + path);
    if (auto erased = write_at(fd.get(), zeros, 0); !erased)
        return fail_errno("overwrite " + path, erased.error().system_error);
    if (::fsync(fd.get()) != 0) return fail_errno("fsync " + path);
    if (::unlink(path.c_str()) != 0) return fail_errno("remove " + path);
    return sync_folder_of(path);
}

}  // namespace luminous_healing::audit
