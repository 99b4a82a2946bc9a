#include "tests/unit/executor/config_machine.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

namespace luminous_healing::executor {

namespace fs = std::filesystem;

TEST_CASE("keys are the trimmed text of their files in the order of the caller") {
    const Machine machine;
    const auto config = good_config(machine, vector_file("everything.toml"));
    const auto keys = read_keys(config, machine.sources());
    const std::string why = keys ? "" : listed(keys.error());
    REQUIRE_MESSAGE(keys.has_value(), why);
    CHECK(keys->size() == 2);
    CHECK(keys->at(CallerName("monitor")) ==
          std::vector<std::string>{Machine::key_text("good-key"), Machine::key_text("other-key")});
    CHECK(keys->at(CallerName("admin")) == std::vector<std::string>{Machine::key_text("third-key")});
}

TEST_CASE("a key is taken from the credentials directory first and from the key directory otherwise") {
    const Machine machine;
    const auto config = good_config(machine, vector_file("everything.toml"));
    auto sources = machine.sources();
    const auto credentials = machine.folder() / "credentials";
    fs::create_directory(credentials);
    const std::string loaded(40, 'k');
    machine.write(credentials / "good-key", loaded + "loaded-by-systemd\n", 0400);
    sources.credentials_directory = credentials.string();
    const auto keys = read_keys(config, sources);
    REQUIRE(keys.has_value());
    CHECK(keys->at(CallerName("monitor")) ==
          std::vector<std::string>{loaded + "loaded-by-systemd", Machine::key_text("other-key")});
}

TEST_CASE("daemon.key_directory takes the place of the default one") {
    const Machine machine;
    const auto config =
        good_config(machine, "[daemon]\nkey_directory = \"" + machine.sources().key_directory + "\"\n" + kOneCaller);
    ConfigSources elsewhere = machine.sources();
    elsewhere.key_directory = "/nonexistent";
    const auto keys = read_keys(config, elsewhere);
    REQUIRE(keys.has_value());
    CHECK(keys->at(CallerName("a")) == std::vector<std::string>{Machine::key_text("good-key")});
    elsewhere.credentials_directory = machine.folder().string();
    machine.write(machine.folder() / "good-key", "a credential comes before any key directory\n", 0400);
    CHECK(read_keys(config, elsewhere)->at(CallerName("a")).at(0) == "a credential comes before any key directory");
}

TEST_CASE("a key directory that others can change is refused") {
    const Machine machine;
    const auto config = good_config(machine, kOneCaller);
    REQUIRE(::chmod(machine.sources().key_directory.c_str(), 0777) == 0);
    const auto keys = read_keys(config, machine.sources());
    REQUIRE_FALSE(keys.has_value());
    CHECK(keys.error().at(0).what.find("the key directory cannot be used") != std::string::npos);
}

TEST_CASE("a key file that its group may read is refused unless the group is root") {
    if (::geteuid() != 0) return;  // only root can give a file away
    const Machine machine;
    const auto config = good_config(machine, kOneCaller);
    const auto path = fs::path(machine.sources().key_directory) / "good-key";
    REQUIRE(::chmod(path.c_str(), 0440) == 0);
    CHECK(read_keys(config, machine.sources()).has_value());
    REQUIRE(::chown(path.c_str(), 0, 65534) == 0);
    REQUIRE(::chmod(path.c_str(), 0440) == 0);
    CHECK_FALSE(read_keys(config, machine.sources()).has_value());
}

TEST_CASE("no message about a key repeats any of it") {
    const Machine machine;
    for (const auto* const name : {"short-key", "guessable-key", "two-line-key", "copy-of-good-key"}) {
        auto config = good_config(machine, vector_file("everything.toml"));
        config.callers.at(CallerName("admin")).keys = {name};
        const auto keys = read_keys(config, machine.sources());
        REQUIRE_FALSE(keys.has_value());
        CHECK(keys.error().at(0).what.find(Machine::key_text(name).substr(0, 12)) == std::string::npos);
    }
}

}  // namespace luminous_healing::executor
