#include "audit/rotation.h"

#include "log_fixture.h"

#include <sys/ptrace.h>
#include <sys/wait.h>

#include <csignal>

using namespace luminous_healing;
using namespace luminous_healing::audit;
using namespace luminous_healing::audit::test;

namespace {

Instant hours_from_now(int hours) {
    const Instant time = now();
    return {WallTime{time.wall.since_epoch + hours * Micros(1h)}, time.boot + hours * Micros(1h)};
}

std::size_t line_size(const Folder& folder) { return lines_of(content(folder.log())).back().size() + 1; }

std::vector<std::string> rotated_files(const Folder& folder) {
    std::vector<std::string> paths;
    const auto files = own_rotated_files(folder.log());
    REQUIRE(files);
    for (const auto& file : *files) paths.push_back(file.path);
    return paths;
}

/// What the process that is killed does: rotations, epochs, removals. Tells each seq once it was promised.
void work_until_killed(const LogSettings& settings, int pipe) {
    auto log = Log::open(settings);
    if (!log) ::_exit(3);
    for (int i = 1; i <= 6; ++i) {
        (*log)->append(sample(i), hours_from_now(i + i % 2));
        const auto seq = (*log)->append(sample(i), hours_from_now(i + i % 2));
        if (!(*log)->commit(Durability::durable)) ::_exit(4);
        if (::write(pipe, &seq, sizeof seq) != sizeof seq) ::_exit(5);
    }
    ::_exit(0);
}

struct Killed {
    bool finished = false;
    std::int64_t promised = 0;
};

/// Runs it in a child that is killed at its `stop`th entry into or return from a system call (ptrace(2)).
Killed run_and_kill_at(const LogSettings& settings, int stop) {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    const UniqueFd read_end(ends[0]);
    UniqueFd write_end(ends[1]);
    const pid_t child = ::fork();
    if (child == 0) {
        ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
        ::raise(SIGSTOP);
        work_until_killed(settings, write_end.get());
    }
    write_end.reset();
    int status = 0;
    ::waitpid(child, &status, 0);
    for (int i = 0; i < stop && WIFSTOPPED(status); ++i) {
        ::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr);
        ::waitpid(child, &status, 0);
    }
    Killed result;
    result.finished = WIFEXITED(status);
    if (WIFEXITED(status)) CHECK(WEXITSTATUS(status) == 0);
    if (WIFSTOPPED(status)) {
        ::kill(child, SIGKILL);
        while (::waitpid(child, &status, 0) == child && !WIFSIGNALED(status)) {
        }
    }
    std::int64_t seq = 0;
    while (::read(read_end.get(), &seq, sizeof seq) == sizeof seq) result.promised = seq;
    return result;
}

}  // namespace

TEST_CASE("a file is rotated by the record that would exceed the size and not by one that just fits") {
    const Folder folder;
    auto settings = folder.settings();
    const Instant time = now();
    {
        const auto log = open_log(settings);
        for (int i = 0; i < 3; ++i) write_one(*log, 1, time);
    }
    const std::size_t line = line_size(folder);
    for (const bool fits : {true, false}) {
        settings.rotate_size = content(folder.log()).size() + line - (fits ? 0 : 1);
        const auto log = open_log(settings);
        write_one(*log, 1, time);
        CHECK(rotated_files(folder).size() == (fits ? 0 : 1));
        check_whole(folder, *log);
    }
    CHECK(rotated_files(folder).front() == folder.log() + ".00000000000000000001");
    const auto records = records_in(folder.log());
    REQUIRE(records.size() == 2);
    CHECK(records[0].record.event == EventType::rotate);
    CHECK(records[1].record.event == EventType::decision);
}

TEST_CASE("the chain runs on across many files and only as many as wanted are kept") {
    const Folder folder;
    auto settings = folder.settings();
    settings.rotate_size = 4000;
    settings.keep = 3;
    auto log = open_log(settings);
    for (int i = 0; i < 100; ++i) {
        write_one(*log, i);
        CHECK(content(folder.log()).size() <= settings.rotate_size);
        if (i % 10 == 0) {
            log.reset();
            log = open_log(settings);
        }
        if (i % 7 == 0) check_whole(folder, *log);
    }
    CHECK(rotated_files(folder).size() == 3);
    const auto records = records_in(folder.path());
    CHECK(records.front().seq > 1);
    for (std::size_t i = 1; i < records.size(); ++i) CHECK(records[i].seq == records[i - 1].seq + 1);
    check_whole(folder, *log);
}

TEST_CASE("a rotation that cannot be done does not stop the recording") {
    const Folder folder;
    auto settings = folder.settings();
    settings.rotate_size = 1500;
    const auto log = open_log(settings);
    write_one(*log);
    put(rotated_name(folder.log(), 1), "in the way");
    for (int i = 0; i < 5; ++i) write_one(*log, i);
    CHECK(content(folder.log()).size() > settings.rotate_size);
    ::unlink(rotated_name(folder.log(), 1).c_str());
    write_one(*log);
    write_one(*log);
    CHECK(rotated_files(folder).size() == 1);
    check_whole(folder, *log);
}

TEST_CASE("a crash between the renaming and the new file loses nothing") {
    const Folder folder;
    { write_one(*open_log(folder.settings())); }
    REQUIRE(::rename(folder.log().c_str(), rotated_name(folder.log(), 1).c_str()) == 0);
    SUBCASE("before the new file") {}
    SUBCASE("after the new file was made") {
        put(folder.log(), "");
        ::chmod(folder.log().c_str(), 0640);
    }
    SUBCASE("with the new file's first line torn") {
        put(folder.log(), "{\"timestamp\":\"20");
        ::chmod(folder.log().c_str(), 0640);
    }
    const auto log = open_log(folder.settings());
    CHECK(log->head().seq >= 1);
    write_one(*log);
    CHECK(records_in(folder.log()).front().record.event == EventType::rotate);
    check_whole(folder, *log);
}

TEST_CASE("killed at any system call the log opens again and has all that was promised") {
    int steps = 0;
    for (bool finished = false; !finished; ++steps) {
        REQUIRE(steps < 3000);
        const Folder folder;
        auto settings = folder.settings();
        settings.rotate_size = 2200;
        settings.keep = 2;
        const Killed killed = run_and_kill_at(settings, steps);
        finished = killed.finished;
        auto again = Log::open(settings);
        CHECK_MESSAGE(again, "killed at stop ", steps, ": ", (again ? "" : again.error().message));
        if (!again) continue;
        CHECK((*again)->head().seq >= killed.promised);
        write_one(**again);
        check_whole(folder, **again);
    }
    CHECK(steps > 200);
}

TEST_CASE("an epoch ends with its time or its thousandth record") {
    const Folder folder;
    const auto log = open_log(folder.settings());
    write_one(*log, 1, hours_from_now(0));
    CHECK(log->head().epoch == 0);
    write_one(*log, 2, hours_from_now(2));
    CHECK(log->head().epoch == 1);
    for (int i = 0; i < 999; ++i) log->append(sample(i), hours_from_now(2));
    REQUIRE(log->commit(Durability::durable));
    CHECK(log->head().epoch == 1);
    write_one(*log, 3, hours_from_now(2));
    CHECK(log->head().epoch == 2);
    const auto last = records_in(folder.log()).back();
    CHECK(last.record.event == EventType::key_epoch);
    CHECK(last.record.detail == R"({"epoch":2})");
    check_whole(folder, *log);
}

TEST_CASE("every state that a crash can leave between a key_epoch record and its key is mended") {
    const Folder folder;
    const std::string key_path = folder.log() + ".key";
    { write_one(*open_log(folder.settings())); }
    const std::string old_key = content(key_path);
    { write_one(*open_log(folder.settings()), 2, hours_from_now(2)); }
    const std::string new_key = content(key_path);
    REQUIRE(old_key.size() == 8192);
    REQUIRE(new_key.substr(0, 4096) == std::string(4096, '\0'));
    SUBCASE("the key was stored and nothing followed") {}
    SUBCASE("the key was not stored") { put(key_path, old_key); }
    SUBCASE("the new key was half written") {
        put(key_path, old_key.substr(0, 4096) + new_key.substr(4096, 60) + std::string(4036, '\0'));
    }
    SUBCASE("the old key was not erased") { put(key_path, old_key.substr(0, 4096) + new_key.substr(4096)); }
    SUBCASE("the old key was half erased") {
        put(key_path, std::string(20, '\0') + old_key.substr(20, 4076) + new_key.substr(4096));
    }
    const auto log = open_log(folder.settings());
    CHECK(log->head().epoch == 1);
    CHECK(content(key_path) == new_key);
    write_one(*log);
    check_whole(folder, *log);
}

TEST_CASE("a key that could not be stored for some epochs is stepped forward when the log is opened") {
    const Folder folder;
    { write_one(*open_log(folder.settings())); }
    const std::string old_key = content(folder.log() + ".key");
    {
        const auto log = open_log(folder.settings());
        for (int i = 1; i <= 3; ++i) write_one(*log, i, hours_from_now(2 * i));
        write_one(*log, 4, hours_from_now(6));
    }
    put(folder.log() + ".key", old_key);
    const auto log = open_log(folder.settings());
    CHECK(log->head().epoch == 3);
    write_one(*log);
    check_whole(folder, *log);
}

TEST_CASE("a log that ends before its key was made has lost records and is not continued") {
    const Folder folder;
    { write_one(*open_log(folder.settings())); }
    const std::string early = content(folder.log());
    { write_one(*open_log(folder.settings()), 2, hours_from_now(2)); }
    put(folder.log(), early);
    const auto log = Log::open(folder.settings());
    REQUIRE_FALSE(log);
    CHECK(log.error().message.find("records are missing at its end") != std::string::npos);
}

TEST_CASE("an old key is not left on disk after a step") {
    const Folder folder;
    const auto log = open_log(folder.settings());
    write_one(*log);
    const std::string first = first_key(folder).substr(0, 64);
    CHECK(content(folder.log() + ".key").find(first) != std::string::npos);
    write_one(*log, 2, hours_from_now(2));
    CHECK(content(folder.log() + ".key").find(first) == std::string::npos);
}

TEST_CASE("names of rotated files are read as strictly as they are written") {
    const std::string path = "/x/audit.json";
    CHECK(rotated_name(path, 42) == path + ".00000000000000000042");
    CHECK(seq_of_rotated_name(path, rotated_name(path, 42)) == 42);
    for (const char* other : {".1", ".0000000000000000004x", ".00000000000000000000", "-00000000000000000042", ".key"})
        CHECK_FALSE(seq_of_rotated_name(path, path + other));
}
