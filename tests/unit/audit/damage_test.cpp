#include "audit/rotation.h"
#include "base/text.h"
#include "log_fixture.h"

using namespace luminous_healing;
using namespace luminous_healing::audit;
using namespace luminous_healing::audit::test;

namespace {

void append_raw(const Folder& folder, const std::string& bytes) {
    std::ofstream(folder.log(), std::ios::binary | std::ios::app) << bytes;
}

std::string aside_of(const Folder& folder) {
    for (const auto& name : folder.names()) {
        if (name.starts_with("audit.json.torn-")) return content(folder.path() + "/" + name);
    }
    return {};
}

/// A log of ten records, closed.
void write_ten(const Folder& folder) {
    const auto log = open_log(folder.settings());
    for (int i = 1; i <= 10; ++i) write_one(*log, i);
}

/// The log opens, says that it set `bytes` aside, and is whole.
void check_set_aside(const Folder& folder, const std::string& bytes, std::int64_t last_kept) {
    const auto log = open_log(folder.settings());
    CHECK(aside_of(folder) == bytes);
    const auto last = records_in(folder.log()).back();
    CHECK(last.record.event == EventType::recovered);
    CHECK(last.seq == last_kept + 1);
    CHECK(lost_records(last.record));
    const auto digest = protocol::sha256(bytes);
    CHECK(last.record.detail.find(to_hex({digest.data(), digest.size()})) != std::string::npos);
    write_one(*log);
    check_whole(folder, *log);
}

}  // namespace

TEST_CASE("what somebody appended is set aside and the log goes on after its own last record") {
    const Folder folder;
    write_ten(folder);
    std::string foreign;
    SUBCASE("a line that is no record") { foreign = "{\"forged\":true}\n"; }
    SUBCASE("a copy of the last record") { foreign = lines_of(content(folder.log())).back() + "\n"; }
    SUBCASE("many lines and one without an end") { foreign = joined(std::vector<std::string>(500, "x")) + "torn"; }
    SUBCASE("a forged record in the right form") {
        foreign = lines_of(content(folder.log())).back() + "\n";
        foreign.replace(foreign.find("\"seq\":10"), 8, "\"seq\":11");
    }
    append_raw(folder, foreign);
    check_set_aside(folder, foreign, 10);
}

TEST_CASE("a hole that a power loss left before the last line is set aside with that line") {
    const Folder folder;
    write_ten(folder);
    std::string text = content(folder.log());
    const auto lines = lines_of(text);
    const std::size_t kept = text.size() - lines[9].size() - lines[8].size() - lines[7].size() - 3;
    SUBCASE("inside a line") { std::fill_n(text.begin() + static_cast<std::ptrdiff_t>(kept) + 40, 30, '\0'); }
    SUBCASE("over the end of a line") {
        std::fill_n(text.begin() + static_cast<std::ptrdiff_t>(kept + lines[7].size()) - 20, 60, '\0');
    }
    put(folder.log(), text);
    check_set_aside(folder, text.substr(kept), 7);
}

TEST_CASE("a hole that took every line of the first file leaves a log that begins at seq 1") {
    const Folder folder;
    { write_one(*open_log(folder.settings())); }
    std::string text = content(folder.log());
    text.replace(0, 100, std::string(100, '\0'));
    put(folder.log(), text);
    const auto log = open_log(folder.settings());
    CHECK(records_in(folder.log()).front().seq == 1);
    CHECK(records_in(folder.log()).front().record.event == EventType::recovered);
    check_whole(folder, *log);
}

TEST_CASE("a hole that took every line of a new file goes on after the file before") {
    const Folder folder;
    auto settings = folder.settings();
    settings.rotate_size = 2000;
    { write_ten(folder); }
    REQUIRE(::rename(folder.log().c_str(), rotated_name(folder.log(), 1).c_str()) == 0);
    put(folder.log(), std::string(300, '\0') + "\n");
    ::chmod(folder.log().c_str(), 0640);
    const auto log = open_log(folder.settings());
    CHECK(log->head().seq == 12);  // the link to the file before, and what was set aside
    check_whole(folder, *log);
}

TEST_CASE("a log that its key does not prove at all is left alone") {
    const Folder folder;
    const Folder other;
    write_ten(folder);
    write_ten(other);
    const std::string before = content(folder.log());
    put(folder.log() + ".key", content(other.log() + ".key"));
    ::chmod((folder.log() + ".key").c_str(), 0600);
    CHECK_FALSE(Log::open(folder.settings()));
    CHECK(content(folder.log()) == before);
}

TEST_CASE("records that the key file says were there are never given up") {
    const Folder folder;
    {
        const auto log = open_log(folder.settings());
        for (int i = 0; i < 1001; ++i) log->append(sample(i), now());
        REQUIRE(log->commit(Durability::durable));  // ends with the key_epoch record
    }
    auto lines = lines_of(content(folder.log()));
    lines.back()[20] = '\0';
    const std::string damaged = joined(lines);
    put(folder.log(), damaged);
    CHECK_FALSE(Log::open(folder.settings()));
    CHECK(content(folder.log()) == damaged);
}

TEST_CASE("more than a crash can have left is not set aside") {
    const Folder folder;
    write_ten(folder);
    append_raw(folder, joined(std::vector<std::string>(30'000, std::string(99, 'x'))));
    CHECK_FALSE(Log::open(folder.settings()));
}

TEST_CASE("reading back leaves out damaged lines and says so") {
    const Folder folder;
    write_ten(folder);
    auto lines = lines_of(content(folder.log()));
    lines.insert(lines.begin() + 5, "{\"forged\":true}");
    put(folder.log(), joined(lines));
    int seen = 0;
    int damaged = 0;
    CHECK_FALSE(read_back(folder.log(), [&](const StoredRecord&) { return ++seen > 0; }));
    seen = 0;
    CHECK(read_back(
        folder.log(), [&](const StoredRecord&) { return ++seen > 0; },
        [&](const std::string&) { return ++damaged > 0; }));
    CHECK(seen == 10);
    CHECK(damaged == 1);
}
