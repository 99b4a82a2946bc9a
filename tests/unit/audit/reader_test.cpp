#include "audit/reader.h"

#include "log_fixture.h"

using namespace luminous_healing;
using namespace luminous_healing::audit;
using namespace luminous_healing::audit::test;

TEST_CASE("lines come one by one and an unfinished one only when it is whole") {
    const Folder folder;
    const std::string path = folder.path() + "/lines";
    put(path, "one\n\nthree");
    auto reader = LineReader::open(path);
    REQUIRE(reader);
    CHECK((*reader->next())->text == "one");
    const auto second = *reader->next();
    CHECK(second->text.empty());
    CHECK(second->number == 2);
    CHECK_FALSE(*reader->next());
    CHECK(reader->unfinished() == 5);
    std::ofstream(path, std::ios::app) << " and more\n";
    CHECK((*reader->next())->text == "three and more");
    CHECK_FALSE(*reader->next());
    CHECK(reader->unfinished() == 0);
}

TEST_CASE("a line at the limit is read and a longer one is refused in both directions") {
    const Folder folder;
    const std::string path = folder.path() + "/lines";
    for (const std::size_t size : {kMaxLine - 1, kMaxLine}) {
        put(path, "a\n" + std::string(size, 'x') + "\n");
        auto reader = LineReader::open(path);
        REQUIRE(reader);
        REQUIRE(reader->next());
        CHECK(reader->next().has_value() == (size < kMaxLine));
        const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
        BackwardReader backward(fd.get(), size + 3);
        CHECK(backward.next().has_value() == (size < kMaxLine));
    }
}

TEST_CASE("lines of every length come back in reverse") {
    const Folder folder;
    const std::string path = folder.path() + "/lines";
    std::vector<std::string> lines;
    for (std::size_t i = 0; i < 300; ++i) lines.push_back(std::string((i * 977) % 3000, 'a') + std::to_string(i));
    lines.push_back(std::string(65'535, 'b'));
    lines.push_back(std::string(65'536, 'c'));
    lines.emplace_back("");
    for (const char* torn : {"", "torn"}) {
        const std::string text = joined(lines) + torn;
        put(path, text);
        const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
        BackwardReader reader(fd.get(), text.size());
        for (auto line = lines.rbegin(); line != lines.rend(); ++line) {
            const auto got = reader.next();
            REQUIRE(got);
            REQUIRE(*got);
            CHECK(**got == *line);
        }
        CHECK_FALSE(*reader.next());
        CHECK_FALSE(*reader.next());
        CHECK(reader.complete_size() == joined(lines).size());
    }
}

TEST_CASE("records are read newest first across files until the visitor has enough") {
    const Folder folder;
    auto settings = folder.settings();
    settings.rotate_size = 3000;
    const auto log = open_log(settings);
    for (int i = 0; i < 40; ++i) write_one(*log, i);
    std::int64_t expected = log->head().seq;
    REQUIRE(read_back(folder.log(), [&](const StoredRecord& r) {
        CHECK(r.seq == expected);
        return --expected > 0;
    }));
    CHECK(expected == 0);
    int visited = 0;
    REQUIRE(read_back(folder.path(), [&](const StoredRecord&) { return ++visited < 3; }));
    CHECK(visited == 3);
}

TEST_CASE("reading back only what is visited does not look at damage before it") {
    const Folder folder;
    const auto log = open_log(folder.settings());
    for (int i = 0; i < 3; ++i) write_one(*log, i);
    put(folder.log(), "damage\n" + content(folder.log()));
    CHECK(read_back(folder.log(), [](const StoredRecord& r) { return r.seq > 1; }));
    CHECK_FALSE(read_back(folder.log(), [](const StoredRecord&) { return true; }));
}

TEST_CASE("what is not a regular file is not read") {
    const Folder folder;
    REQUIRE(::mkfifo(folder.log().c_str(), 0600) == 0);
    CHECK_FALSE(LineReader::open(folder.log()));
    CHECK_FALSE(read_back(folder.log(), [](const StoredRecord&) { return true; }));
}
