#pragma once
// The one implementation of Log: log.cpp appends, commits and rotates; log_open.cpp opens;
// log_recover.cpp reopens and recovers.

#include "audit/key_file.h"
#include "audit/log.h"
#include "audit/reserve.h"
#include "audit/rotation.h"
#include "audit/tail.h"

#include <optional>
#include <string>

namespace luminous_healing::audit {

/// Opens the log's file for appending after checking it: a regular file of ours or root's, with one name, that nobody
/// else may write. `create`: makes it, mode 0640; an error when it exists.
[[nodiscard]] Expected<UniqueFd> open_log_file(const std::string& path, bool create);

/// Why the log needed mending.
[[nodiscard]] Record recovered_record(std::string_view cause);
/// What open() set aside. With {"lost":true} when there were whole lines: see lost_records().
[[nodiscard]] Record set_aside_record(const SetAside& aside);

class FileLog final : public Log {
public:
    FileLog(LogSettings settings, UniqueFd fd, std::uint64_t size, KeyFile key_file, Position position);

    std::int64_t append(const Record& record, Instant now) override;
    void start() override;
    Expected<void> commit(Durability durability) override;
    Expected<void> sync() override;
    [[nodiscard]] bool is_available() const override { return available_; }
    [[nodiscard]] std::string why_unavailable() const override { return why_; }
    Expected<void> recover(Instant now) override;
    [[nodiscard]] Space space() const override;
    Expected<void> reopen(Instant now) override;
    void set_config_digest(std::string digest) override { config_ = std::move(digest); }
    [[nodiscard]] Head head() const override { return head_; }

    /// What open() knows beyond the position: when the epoch began, and the files there are.
    void begin(const KeyState& state, std::int64_t first_seq, std::int64_t oldest, Instant now);

private:
    [[nodiscard]] Stamp stamp(Instant now) const;
    void add(const Record& record, Instant now);
    [[nodiscard]] Record link_record() const;
    void drop_batch();
    [[nodiscard]] Expected<void> refuse(Error error);
    [[nodiscard]] Expected<void> write_batch(bool durable);
    void accept_batch(bool durable);
    void undo_write();
    [[nodiscard]] Expected<void> check_file() const;

    [[nodiscard]] bool epoch_is_over() const;
    void add_epoch_record();
    void step_key(ChainKey next);
    void store_key();

    void rotate_if_possible();
    void give_reserve_back();
    void use_new_file(UniqueFd fd);
    void plan_removal();
    void remove_old_files();
    [[nodiscard]] std::int64_t oldest_own_file() const;

    [[nodiscard]] Expected<void> write_pending_to_old_file();
    [[nodiscard]] bool is_whole_elsewhere() const;
    [[nodiscard]] Expected<void> mend_file();
    [[nodiscard]] Expected<void> mend_same_file(std::uint64_t found_size);
    [[nodiscard]] Expected<void> rewrite_undurable();
    [[nodiscard]] Expected<void> adopt_file_at_path();

    LogSettings settings_;
    std::string config_;
    UniqueFd fd_;
    std::uint64_t size_ = 0;      // of the file, without what a failed write left
    std::int64_t first_seq_ = 1;  // of the file's first record, present or to come
    KeyFile key_file_;
    ChainKey key_;
    std::optional<KeyState> unstored_;  // a key in force that the key file could not be given yet
    Head head_;                         // the last committed record
    std::string batch_;
    std::size_t started_ = 0;  // bytes of the batch that are in the file already, behind size_
    int start_error_ = 0;      // an errno that commit() will tell
    Head batch_head_;          // the last record of the batch
    Instant last_append_{};
    std::string undurable_;      // what was committed since the last fdatasync(2), kept to be written again
    bool must_rewrite_ = false;  // fdatasync(2) failed: the kernel may have dropped those pages, see its manual page
    bool has_partial_ = false;   // bytes of a failed write are still behind size_
    std::int64_t epoch_began_seq_ = 0;
    BootTime epoch_began_;
    std::uint64_t rotate_again_at_ = 0;  // after a rotation that failed: not before the file has this size
    std::int64_t oldest_kept_ = 1;
    bool removal_is_due_ = false;
    Reserve reserve_;
    bool available_ = true;
    std::string why_;
};

}  // namespace luminous_healing::audit
