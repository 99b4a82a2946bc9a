#include "audit/log_file.h"

#include "base/file.h"
#include "protocol/json_writer.h"

#include <sys/stat.h>
#include <unistd.h>

namespace luminous_healing::audit {

Record recovered_record(std::string_view cause) {
    protocol::JsonWriter detail;
    detail.begin_object().member("cause", cause);
    Record record;
    record.event = EventType::recovered;
    record.detail = detail.end_object().take();
    return record;
}

Record set_aside_record(const SetAside& aside) {
    protocol::JsonWriter detail;
    detail.begin_object().member("cause", aside.lines ? "the last lines were not what this daemon had written"
                                                      : "the last line was torn by a crash");
    detail.member("kept_as", aside.name).member("bytes", static_cast<std::int64_t>(aside.bytes));
    detail.member("sha256", aside.sha256);
    if (aside.lines) detail.member_bool("lost", true);
    Record record;
    record.event = EventType::recovered;
    record.detail = detail.end_object().take();
    return record;
}

Expected<void> FileLog::write_pending_to_old_file() {
    if (batch_.empty()) return {};
    if (auto written = write_batch(true); !written) {
        undo_write();
        return refuse(written.error());
    }
    accept_batch(true);
    return {};
}

Expected<void> FileLog::reopen(Instant now) {
    const std::string was_wrong = available_ ? "" : why_;
    if (available_) {
        if (auto written = write_pending_to_old_file(); !written) return written;
        if (auto synced = sync(); !synced) return synced;
    }
    if (!available_ || !check_file()) {
        const bool renamed = is_whole_elsewhere();
        if (auto mended = mend_file(); !mended) return refuse(mended.error());
        // From here on logrotate owns the older files and removes them when it likes: they are not missed.
        if (renamed) oldest_kept_ = oldest_own_file();
    }
    available_ = true;
    if (!was_wrong.empty()) append(recovered_record(was_wrong), now);
    Record record;
    record.event = EventType::reopen;
    append(record, now);
    return commit(Durability::durable);
}

/// Was the file renamed, unharmed? A deleted one has no name left.
bool FileLog::is_whole_elsewhere() const {
    struct stat ours {};
    struct stat named {};
    if (::fstat(fd_.get(), &ours) != 0 || ours.st_nlink == 0) return false;
    if (static_cast<std::uint64_t>(ours.st_size) != size_) return false;
    return ::lstat(settings_.path.c_str(), &named) != 0 || named.st_ino != ours.st_ino || named.st_dev != ours.st_dev;
}

Expected<void> FileLog::recover(Instant now) {
    if (available_) return {};
    const std::string cause = why_;
    drop_batch();
    if (auto mended = mend_file(); !mended) return refuse(mended.error());
    available_ = true;
    append(recovered_record(cause), now);
    return commit(Durability::durable);
}

/// Makes the file at the path one that can be appended to, without ever writing into what somebody else changed.
Expected<void> FileLog::mend_file() {
    struct stat ours {};
    struct stat named {};
    if (::fstat(fd_.get(), &ours) != 0) return fail_errno("stat the open audit log");
    if (::lstat(settings_.path.c_str(), &named) != 0) {
        if (errno != ENOENT) return fail_errno("stat " + settings_.path);
        auto fresh = open_log_file(settings_.path, true);
        if (!fresh) return tl::unexpected(fresh.error());
        give_reserve_back();
        use_new_file(std::move(*fresh));
        return {};
    }
    if (ours.st_dev == named.st_dev && ours.st_ino == named.st_ino)
        return mend_same_file(static_cast<std::uint64_t>(ours.st_size));
    return adopt_file_at_path();
}

Expected<void> FileLog::mend_same_file(std::uint64_t found_size) {
    const std::uint64_t durable_size = size_ - undurable_.size();
    if (must_rewrite_ && found_size >= durable_size) return rewrite_undurable();
    if (has_partial_ && found_size > size_) {
        reserve_.forget();
        if (::ftruncate(fd_.get(), static_cast<off_t>(size_)) != 0) return fail_errno("cut " + settings_.path);
        has_partial_ = false;
        found_size = size_;
    }
    if (found_size == size_) return {};
    // Somebody cut it or wrote into it. It stays as evidence under the name of a rotated file, and a new one begins.
    if (found_size > 0) {
        if (auto kept = rename_durably(settings_.path, rotated_name(settings_.path, first_seq_)); !kept) return kept;
        auto fresh = open_log_file(settings_.path, true);
        if (!fresh) return tl::unexpected(fresh.error());
        use_new_file(std::move(*fresh));
        return {};
    }
    auto again = open_log_file(settings_.path, false);
    if (!again) return tl::unexpected(again.error());
    use_new_file(std::move(*again));
    return {};
}

/// After a failed fdatasync(2) the kernel counts the pages as clean although the disk never took them; only writing
/// them anew makes the next fdatasync(2) tell the truth.
Expected<void> FileLog::rewrite_undurable() {
    const std::uint64_t durable_size = size_ - undurable_.size();
    reserve_.forget();
    if (::ftruncate(fd_.get(), static_cast<off_t>(durable_size)) != 0) return fail_errno("cut " + settings_.path);
    if (auto written = write_all(fd_.get(), undurable_); !written)
        return fail_errno("write " + settings_.path, written.error().system_error);
    if (::fdatasync(fd_.get()) != 0) return fail_errno("fdatasync " + settings_.path);
    undurable_.clear();
    must_rewrite_ = has_partial_ = false;
    return {};
}

/// Another file lies at the path. An empty one that passes the checks is what logrotate creates.
Expected<void> FileLog::adopt_file_at_path() {
    auto fd = open_log_file(settings_.path, false);
    if (!fd) return tl::unexpected(fd.error());
    struct stat st {};
    if (::fstat(fd->get(), &st) != 0) return fail_errno("stat " + settings_.path);
    if (st.st_size != 0)
        return fail("the audit log was replaced by a file that is not empty: move " + settings_.path + " away");
    give_reserve_back();
    use_new_file(std::move(*fd));
    return {};
}

}  // namespace luminous_healing::audit
