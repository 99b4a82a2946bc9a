#include "audit/reader.h"

#include "audit/rotation.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <ranges>
#include <utility>
#include <vector>

namespace luminous_healing::audit {
namespace {

constexpr std::size_t kChunk = 64 * 1024;

Expected<UniqueFd> open_regular(const std::string& path) {
    UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (!fd.valid()) return fail_errno("open " + path);
    struct stat st {};
    if (::fstat(fd.get(), &st) != 0) return fail_errno("stat " + path);
    if (!S_ISREG(st.st_mode)) return fail(path + " is not a regular file");
    return fd;
}

tl::unexpected<Error> in_file(const std::string& path, const Error& error) {
    return fail(path + ": " + error.message, error.system_error);
}

/// memrchr(3) looks at many bytes at a time, std::string_view::rfind at one.
std::size_t last_newline(std::string_view text) {
    const void* const found = ::memrchr(text.data(), '\n', text.size());
    return found == nullptr ? std::string_view::npos
                            : static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
}

struct Visitors {
    const Visitor& visit;
    const DamageVisitor& damage;
    const GlanceVisitor& pass;
};

Passing pass_by(const GlanceVisitor& pass, std::string_view line) {
    const auto glance = pass ? glance_at(line) : std::nullopt;
    return glance ? pass(*glance) : Passing::read;
}

/// False when the visitor wants no more.
Expected<bool> read_file_back(const std::string& path, const Visitors& visitors) {
    const auto& [visit, damage, pass] = visitors;
    const auto fd = open_regular(path);
    if (!fd) return tl::unexpected(fd.error());
    struct stat st {};
    if (::fstat(fd->get(), &st) != 0) return fail_errno("stat " + path);
    BackwardReader reader(fd->get(), static_cast<std::uint64_t>(st.st_size));
    while (true) {
        const auto line = reader.next();
        if (!line && damage && line.error().system_error == EFBIG) return damage(path + ": " + line.error().message);
        if (!line) return in_file(path, line.error());
        if (!*line) return true;
        const auto passing = pass_by(pass, **line);
        if (passing == Passing::stop) return false;
        if (passing == Passing::passed) continue;
        const auto record = read_record(**line);
        if (!record && !damage) return in_file(path, record.error());
        if (!(record ? visit(*record) : damage(path + ": " + record.error().message))) return false;
    }
}

Expected<bool> read_file_forward(const std::string& path, const LineVisitor& visit) {
    auto reader = LineReader::open(path);
    if (!reader) return tl::unexpected(reader.error());
    while (true) {
        const auto line = reader->next();
        if (!line) return in_file(path, line.error());
        if (!*line) return true;
        const auto record = read_record((*line)->text);
        if (!record) return fail(path + ":" + std::to_string((*line)->number) + ": " + record.error().message);
        if (!visit(*record, (*line)->text)) return false;
    }
}

}  // namespace

Expected<LineReader> LineReader::open(const std::string& path) {
    auto fd = open_regular(path);
    if (!fd) return tl::unexpected(fd.error());
    return LineReader(std::move(*fd));
}

Expected<std::optional<Line>> LineReader::next() {
    while (true) {
        const std::string_view read(buffer_.data(), filled_);
        const auto newline = read.find('\n', std::max(taken_, scanned_));
        const std::size_t end = newline == std::string::npos ? filled_ : newline;
        if (end - taken_ >= kMaxLine)
            return fail("line " + std::to_string(number_ + 1) + " is longer than any record", EFBIG);
        if (newline != std::string::npos) {
            const auto text = read.substr(taken_, newline - taken_);
            taken_ = newline + 1;
            return std::optional(Line{text, ++number_});
        }
        filled_ -= taken_;
        std::copy_n(buffer_.data() + taken_, filled_, buffer_.data());
        taken_ = 0;
        scanned_ = filled_;
        if (buffer_.size() < filled_ + kChunk) buffer_.resize(filled_ + kChunk);
        ssize_t n = 0;
        do n = ::read(fd_.get(), buffer_.data() + filled_, kChunk);
        while (n < 0 && errno == EINTR);
        if (n < 0) return fail_errno("read");
        if (n == 0) return std::optional<Line>();
        filled_ += static_cast<std::size_t>(n);
    }
}

/// The chunk before goes to the front of the buffer, which keeps its room: a new one for each would be given back to
/// the kernel and cleared by it each time.
Expected<void> BackwardReader::read_chunk() {
    const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(kChunk, begin_));
    std::size_t filled = 0;
    begin_ -= want;
    buffer_.insert(0, want, '\0');
    while (filled < want) {
        const ssize_t n = ::pread(fd_, buffer_.data() + filled, want - filled, static_cast<off_t>(begin_ + filled));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail_errno("read");
        if (n == 0) break;  // the file was cut meanwhile
        filled += static_cast<std::size_t>(n);
    }
    buffer_.erase(filled, want - filled);
    return {};
}

Expected<std::optional<std::string_view>> BackwardReader::next() {
    // buffer_ ends with the newline of the line to return; the newline before it, or the file's beginning, starts it.
    while (!started_) {
        const auto last = last_newline(buffer_);
        if (last != std::string::npos) {
            buffer_.resize(last + 1);
            complete_ = begin_ + buffer_.size();
            started_ = true;
        } else if (begin_ == 0) {
            return std::optional<std::string_view>();
        } else if (buffer_.size() > kMaxLine) {
            return fail("ends in more bytes without a newline than any record has", EFBIG);
        } else if (auto read = read_chunk(); !read) {
            return tl::unexpected(read.error());
        }
    }
    if (returned_) buffer_.resize(*std::exchange(returned_, std::nullopt));
    while (true) {
        if (buffer_.empty() && begin_ == 0) return std::optional<std::string_view>();
        const auto before = buffer_.size() < 2 ? std::string::npos : last_newline({buffer_.data(), buffer_.size() - 1});
        if (before != std::string::npos || (begin_ == 0 && !buffer_.empty())) {
            const std::size_t start = before == std::string::npos ? 0 : before + 1;
            returned_ = start;
            const std::string_view line(buffer_.data() + start, buffer_.size() - start - 1);
            if (line.size() >= kMaxLine) return fail("a line longer than any record", EFBIG);
            return std::optional(line);
        }
        if (buffer_.size() > kMaxLine + 1) return fail("a line longer than any record", EFBIG);
        if (auto read = read_chunk(); !read) return tl::unexpected(read.error());
    }
}

Expected<void> read_back(const std::string& path, const Visitor& visit, const DamageVisitor& damage,
                         const GlanceVisitor& pass) {
    const Visitors visitors{visit, damage, pass};
    const auto log = is_folder(path) ? log_in_folder(path) : Expected<std::string>(path);
    if (!log) return tl::unexpected(log.error());
    // The newest file first; only a visitor that wants more than it holds makes the folder be looked through.
    const bool exists = ::access(log->c_str(), F_OK) == 0;
    const auto more = exists ? read_file_back(*log, visitors) : Expected<bool>(true);
    if (!more) return tl::unexpected(more.error());
    if (!*more) return {};
    const auto files = earlier_files(*log);
    if (!files) return tl::unexpected(files.error());
    for (const auto& file : std::views::reverse(*files)) {
        const auto on = read_file_back(file.path, visitors);
        if (!on) return tl::unexpected(on.error());
        if (!*on) return {};
    }
    return {};
}

Expected<void> read_forward(const std::string& path, const LineVisitor& visit) {
    std::vector<Segment> files{{path, 0}};
    if (is_folder(path)) {
        const auto log = log_in_folder(path);
        if (!log) return tl::unexpected(log.error());
        auto all = all_files(*log);
        if (!all) return tl::unexpected(all.error());
        files = std::move(*all);
    }
    for (const auto& file : files) {
        const auto on = read_file_forward(file.path, visit);
        if (!on) return tl::unexpected(on.error());
        if (!*on) return {};
    }
    return {};
}

}  // namespace luminous_healing::audit
