#include "healctl/follow.h"

#include "base/file.h"

#include <doctest/doctest.h>
#include <fcntl.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <vector>

using namespace luminous_healing;

namespace {

/// A folder with a log of which lines are appended by hand; follow() looks at no chain.
class GrowingLog {
public:
    GrowingLog() {
        std::array<char, 64> pattern{"/tmp/healctl-log-XXXXXX"};
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        folder = pattern.data();
        path = folder + "/audit.json";
    }
    ~GrowingLog() { std::filesystem::remove_all(folder); }
    GrowingLog(const GrowingLog&) = delete;
    GrowingLog& operator=(const GrowingLog&) = delete;

    void append(std::int64_t first, std::int64_t last) const {
        const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
        for (std::int64_t seq = first; seq <= last; ++seq) {
            audit::Stamp stamp{.now = now(), .seq = seq, .boot_id = "b", .host = "h", .config = "c"};
            std::string line = audit::write_record({}, stamp);
            line.pop_back();
            REQUIRE(write_all(fd.get(), line + ",\"chain\":\"" + std::string(64, '0') + "\"}\n"));
        }
    }
    void rotate(std::int64_t first_seq) const {
        std::filesystem::rename(path, path + "." + std::string(19, '0') + std::to_string(first_seq));
    }

    std::string folder;
    std::string path;
};

}  // namespace

TEST_CASE("following begins after the record already seen and goes on with those written meanwhile") {
    const GrowingLog log;
    log.append(1, 3);
    std::vector<std::int64_t> seen;
    const auto followed = healctl::follow(log.path, 1, [&](const audit::StoredRecord& record, std::string_view) {
        seen.push_back(record.seq);
        if (record.seq == 3) log.append(4, 5);
        return record.seq < 5;
    });
    CAPTURE((followed ? "" : followed.error().message));
    CHECK(followed);
    CHECK(seen == std::vector<std::int64_t>{2, 3, 4, 5});
}

TEST_CASE("following goes on in the new file after a rotation and misses nothing") {
    const GrowingLog log;
    log.append(1, 2);
    std::vector<std::int64_t> seen;
    const auto followed = healctl::follow(log.path, 0, [&](const audit::StoredRecord& record, std::string_view) {
        seen.push_back(record.seq);
        if (record.seq == 2 || record.seq == 4) {  // first while the files that were there are read, then while waiting
            log.append(record.seq + 1, record.seq + 1);
            log.rotate(record.seq - 1);
            log.append(record.seq + 2, record.seq + 2);
        }
        return record.seq < 6;
    });
    CAPTURE((followed ? "" : followed.error().message));
    CHECK(followed);
    CHECK(seen == std::vector<std::int64_t>{1, 2, 3, 4, 5, 6});
}

TEST_CASE("the newer part of a log is read across its rotated files and no older record with it") {
    const GrowingLog log;
    log.append(1, 3);
    log.rotate(1);
    log.append(4, 6);
    log.rotate(4);
    log.append(7, 8);
    std::vector<std::int64_t> seen;
    const auto visit = [&](const audit::StoredRecord& record, std::string_view line) {
        CHECK(line.find("\"seq\":" + std::to_string(record.seq)) != std::string_view::npos);
        seen.push_back(record.seq);
        return true;
    };
    REQUIRE(healctl::read_after(log.path, 2, visit));
    CHECK(seen == std::vector<std::int64_t>{3, 4, 5, 6, 7, 8});
    seen.clear();
    REQUIRE(healctl::read_after(log.path, 8, visit));
    CHECK(seen.empty());
}

TEST_CASE("following a log that is not there is an error") {
    CHECK_FALSE(healctl::follow("/nonexistent/audit.json", 0, [](const auto&, auto) { return true; }));
}
