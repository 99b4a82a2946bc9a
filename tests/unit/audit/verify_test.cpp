#include "audit/verify.h"

#include "audit/rotation.h"
#include "base/text.h"
#include "log_fixture.h"

#include <functional>
#include <random>
#include <set>

using namespace luminous_healing;
using namespace luminous_healing::audit;
using namespace luminous_healing::audit::test;

namespace {

constexpr int kPlaces = 60;  // of each manipulation

struct File {
    std::string name;
    std::vector<std::string> lines;
};
using Files = std::vector<File>;

/// A log of several files and epochs, once written and then only copied.
struct Original {
    Folder folder;
    std::string key;
    Head head;
    std::string stolen_key;  // the last one, as the daemon's file holds it
    Files files;

    explicit Original(const std::string& host) {
        auto settings = folder.settings();
        settings.rotate_size = 9000;
        settings.host = host;
        const auto log = open_log(settings);
        const Instant start = now();
        for (int i = 0; i < 100; ++i) {
            const Micros later = i * Micros(5min);
            write_one(*log, i, {WallTime{start.wall.since_epoch + later}, start.boot + later});
        }
        head = log->head();
        key = first_key(folder);
        const std::string slots = content(folder.log() + ".key");
        stolen_key = *from_hex(slots.substr(slots.find("\nkey ") + 5, 64));
        const auto all = all_files(folder.log());
        REQUIRE(all);
        for (const auto& file : *all)
            files.push_back({std::filesystem::path(file.path).filename(), lines_of(content(file.path))});
        REQUIRE(files.size() > 5);
        REQUIRE(head.epoch > 4);
    }
};

const Original& original() {
    static const Original log("host1");
    return log;
}

VerifyReport verify_files(const Files& files, const std::optional<Head>& head = original().head) {
    const Folder copy;
    for (const auto& file : files) put(copy.path() + "/" + file.name, joined(file.lines));
    return verify_folder(copy.path(), original().key, head);
}

struct Spot {
    std::size_t file;
    std::size_t line;
};

class Dice {
public:
    std::size_t below(std::size_t bound) { return std::uniform_int_distribution<std::size_t>(0, bound - 1)(engine_); }
    Spot spot(const Files& files) {
        const std::size_t file = below(files.size());
        return {file, below(files[file].lines.size())};
    }

private:
    std::mt19937 engine_{20261121};
};

std::int64_t seq_at(const Files& files, Spot spot) { return *seq_of_line(files[spot.file].lines[spot.line]); }

/// Applies a manipulation at many places; each must be found as one of `kinds`, at the seq that it returns (0: any).
void check_each_is_found(const std::set<Damage>& kinds, const std::function<std::int64_t(Files&, Dice&)>& manipulate) {
    Dice dice;
    for (int i = 0; i < kPlaces; ++i) {
        Files files = original().files;
        const std::int64_t seq = manipulate(files, dice);
        const auto report = verify_files(files);
        CHECK_FALSE(report.ok);
        CHECK_FALSE(report.explanation.empty());
        CHECK_MESSAGE(kinds.contains(report.damage), name_of(report.damage), ": ", report.explanation, " at ",
                      report.file, ":", report.line);
        if (seq > 0) CHECK_MESSAGE(report.seq == seq, report.explanation);
    }
}

/// Chains everything from `from` on anew with one key, as a thief of that key would.
void sign_again(Files& files, Spot from, const ChainKey& key, std::string previous) {
    for (std::size_t f = from.file; f < files.size(); ++f) {
        for (std::size_t l = f == from.file ? from.line : 0; l < files[f].lines.size(); ++l) {
            std::string& line = files[f].lines[l];
            const std::string open(split_chain(line)->record_open);
            previous = key.chain_of(previous, open);
            line = chained_line(open + "}", previous);
        }
    }
}

std::string chain_before(const Files& files, Spot spot) {
    if (spot.line > 0) return std::string(split_chain(files[spot.file].lines[spot.line - 1])->chain);
    if (spot.file > 0) return std::string(split_chain(files[spot.file - 1].lines.back())->chain);
    return std::string(kGenesis);
}

ChainKey stolen() {
    auto key = ChainKey::create(Secret(original().stolen_key), original().head.epoch);
    REQUIRE(key);
    return std::move(*key);
}

}  // namespace

TEST_CASE("an untouched log is whole from files and first key alone") {
    const auto report = verify_files(original().files);
    CHECK_MESSAGE(report.ok, report.explanation);
    CHECK(report.records == static_cast<std::uint64_t>(original().head.seq));
    CHECK(report.files == original().files.size());
    CHECK(report.first_seq == 1);
    CHECK(report.head.chain == original().head.chain);
    CHECK(report.head.epoch == original().head.epoch);
    CHECK(report.notes.empty());
}

TEST_CASE("a changed byte anywhere is found") {
    check_each_is_found({Damage::changed, Damage::unreadable, Damage::missing, Damage::missing_file, Damage::inserted,
                         Damage::spliced, Damage::reordered, Damage::duplicated},
                        [](Files& files, Dice& dice) {
                            const Spot spot = dice.spot(files);
                            const std::int64_t seq = seq_at(files, spot);
                            std::string& line = files[spot.file].lines[spot.line];
                            char& c = line[dice.below(line.size())];
                            c = static_cast<char>(c ^ (1 << dice.below(7)));
                            return c == '\n' ? 0 : seq;
                        });
}

TEST_CASE("a changed value in valid JSON is found as changed") {
    check_each_is_found({Damage::changed}, [](Files& files, Dice& dice) {
        while (true) {
            const Spot spot = dice.spot(files);
            std::string& line = files[spot.file].lines[spot.line];
            const auto place = line.find("\"monitor\"");
            if (place == std::string::npos) continue;
            line.replace(place, 9, "\"manager\"");
            return seq_at(files, spot);
        }
    });
}

TEST_CASE("a removed record is found") {
    check_each_is_found({Damage::missing, Damage::missing_file, Damage::reordered, Damage::truncated},
                        [](Files& files, Dice& dice) {
                            const Spot spot = dice.spot(files);
                            const std::int64_t seq = seq_at(files, spot);
                            auto& lines = files[spot.file].lines;
                            lines.erase(lines.begin() + static_cast<std::ptrdiff_t>(spot.line));
                            return spot.line == 0 ? 0 : seq;
                        });
}

TEST_CASE("a duplicated record is found") {
    check_each_is_found({Damage::duplicated}, [](Files& files, Dice& dice) {
        const Spot spot = dice.spot(files);
        auto& lines = files[spot.file].lines;
        const std::int64_t seq = seq_at(files, spot);
        const std::size_t later = spot.line + 1 + dice.below(lines.size() - spot.line);
        lines.insert(lines.begin() + static_cast<std::ptrdiff_t>(later), std::string(lines[spot.line]));
        return seq + static_cast<std::int64_t>(later - spot.line);
    });
}

TEST_CASE("an inserted record is found") {
    check_each_is_found({Damage::inserted}, [](Files& files, Dice& dice) {
        const Spot spot = dice.spot(files);
        auto& lines = files[spot.file].lines;
        std::string forged = lines[spot.line];
        const std::int64_t seq = seq_at(files, spot);
        forged.replace(forged.find("\"success\":null"), 14, "\"success\":true");
        lines.insert(lines.begin() + static_cast<std::ptrdiff_t>(spot.line), forged);
        return seq;
    });
}

TEST_CASE("two records that changed places are found") {
    check_each_is_found({Damage::reordered, Damage::missing}, [](Files& files, Dice& dice) {
        while (true) {
            const Spot spot = dice.spot(files);
            auto& lines = files[spot.file].lines;
            if (spot.line + 1 >= lines.size()) continue;
            const std::int64_t seq = seq_at(files, spot);
            std::swap(lines[spot.line], lines[spot.line + 1 + dice.below(lines.size() - spot.line - 1)]);
            return spot.line == 0 ? 0 : seq;
        }
    });
}

TEST_CASE("a tail that was cut off is found against the witness") {
    check_each_is_found({Damage::truncated}, [](Files& files, Dice& dice) {
        const Spot spot = dice.spot(files);
        files.resize(spot.file + 1);
        files[spot.file].lines.resize(spot.line);
        if (files[0].lines.empty()) files[0].lines.push_back(original().files[0].lines[0]);
        return std::int64_t{0};
    });
}

TEST_CASE("a rotated file that is gone or cut at its end is found") {
    check_each_is_found({Damage::missing_file}, [](Files& files, Dice& dice) {
        const std::size_t file = dice.below(files.size() - 1);
        if (dice.below(2) == 0) files.erase(files.begin() + static_cast<std::ptrdiff_t>(file));
        else files[file].lines.resize(files[file].lines.size() - 1 - dice.below(files[file].lines.size() - 1));
        return std::int64_t{0};
    });
}

TEST_CASE("rotated files that changed names are found") {
    check_each_is_found({Damage::reordered}, [](Files& files, Dice& dice) {
        const std::size_t a = dice.below(files.size() - 1);
        const std::size_t b = (a + 1 + dice.below(files.size() - 2)) % (files.size() - 1);
        std::swap(files[a].name, files[b].name);
        return std::int64_t{0};
    });
}

TEST_CASE("records signed again with a stolen key are found from the first one on") {
    check_each_is_found({Damage::bad_epoch}, [](Files& files, Dice& dice) {
        const Spot spot{dice.below(files.size() - 2), dice.below(5)};
        std::string& line = files[spot.file].lines[spot.line];
        line.replace(line.find("\"success\":null"), 14, "\"success\":true");
        sign_again(files, spot, stolen(), chain_before(files, spot));
        return seq_at(files, spot);
    });
}

TEST_CASE("records of the running epoch signed again with its key are found against the witness") {
    Files files = original().files;
    const Spot last{files.size() - 1, files.back().lines.size() - 1};
    std::string& line = files.back().lines.back();
    if (line.find("key_epoch") != std::string::npos) return;
    line.replace(line.find("\"success\":null"), 14, "\"success\":true");
    sign_again(files, last, stolen(), chain_before(files, last));
    CHECK(verify_files(files, std::nullopt).ok);
    const auto report = verify_files(files);
    CHECK(report.damage == Damage::changed);
    CHECK(report.explanation.find("witness") != std::string::npos);
}

TEST_CASE("records of another host put in the place of ours are found") {
    static const Original other("host2");
    check_each_is_found({Damage::spliced}, [](Files& files, Dice& dice) {
        const Spot spot = dice.spot(files);
        const std::int64_t seq = seq_at(files, spot);
        for (const auto& file : other.files) {
            for (const auto& line : file.lines) {
                if (seq_of_line(line) == seq && seq > 1) files[spot.file].lines[spot.line] = line;
            }
        }
        if (seq == 1) files[spot.file].lines[1] = other.files[0].lines[1];
        return std::max<std::int64_t>(seq, 2);
    });
}

TEST_CASE("another first key proves nothing") {
    const auto report = verify({{original().folder.path()}, std::string(64, 'a'), {}});
    REQUIRE(report);
    CHECK_FALSE(report->ok);
    CHECK_FALSE(verify({{original().folder.path()}, "abc", {}}));
    CHECK_FALSE(verify({{"/nowhere/at-all"}, std::string(64, 'a'), {}}));
}

TEST_CASE("a file is proven by itself when those before it are gone") {
    const Folder copy;
    const auto& file = original().files[3];
    put(copy.path() + "/" + file.name, joined(file.lines));
    const auto report = verify({{copy.path() + "/" + file.name}, original().key, {}});
    REQUIRE(report);
    CHECK_MESSAGE(report->ok, report->explanation);
    CHECK(report->first_seq == seq_of_line(file.lines[0]));
}

TEST_CASE("a torn last line is a note and no tampering") {
    const Folder copy;
    for (const auto& file : original().files) put(copy.path() + "/" + file.name, joined(file.lines));
    std::ofstream(copy.path() + "/audit.json", std::ios::app) << "{\"timest";
    const auto report = verify_folder(copy.path(), original().key, original().head);
    CHECK(report.ok);
    CHECK(report.notes.size() == 1);
}
