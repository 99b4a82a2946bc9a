#pragma once
// A log in a folder of its own, and what tests do with it.

#include "audit/key_file.h"
#include "audit/log.h"
#include "audit/reader.h"
#include "audit/verify.h"
#include "base/file.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

namespace luminous_healing::audit::test {

class Folder {
public:
    Folder() {
        std::string name = "/tmp/luminous-audit-XXXXXX";
        REQUIRE(::mkdtemp(name.data()) != nullptr);
        path_ = name;
    }
    ~Folder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;

    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] std::string log() const { return path_ + "/audit.json"; }
    [[nodiscard]] LogSettings settings() const {
        LogSettings s;
        s.path = log();
        s.reserve = 64 * 1024;
        s.host = "host1";
        s.boot_id = "boot1";
        return s;
    }
    [[nodiscard]] std::vector<std::string> names() const {
        std::vector<std::string> all;
        for (const auto& entry : std::filesystem::directory_iterator(path_)) all.push_back(entry.path().filename());
        std::sort(all.begin(), all.end());
        return all;
    }

private:
    std::string path_;
};

inline std::unique_ptr<Log> open_log(const LogSettings& settings) {
    auto log = Log::open(settings);
    if (!log) FAIL(log.error().message);
    return std::move(*log);
}

inline Instant at(Micros time) { return {WallTime{Micros(1'790'000'000'000'000) + time}, BootTime{time}}; }

inline Record sample(int number) {
    Record r;
    r.event = EventType::decision;
    r.request_id = "request-" + std::to_string(number);
    r.action = "restart_service";
    r.parameters = R"({"unit":"nginx.service"})";
    r.allowed = true;
    r.code = protocol::Code::ok;
    r.caller = "monitor";
    return r;
}

inline std::int64_t write_one(Log& log, int number = 0, Instant time = now()) {
    const auto seq = log.append(sample(number), time);
    const auto committed = log.commit(Durability::durable);
    if (!committed) FAIL(committed.error().message);
    return seq;
}

inline std::string content(const std::string& path) {
    auto text = read_file(path, 64U << 20U);
    return text ? *text : std::string();
}

inline void put(const std::string& path, const std::string& text) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
}

inline std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    for (std::size_t begin = 0; begin < text.size();) {
        const auto end = text.find('\n', begin);
        if (end == std::string::npos) break;
        lines.push_back(text.substr(begin, end - begin));
        begin = end + 1;
    }
    return lines;
}

inline std::string joined(const std::vector<std::string>& lines) {
    std::string text;
    for (const auto& line : lines) text += line + "\n";
    return text;
}

inline std::vector<StoredRecord> records_in(const std::string& path) {
    std::vector<StoredRecord> all;
    const auto done = read_forward(path, [&](const StoredRecord& r, std::string_view) {
        all.push_back(r);
        return true;
    });
    if (!done) FAIL(done.error().message);
    return all;
}

/// The first key without erasing it.
inline std::string first_key(const Folder& folder) { return content(folder.log() + ".first-key"); }

inline VerifyReport verify_folder(const std::string& folder, const std::string& key,
                                  const std::optional<Head>& head = {}) {
    auto report = verify({{folder}, key, head});
    if (!report) FAIL(report.error().message);
    return *report;
}

inline void check_whole(const Folder& folder, const Log& log) {
    const auto report = verify_folder(folder.path(), first_key(folder), log.head());
    CHECK_MESSAGE(report.ok, report.explanation, " in ", report.file, ":", report.line);
    CHECK(report.head.seq == log.head().seq);
}

inline std::vector<std::int64_t> seqs_in(const std::string& folder) {
    std::vector<std::int64_t> seqs;
    for (const auto& record : records_in(folder)) seqs.push_back(record.seq);
    return seqs;
}

inline void check_recovers(Log& log) {
    const auto recovered = log.recover(now());
    CHECK_MESSAGE(recovered, (recovered ? "" : recovered.error().message));
    CHECK(log.is_available());
}

/// No file of this process may grow beyond `bytes` while this lives.
class FileSizeLimit {
public:
    explicit FileSizeLimit(rlim_t bytes) {
        previous_handler_ = std::signal(SIGXFSZ, SIG_IGN);
        REQUIRE(::getrlimit(RLIMIT_FSIZE, &before_) == 0);
        const rlimit limit{bytes, before_.rlim_max};
        REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
    }
    ~FileSizeLimit() {
        ::setrlimit(RLIMIT_FSIZE, &before_);
        std::signal(SIGXFSZ, previous_handler_);
    }
    FileSizeLimit(const FileSizeLimit&) = delete;
    FileSizeLimit& operator=(const FileSizeLimit&) = delete;

private:
    rlimit before_{};
    void (*previous_handler_)(int) = nullptr;
};

}  // namespace luminous_healing::audit::test
