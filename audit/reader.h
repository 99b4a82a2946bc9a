#pragma once
// Reads the log from files alone, in bounded memory: at most one line and one chunk are held.

#include "audit/glance.h"
#include "audit/record.h"
#include "base/expected.h"
#include "base/unique_fd.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace luminous_healing::audit {

struct Line {
    std::string_view text;     ///< without newline; valid until the next call
    std::uint64_t number = 0;  ///< from 1
};

/// Lines of one file, forwards.
class LineReader {
public:
    /// Refuses what is not a regular file.
    [[nodiscard]] static Expected<LineReader> open(const std::string& path);

    /// The next whole line; nothing at the end. A line without newline is not returned: it may still be growing, so
    /// asking again later goes on from there. A line of kMaxLine bytes or more is an error (EFBIG).
    [[nodiscard]] Expected<std::optional<Line>> next();

    /// Bytes after the last newline, once next() has returned nothing.
    [[nodiscard]] std::size_t unfinished() const noexcept { return filled_ - taken_; }
    /// How many lines next() has returned.
    [[nodiscard]] std::uint64_t lines() const noexcept { return number_; }
    [[nodiscard]] int fd() const noexcept { return fd_.get(); }

private:
    explicit LineReader(UniqueFd fd) : fd_(std::move(fd)) {}
    UniqueFd fd_;
    std::string buffer_;       // with room for a chunk that is not cleared before each read
    std::size_t filled_ = 0;   // bytes of buffer_ that were read
    std::size_t taken_ = 0;    // of these, already returned
    std::size_t scanned_ = 0;  // of these, known to hold no newline beyond taken_
    std::uint64_t number_ = 0;
};

/// Lines of one file, last first. Bytes after the last newline are not a line and left out.
class BackwardReader {
public:
    /// Reads the first `size` bytes of `fd`, which the caller keeps open. `size` may be beyond the end.
    BackwardReader(int fd, std::uint64_t size) : fd_(fd), begin_(size) {}

    /// The line before; nothing at the beginning of the file. Valid until the next call.
    [[nodiscard]] Expected<std::optional<std::string_view>> next();

    /// Where the last newline of the file ends: the size without an unfinished line. Valid after the first next().
    [[nodiscard]] std::uint64_t complete_size() const noexcept { return complete_; }

private:
    [[nodiscard]] Expected<void> read_chunk();
    int fd_;
    std::uint64_t begin_;  // file offset of buffer_[0]
    std::string buffer_;   // from begin_ to the newline that ends the next line, inclusive
    std::uint64_t complete_ = 0;
    std::optional<std::size_t> returned_;  // where in buffer_ the line returned last begins
    bool started_ = false;
};

/// Return false to stop.
using Visitor = std::function<bool(const StoredRecord&)>;
/// Shown a record at a glance, before it is read (glance.h): `read` has it read and visited, `passed` was enough.
enum class Passing { read, passed, stop };
using GlanceVisitor = std::function<Passing(const Glance&)>;
/// Told why bytes could not be read as a record; return false to stop.
using DamageVisitor = std::function<bool(const std::string& why)>;
using LineVisitor = std::function<bool(const StoredRecord&, std::string_view line)>;

/// Records from the newest backwards, across rotated files. `path` is the log or its folder. What it costs depends on
/// what is visited, not on the log's size. A line that is no record is an error, or goes to `damage` and is left out;
/// after bytes without a newline that are longer than any line the rest of that file is left out.
[[nodiscard]] Expected<void> read_back(const std::string& path, const Visitor& visit, const DamageVisitor& damage = {},
                                       const GlanceVisitor& pass = {});

/// Records from the oldest on: of a folder's log with all its files, or of the one file named.
[[nodiscard]] Expected<void> read_forward(const std::string& path, const LineVisitor& visit);

}  // namespace luminous_healing::audit
