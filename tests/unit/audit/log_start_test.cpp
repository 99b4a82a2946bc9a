#include "log_fixture.h"

#include "audit/rotation.h"

using namespace luminous_healing;
using namespace luminous_healing::audit;
using namespace luminous_healing::audit::test;

TEST_CASE("a batch that was started is committed once, with what came after") {
    const Folder folder;
    const auto log = open_log(folder.settings());
    log->start();
    log->append(sample(1), now());
    log->start();
    CHECK(log->head().seq == 0);
    log->append(sample(2), now());
    SUBCASE("started again") { log->start(); }
    SUBCASE("not started again") {}
    log->append(sample(3), now());
    REQUIRE(log->commit(Durability::durable));
    log->start();
    CHECK(write_one(*log) == 4);
    CHECK(seqs_in(folder.log()) == std::vector<std::int64_t>{1, 2, 3, 4});
    check_whole(folder, *log);
}

TEST_CASE("a batch that was started and cannot be finished leaves nothing behind, whatever failed") {
    const Folder folder;
    auto settings = folder.settings();
    settings.reserve = 0;
    const auto log = open_log(settings);
    write_one(*log);
    const std::string before = content(folder.log());
    log->append(sample(2), now());
    {
        const std::size_t line = before.size();
        const FileSizeLimit limit(before.size() + line + 150);
        SUBCASE("the first part is there and the second does not fit") {
            log->start();
            CHECK(content(folder.log()).size() > before.size());
            log->append(sample(3), now());
        }
        SUBCASE("not even that fits") {
            log->append(sample(3), now());
            log->start();
            CHECK(content(folder.log()) == before);
        }
        SUBCASE("the second start fails") {
            log->start();
            log->append(sample(3), now());
            log->start();
            CHECK(content(folder.log()) == before);
        }
        CHECK_FALSE(log->commit(Durability::durable));
        CHECK(content(folder.log()) == before);
        CHECK(log->head().seq == 1);
    }
    check_recovers(*log);
    CHECK(seqs_in(folder.log()) == std::vector<std::int64_t>{1, 2});
    check_whole(folder, *log);
}

TEST_CASE("a start that failed is made good by the commit") {
    const Folder folder;
    auto settings = folder.settings();
    settings.reserve = 0;
    const auto log = open_log(settings);
    write_one(*log);
    const std::string before = content(folder.log());
    log->append(sample(2), now());
    SUBCASE("the first") {}
    SUBCASE("the second") { log->start(); }
    log->append(sample(3), now());
    {
        const FileSizeLimit limit(2 * before.size() + 150);
        log->start();
        CHECK(content(folder.log()) == before);
    }
    REQUIRE(log->commit(Durability::durable));
    CHECK(seqs_in(folder.log()) == std::vector<std::int64_t>{1, 2, 3});
    check_whole(folder, *log);
}

TEST_CASE("what somebody else does to the file between start and commit is noticed") {
    const Folder folder;
    const auto log = open_log(folder.settings());
    write_one(*log);
    const std::string before = content(folder.log());
    log->append(sample(2), now());
    log->start();
    SUBCASE("a line added stays as evidence") {
        const std::string started = content(folder.log());
        put(folder.log(), started + "{}\n");
        CHECK_FALSE(log->commit(Durability::durable));
        CHECK(content(folder.log()) == started + "{}\n");
        check_recovers(*log);
        CHECK(content(rotated_name(folder.log(), 1)) == started + "{}\n");
    }
    SUBCASE("renamed, it loses what was not committed") {
        const std::string aside = folder.path() + "/aside";
        REQUIRE(::rename(folder.log().c_str(), aside.c_str()) == 0);
        CHECK_FALSE(log->commit(Durability::durable));
        CHECK(content(aside) == before);
        check_recovers(*log);
    }
    CHECK(log->head().seq == 3);
}
