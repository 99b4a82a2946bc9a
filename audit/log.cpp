#include "audit/log_file.h"

#include "base/file.h"
#include "protocol/json_writer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

namespace luminous_healing::audit {
namespace {

constexpr std::int64_t kEpochRecords = 1000;
constexpr Micros kEpochTime = 1h;
constexpr std::size_t kMaxUndurable = 1U << 20U;  // bytes that may wait for sync(); more makes a commit durable

}  // namespace

Stamp FileLog::stamp(Instant now) const {
    return {now, batch_head_.seq + 1, settings_.boot_id, settings_.host, config_};
}

void FileLog::add(const Record& record, Instant now) {
    const std::string body = write_record(record, stamp(now));
    std::string_view open = body;
    open.remove_suffix(1);
    batch_head_.chain = key_.chain_of(batch_head_.chain, open);
    ++batch_head_.seq;
    append_chained(batch_, body, batch_head_.chain);
    batch_ += '\n';
    last_append_ = now;
}

/// The first record of every file but the first: what makes the file provable by itself (chain.h).
Record FileLog::link_record() const {
    protocol::JsonWriter detail;
    detail.begin_object().member("epoch", key_.epoch()).member("chain", head_.chain).member("oldest", oldest_kept_);
    Record record;
    record.event = EventType::rotate;
    record.detail = detail.end_object().take();
    return record;
}

std::int64_t FileLog::append(const Record& record, Instant now) {
    if (batch_.empty() && available_) {
        if (size_ > 0 && size_ + kMaxLine > settings_.rotate_size &&  // far from it the record is not written twice
            size_ + write_record(record, stamp(now)).size() + kChainAndNewline > settings_.rotate_size)
            rotate_if_possible();
        if (size_ == 0 && head_.seq > 0) add(link_record(), now);
    }
    add(record, now);
    return batch_head_.seq;
}

/// What start() wrote of it goes too, unless somebody else has written behind it: that stays as it was found.
void FileLog::drop_batch() {
    struct stat st {};
    if (started_ > 0 && ::fstat(fd_.get(), &st) == 0 && static_cast<std::uint64_t>(st.st_size) == size_ + started_)
        undo_write();
    started_ = 0;
    batch_.clear();
    batch_head_ = head_;
}

Expected<void> FileLog::refuse(Error error) {
    drop_batch();
    available_ = false;
    why_ = error.message;
    return tl::unexpected(std::move(error));
}

void FileLog::start() {
    if (!available_ || batch_.empty() || !check_file()) return;
    if (!write_all(fd_.get(), std::string_view(batch_).substr(started_))) return undo_write();
    started_ = batch_.size();
    // It only begins: what sync_file_range(2) warns of is no matter where fdatasync(2) follows. But an error of the
    // writing itself may be told here and never again.
    if (::sync_file_range(fd_.get(), static_cast<off_t>(size_), static_cast<off_t>(started_), SYNC_FILE_RANGE_WRITE) ==
        0)
        return;
    const bool unknown_here = errno == ENOSYS || errno == EINVAL || errno == EPERM || errno == ESPIPE;
    if (!unknown_here) start_error_ = errno;
}

Expected<void> FileLog::commit(Durability durability) {
    if (!available_) {
        drop_batch();
        return fail(why_);
    }
    if (const int error = std::exchange(start_error_, 0); error != 0) {
        must_rewrite_ = true;
        return refuse({"sync_file_range " + settings_.path + ": " + std::strerror(error), error});
    }
    if (batch_.empty()) return durability == Durability::durable ? sync() : Expected<void>();
    auto next_key = epoch_is_over() ? std::optional(key_.next()) : std::nullopt;
    const bool steps = next_key && *next_key;  // without memory for a key the epoch lasts until there is some
    if (steps) add_epoch_record();
    if (auto same = check_file(); !same) return refuse(same.error());
    const bool durable = durability == Durability::durable || steps || undurable_.size() > kMaxUndurable;
    if (auto written = write_batch(durable); !written) {
        undo_write();
        return refuse(written.error());
    }
    accept_batch(durable);
    if (steps) step_key(std::move(**next_key));
    store_key();
    reserve_.top_up(fd_.get(), size_);
    remove_old_files();
    return {};
}

Expected<void> FileLog::write_batch(bool durable) {
    if (auto written = write_all(fd_.get(), std::string_view(batch_).substr(started_)); !written)
        return fail_errno("write " + settings_.path, written.error().system_error);
    if (durable && ::fdatasync(fd_.get()) != 0) {
        must_rewrite_ = true;
        return fail_errno("fdatasync " + settings_.path);
    }
    return {};
}

void FileLog::accept_batch(bool durable) {
    if (size_ == 0) first_seq_ = head_.seq + 1;
    size_ += batch_.size();
    head_ = batch_head_;
    if (durable) undurable_.clear();
    else undurable_ += batch_;
    batch_.clear();
    started_ = 0;
}

/// Takes back what a failed write left behind the last record. If even that fails, recover() does it.
void FileLog::undo_write() {
    started_ = 0;
    struct stat st {};
    if (::fstat(fd_.get(), &st) == 0 && static_cast<std::uint64_t>(st.st_size) == size_) return;
    reserve_.forget();  // ftruncate(2) gives the blocks beyond the new end back
    has_partial_ = ::ftruncate(fd_.get(), static_cast<off_t>(size_)) != 0;
    if (!has_partial_) reserve_.top_up(fd_.get(), size_);
}

Expected<void> FileLog::sync() {
    if (!available_) return fail(why_);
    if (undurable_.empty()) return {};
    if (::fdatasync(fd_.get()) != 0) {
        must_rewrite_ = true;
        return refuse({"fdatasync " + settings_.path + ": " + std::strerror(errno), errno});
    }
    undurable_.clear();
    return {};
}

Expected<void> FileLog::check_file() const {
    struct stat ours {};
    struct stat named {};
    const std::string& path = settings_.path;
    if (::fstat(fd_.get(), &ours) != 0) return fail_errno("stat the open " + path);
    if (::lstat(path.c_str(), &named) != 0) return fail_errno("the audit log was moved or deleted: stat " + path);
    if (ours.st_dev != named.st_dev || ours.st_ino != named.st_ino)
        return fail("the audit log was replaced: " + path + " is another file now");
    if (!S_ISREG(ours.st_mode) || ours.st_nlink < 1) return fail("the audit log was deleted: " + path);
    const std::uint64_t expected = size_ + started_;
    if (static_cast<std::uint64_t>(ours.st_size) != expected)
        return fail("the audit log was changed by somebody else: " + path + " has " + std::to_string(ours.st_size) +
                    " bytes, not " + std::to_string(expected));
    return {};
}

// ---- epochs ----

bool FileLog::epoch_is_over() const {
    return batch_head_.seq - epoch_began_seq_ >= kEpochRecords || last_append_.boot - epoch_began_ >= kEpochTime;
}

void FileLog::add_epoch_record() {
    Record record;
    record.event = EventType::key_epoch;
    record.detail = "{\"epoch\":" + std::to_string(key_.epoch() + 1) + "}";
    add(record, last_append_);
}

/// The key_epoch record is durable; now the key it names takes over.
void FileLog::step_key(ChainKey next) {
    unstored_ = KeyState{next.epoch(), head_.seq, head_.chain, last_append_.wall, key_.next_bytes()};
    key_ = std::move(next);
    head_.epoch = key_.epoch();
    batch_head_ = head_;
    epoch_began_seq_ = head_.seq;
    epoch_began_ = last_append_.boot;
}

/// A key file that cannot be written is no reason to stop recording: it is tried again at each commit, and open() can
/// step an old key forward (tail.h).
void FileLog::store_key() {
    if (unstored_ && key_file_.replace(*unstored_)) unstored_.reset();
}

// ---- rotation ----

void FileLog::rotate_if_possible() {
    if (reserve_.disk_is_full() || size_ < rotate_again_at_) return;
    if (!check_file() || !sync()) return;  // commit() will say what is wrong
    const std::string old_name = rotated_name(settings_.path, first_seq_);
    if (auto renamed = rename_durably(settings_.path, old_name); !renamed) {
        rotate_again_at_ = size_ + settings_.rotate_size / 8;  // keep on recording; try again a little later
        return;
    }
    if (auto fresh = open_log_file(settings_.path, true); fresh) {
        give_reserve_back();
        use_new_file(std::move(*fresh));
        plan_removal();
        return;
    }
    if (!rename_durably(old_name, settings_.path)) return;  // commit() finds the file gone, and recover() makes one
    rotate_again_at_ = size_ + settings_.rotate_size / 8;
}

/// The blocks beyond the end of a full file would stay allocated for as long as it is kept.
void FileLog::give_reserve_back() {
    struct stat st {};
    if (::fstat(fd_.get(), &st) != 0 || static_cast<std::uint64_t>(st.st_size) != size_) return;  // evidence: hands off
    static_cast<void>(::ftruncate(fd_.get(), st.st_size) == 0);  // a failure wastes space and nothing else
}

void FileLog::use_new_file(UniqueFd fd) {
    fd_ = std::move(fd);
    size_ = 0;
    first_seq_ = head_.seq + 1;
    rotate_again_at_ = 0;
    undurable_.clear();
    must_rewrite_ = has_partial_ = false;
    reserve_.forget();
    reserve_.top_up(fd_.get(), 0);
}

/// Which rotated files may go. The first record of the new file names the oldest that stays, so that a missing one is
/// found later; they are removed only when that record is durable. That seq moves on only with a removal: files that
/// somebody else removed stay missed.
void FileLog::plan_removal() {
    const auto files = own_rotated_files(settings_.path);
    if (!files || files->size() <= settings_.keep) return;
    oldest_kept_ = settings_.keep == 0 ? first_seq_ : (*files)[files->size() - settings_.keep].first_seq;
    removal_is_due_ = true;
}

std::int64_t FileLog::oldest_own_file() const {
    const auto files = own_rotated_files(settings_.path);
    return files && !files->empty() ? files->front().first_seq : first_seq_;
}

void FileLog::remove_old_files() {
    if (!removal_is_due_ || !undurable_.empty()) return;
    removal_is_due_ = false;  // a failure leaves files that the next rotation removes
    static_cast<void>(remove_rotated_before(settings_.path, oldest_kept_).has_value());
}

}  // namespace luminous_healing::audit
