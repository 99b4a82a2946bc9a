#include "log_fixture.h"

#include "audit/rotation.h"

#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include <csignal>

using namespace luminous_healing;
using namespace luminous_healing::audit;
using namespace luminous_healing::audit::test;

namespace {

void check_no_gaps(const std::string& folder) {
    const auto seqs = seqs_in(folder);
    for (std::size_t i = 0; i < seqs.size(); ++i) CHECK(seqs[i] == static_cast<std::int64_t>(i) + 1);
}

/// The next commit fails and names `why`; after that nothing is accepted.
void check_refuses(Log& log, const std::string& why) {
    log.append(sample(99), now());
    const auto refused = log.commit(Durability::durable);
    REQUIRE_FALSE(refused);
    CHECK_MESSAGE(refused.error().message.find(why) != std::string::npos, refused.error().message);
    CHECK_FALSE(log.is_available());
    CHECK(log.why_unavailable() == refused.error().message);
    CHECK(log.space() == Space::none);
}

/// A file system of 2 MiB, when the test may mount one.
class SmallDisk {
public:
    explicit SmallDisk(const std::string& folder) : folder_(folder) {
        mounted_ = ::mount("tmpfs", folder_.c_str(), "tmpfs", 0, "size=2m,mode=0700") == 0;
    }
    ~SmallDisk() {
        if (mounted_) ::umount2(folder_.c_str(), MNT_DETACH);
    }
    SmallDisk(const SmallDisk&) = delete;
    SmallDisk& operator=(const SmallDisk&) = delete;
    [[nodiscard]] bool mounted() const { return mounted_; }

private:
    std::string folder_;
    bool mounted_ = false;
};

}  // namespace

TEST_CASE("records get seqs without gaps and a chain that verifies") {
    const Folder folder;
    const auto log = open_log(folder.settings());
    CHECK(log->head().seq == 0);
    for (int i = 1; i <= 20; ++i) CHECK(write_one(*log, i) == i);
    CHECK(log->head().seq == 20);
    check_no_gaps(folder.path());
    check_whole(folder, *log);
}

TEST_CASE("a batch is not in the file before commit and is there after it") {
    const Folder folder;
    const auto log = open_log(folder.settings());
    CHECK(log->append(sample(1), now()) == 1);
    CHECK(log->append(sample(2), now()) == 2);
    CHECK(content(folder.log()).empty());
    CHECK(log->head().seq == 0);
    REQUIRE(log->commit(Durability::buffered));
    CHECK(lines_of(content(folder.log())).size() == 2);
    CHECK(log->sync());
    CHECK(log->head().seq == 2);
}

TEST_CASE("a log that is opened again goes on with seq and chain") {
    const Folder folder;
    for (int i = 1; i <= 5; ++i) {
        const auto log = open_log(folder.settings());
        CHECK(write_one(*log, i) == i);
        check_whole(folder, *log);
    }
    check_no_gaps(folder.path());
}

TEST_CASE("stamps say host and boot and the configuration in force") {
    const Folder folder;
    const auto log = open_log(folder.settings());
    log->set_config_digest("digest-1");
    write_one(*log);
    const auto records = records_in(folder.log());
    REQUIRE(records.size() == 1);
    CHECK(records[0].host == "host1");
    CHECK(records[0].boot_id == "boot1");
    CHECK(records[0].config == "digest-1");
}

TEST_CASE("a log whose key is missing or foreign is never chained anew") {
    const Folder folder;
    { write_one(*open_log(folder.settings())); }
    const std::string before = content(folder.log());
    const std::string key = content(folder.log() + ".key");
    ::unlink((folder.log() + ".key").c_str());
    const auto missing = Log::open(folder.settings());
    REQUIRE_FALSE(missing);
    CHECK(missing.error().message.find("key file") != std::string::npos);
    CHECK(missing.error().message.find("start a new chain") != std::string::npos);
    const Folder other;
    { write_one(*open_log(other.settings())); }
    std::filesystem::copy_file(other.log() + ".key", folder.log() + ".key");
    const auto foreign = Log::open(folder.settings());
    REQUIRE_FALSE(foreign);
    CHECK(foreign.error().message.find("start a new chain") != std::string::npos);
    put(folder.log() + ".key", "rubbish");
    CHECK_FALSE(Log::open(folder.settings()));
    CHECK(content(folder.log()) == before);
    put(folder.log() + ".key", key);
    CHECK(Log::open(folder.settings()));
}

TEST_CASE("a log that vanished while its key stayed is not begun again") {
    const Folder folder;
    { write_one(*open_log(folder.settings())); }
    ::unlink(folder.log().c_str());
    const auto log = Log::open(folder.settings());
    REQUIRE_FALSE(log);
    CHECK(log.error().message.find("gone") != std::string::npos);
}

TEST_CASE("the first key is given out once and then erased") {
    const Folder folder;
    const auto log = open_log(folder.settings());
    write_one(*log);
    std::string key;
    const auto keep = [&](std::string_view given) {
        CHECK(::access((folder.log() + ".first-key").c_str(), F_OK) == 0);
        key = given;
        return true;
    };
    REQUIRE(take_first_key(folder.log(), keep));
    CHECK(key.size() == 64);
    CHECK_FALSE(take_first_key(folder.log(), keep));
    CHECK(::access((folder.log() + ".first-key").c_str(), F_OK) != 0);
    CHECK(verify_folder(folder.path(), key, log->head()).ok);
}

TEST_CASE("the first key is given to one of those who take it at the same time") {
    const Folder folder;
    const auto log = open_log(folder.settings());
    std::size_t given = 0;
    const auto second = [&](std::string_view) { return ++given > 0; };
    const auto first = [&](std::string_view) {
        CHECK_FALSE(take_first_key(folder.log(), second));
        return true;
    };
    CHECK(take_first_key(folder.log(), first));
    CHECK(given == 0);
}

TEST_CASE("a first key that could not be handed over stays where it is") {
    const Folder folder;
    const auto log = open_log(folder.settings());
    CHECK_FALSE(take_first_key(folder.log(), [](std::string_view) { return false; }));
    std::string key;
    CHECK(take_first_key(folder.log(), [&](std::string_view given) { return !(key = given).empty(); }));
    CHECK(key.size() == 64);
}

TEST_CASE("secrets and log have the modes that keep others out") {
    const Folder folder;
    const auto before = ::umask(0);
    const auto log = open_log(folder.settings());
    ::umask(before);
    struct stat st {};
    REQUIRE(::stat(folder.log().c_str(), &st) == 0);
    CHECK((st.st_mode & 07777U) == 0640);
    for (const char* name : {".key", ".first-key"}) {
        REQUIRE(::stat((folder.log() + name).c_str(), &st) == 0);
        CHECK((st.st_mode & 07777U) == 0600);
    }
}

TEST_CASE("a path that is no plain file of ours is refused") {
    const Folder folder;
    const std::string path = folder.log();
    SUBCASE("symbolic link") { REQUIRE(::symlink("/tmp/elsewhere.json", path.c_str()) == 0); }
    SUBCASE("pipe") { REQUIRE(::mkfifo(path.c_str(), 0600) == 0); }
    SUBCASE("folder") { REQUIRE(::mkdir(path.c_str(), 0700) == 0); }
    SUBCASE("device") {
        if (::mknod(path.c_str(), S_IFCHR | 0600, makedev(1, 3)) != 0) return;
    }
    SUBCASE("writable by the group") {
        put(path, "");
        ::chmod(path.c_str(), 0660);
    }
    SUBCASE("another name") {
        put(path, "");
        ::chmod(path.c_str(), 0640);
        REQUIRE(::link(path.c_str(), (folder.path() + "/other").c_str()) == 0);
    }
    SUBCASE("somebody else's") {
        put(path, "");
        if (::chown(path.c_str(), 12345, 12345) != 0 || ::geteuid() == 12345) return;
    }
    SUBCASE("folder that others may write") { ::chmod(folder.path().c_str(), 0777); }
    const auto log = Log::open(folder.settings());
    REQUIRE_FALSE(log);
    CHECK(log.error().message.find(folder.path()) != std::string::npos);
}

TEST_CASE("a deleted log is noticed at the next commit and a new file goes on with the seq") {
    const Folder folder;
    const auto log = open_log(folder.settings());
    write_one(*log);
    write_one(*log);
    ::unlink(folder.log().c_str());
    check_refuses(*log, "moved or deleted");
    check_recovers(*log);
    CHECK(seqs_in(folder.log()) == std::vector<std::int64_t>{3, 4});
    const auto records = records_in(folder.log());
    CHECK(records[0].record.event == EventType::rotate);
    CHECK(records[1].record.event == EventType::recovered);
    CHECK(write_one(*log) == 5);
    CHECK(verify_folder(folder.path(), first_key(folder)).damage == Damage::missing_file);
}

TEST_CASE("a log replaced by a link or a pipe or foreign content is refused until that is gone") {
    const Folder folder;
    const auto log = open_log(folder.settings());
    write_one(*log);
    const std::string aside = folder.path() + "/aside";
    REQUIRE(::rename(folder.log().c_str(), aside.c_str()) == 0);
    SUBCASE("link") { REQUIRE(::symlink(aside.c_str(), folder.log().c_str()) == 0); }
    SUBCASE("pipe") { REQUIRE(::mkfifo(folder.log().c_str(), 0600) == 0); }
    SUBCASE("content") { put(folder.log(), "x\n"); }
    check_refuses(*log, "replaced");
    CHECK_FALSE(log->recover(now()));
    CHECK_FALSE(log->is_available());
    REQUIRE(::unlink(folder.log().c_str()) == 0);
    REQUIRE(::rename(aside.c_str(), folder.log().c_str()) == 0);
    check_recovers(*log);
    CHECK(seqs_in(folder.log()) == std::vector<std::int64_t>{1, 2});
    check_whole(folder, *log);
}

TEST_CASE("a log that was cut or written to by somebody else is noticed and kept as evidence") {
    const Folder folder;
    const auto log = open_log(folder.settings());
    for (int i = 0; i < 4; ++i) write_one(*log, i);
    const std::string whole = content(folder.log());
    std::string left;
    SUBCASE("cut in the middle of a line") { left = whole.substr(0, whole.size() - 100); }
    SUBCASE("a line added") { left = whole + "{}\n"; }
    SUBCASE("copied and truncated") { left = ""; }
    REQUIRE(::truncate(folder.log().c_str(), 0) == 0);
    put(folder.log(), left);
    check_refuses(*log, "changed by somebody else");
    check_recovers(*log);
    CHECK(write_one(*log) == 7);
    if (!left.empty()) CHECK(content(rotated_name(folder.log(), 1)) == left);
    CHECK_FALSE(verify_folder(folder.path(), first_key(folder)).ok);
    CHECK(open_log(folder.settings())->head().seq == 7);
    CHECK_FALSE(verify_folder(folder.path(), first_key(folder)).ok);
}

TEST_CASE("a write that fails half way leaves nothing of its batch and its seqs are used again") {
    const Folder folder;
    auto settings = folder.settings();
    settings.reserve = 0;
    const auto log = open_log(settings);
    write_one(*log);
    const std::string before = content(folder.log());
    {
        const FileSizeLimit limit(before.size() + 150);
        log->append(sample(2), now());
        log->append(sample(3), now());
        CHECK_FALSE(log->commit(Durability::durable));
        CHECK(content(folder.log()) == before);
        CHECK(log->head().seq == 1);
        CHECK_FALSE(log->recover(now()));
        CHECK_FALSE(log->commit(Durability::durable));
        CHECK(content(folder.log()) == before);
    }
    check_recovers(*log);
    CHECK(write_one(*log) == 3);
    CHECK(seqs_in(folder.log()) == std::vector<std::int64_t>{1, 2, 3});
    CHECK(records_in(folder.log())[1].record.detail.find("write ") != std::string::npos);
    check_whole(folder, *log);
}

TEST_CASE("on a full disk the reserve takes records and space says low and then none") {
    const Folder folder;
    const SmallDisk disk(folder.path());
    if (!disk.mounted()) {
        MESSAGE("needs the right to mount");
        return;
    }
    auto settings = folder.settings();
    settings.reserve = 512 * 1024;
    {
        const auto log = open_log(settings);
        CHECK(log->space() == Space::normal);
        write_one(*log);
        const UniqueFd filler(::open((folder.path() + "/filler").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        const std::string block(4096, 'x');
        while (write_all(filler.get(), block)) {
        }
        std::vector<Space> seen{log->space()};
        Expected<void> committed;
        for (int i = 0; i < 5000 && committed; ++i) {
            log->append(sample(i), now());
            committed = log->commit(Durability::durable);
            if (committed && log->space() != seen.back()) seen.push_back(log->space());
        }
        CHECK_FALSE(committed);
        CHECK(seen == std::vector<Space>{Space::normal, Space::low, Space::none});
        CHECK(committed.error().system_error == ENOSPC);
        const auto size = std::filesystem::file_size(folder.log());
        CHECK(size > settings.reserve / 2);
        CHECK_FALSE(log->recover(now()));
        REQUIRE(::ftruncate(filler.get(), 0) == 0);
        check_recovers(*log);
        CHECK(log->space() == Space::normal);
        check_no_gaps(folder.path());
        check_whole(folder, *log);
    }
}

TEST_CASE("a torn last line is set aside and recorded and the log goes on") {
    const Folder folder;
    { write_one(*open_log(folder.settings()), 1); }
    const std::string whole = content(folder.log());
    { write_one(*open_log(folder.settings()), 2); }
    const std::string longer = content(folder.log());
    for (const std::size_t cut : {whole.size() + 1, longer.size() - 2, longer.size() - 1}) {
        put(folder.log(), longer.substr(0, cut));
        const auto log = open_log(folder.settings());
        CHECK(log->head().seq == 2);
        CHECK(records_in(folder.log()).back().record.event == EventType::recovered);
        CHECK(write_one(*log) == 3);
        check_whole(folder, *log);
    }
    std::size_t kept = 0;
    for (const auto& name : folder.names()) kept += name.find(".torn-") != std::string::npos ? 1 : 0;
    CHECK(kept == 3);
}

TEST_CASE("a first line that was torn leaves an empty log that begins at seq 1") {
    const Folder folder;
    { open_log(folder.settings()); }
    put(folder.log(), "{\"timest");
    const auto log = open_log(folder.settings());
    CHECK(log->head().seq == 1);
    check_whole(folder, *log);
}

TEST_CASE("after logrotate renamed the file the log goes on in a new one") {
    const Folder folder;
    const auto log = open_log(folder.settings());
    write_one(*log);
    const std::string renamed = folder.log() + ".1";
    REQUIRE(::rename(folder.log().c_str(), renamed.c_str()) == 0);
    SUBCASE("without a new file") {}
    SUBCASE("with a new file") {
        put(folder.log(), "");
        ::chmod(folder.log().c_str(), 0640);
    }
    SUBCASE("with a record in between that is refused") { check_refuses(*log, "moved"); }
    SUBCASE("with a batch that waits") { log->append(sample(5), now()); }
    REQUIRE(log->reopen(now()));
    CHECK(log->is_available());
    CHECK(records_in(folder.log()).front().record.event == EventType::rotate);
    CHECK(records_in(folder.log()).back().record.event == EventType::reopen);
    write_one(*log);
    check_no_gaps(folder.path());
    check_whole(folder, *log);
}

TEST_CASE("reopening a log that was not renamed only records it") {
    const Folder folder;
    const auto log = open_log(folder.settings());
    write_one(*log);
    REQUIRE(log->reopen(now()));
    CHECK(seqs_in(folder.log()) == std::vector<std::int64_t>{1, 2});
    check_whole(folder, *log);
}

TEST_CASE("a second daemon cannot write the same log") {
    const Folder folder;
    const auto log = open_log(folder.settings());
    const pid_t child = ::fork();  // the lock is this process's, so only another process can be refused
    if (child == 0) ::_exit(Log::open(folder.settings()) ? 1 : 0);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
}
