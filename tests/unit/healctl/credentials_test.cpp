#include "healctl/credentials.h"

#include "base/file.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <array>
#include <cstdlib>
#include <filesystem>

using namespace luminous_healing;
using namespace luminous_healing::healctl;

namespace {

constexpr const char* kVariables[] = {"LUMINOUS_HEALING_KEY_FILE", "CREDENTIALS_DIRECTORY", "LUMINOUS_HEALING_SECRET",
                                      "LUMINOUS_HEALING_CALLER", "HOME"};

/// An empty home, and none of the variables that name a key.
class CleanEnvironment {
public:
    CleanEnvironment() {
        std::array<char, 64> pattern{"/tmp/healctl-home-XXXXXX"};
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        home = pattern.data();
        for (const char* const name : kVariables) ::unsetenv(name);
        ::setenv("HOME", home.c_str(), 1);
    }
    ~CleanEnvironment() {
        for (const char* const name : kVariables) ::unsetenv(name);
        std::filesystem::remove_all(home);
    }
    CleanEnvironment(const CleanEnvironment&) = delete;
    CleanEnvironment& operator=(const CleanEnvironment&) = delete;

    std::string write(const std::string& name, const std::string& text, unsigned mode = 0400) const {
        const std::string path = home + "/" + name;
        std::filesystem::create_directories(std::filesystem::path(path).parent_path());
        const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
        REQUIRE(write_all(fd.get(), text));
        REQUIRE(::fchmod(fd.get(), mode) == 0);
        return path;
    }

    std::string home;
};

std::string key_found(const CredentialOptions& options = {}) {
    const auto found = find_credentials(options);
    return found ? found->key : "error: " + found.error().message;
}

}  // namespace

TEST_CASE("the places for a key are looked at in the order of the manual") {
    const CleanEnvironment environment;
    CHECK(key_found().find("error: no key: give --key-file") == 0);
    ::setenv("LUMINOUS_HEALING_SECRET", " from-secret\n", 1);
    CHECK(key_found() == "from-secret");
    (void)environment.write(".config/luminous-healing/key", "from-home\n");
    CHECK(key_found() == "from-home");
    (void)environment.write("credentials/self-healing", "from-credentials\n");
    ::setenv("CREDENTIALS_DIRECTORY", (environment.home + "/credentials").c_str(), 1);
    CHECK(key_found() == "from-credentials");
    ::setenv("LUMINOUS_HEALING_KEY_FILE", environment.write("variable", "from-variable\n").c_str(), 1);
    CHECK(key_found() == "from-variable");
    const CredentialOptions options{.caller = {}, .key_file = environment.write("option", "from-option\n")};
    CHECK(key_found(options) == "from-option");
}

TEST_CASE("of several credentials the one named after the caller is taken and without a caller none") {
    const CleanEnvironment environment;
    (void)environment.write("credentials/one", "key-one");
    (void)environment.write("credentials/two", "key-two");
    ::setenv("CREDENTIALS_DIRECTORY", (environment.home + "/credentials").c_str(), 1);
    CHECK(key_found({.caller = "two", .key_file = {}}) == "key-two");
    CHECK(key_found({.caller = "three", .key_file = {}}).find("error: no key") == 0);
    CHECK(key_found().find("--caller") != std::string::npos);
}

TEST_CASE("a caller is the one named else the name of the key file") {
    const CleanEnvironment environment;
    const std::string file = environment.write("keys/self-healing", "text");
    CHECK(find_caller({.caller = {}, .key_file = file}) == "self-healing");
    ::setenv("LUMINOUS_HEALING_CALLER", "by-variable", 1);
    CHECK(find_caller({.caller = {}, .key_file = file}) == "by-variable");
    CHECK(find_caller({.caller = "by-option", .key_file = file}) == "by-option");
}

TEST_CASE("a key that is just called key belongs to the user") {
    const CleanEnvironment environment;
    const std::string file = environment.write("keys/key", "text");
    CHECK(find_caller({.caller = {}, .key_file = file}) == find_caller({}));
}

TEST_CASE("a key file that is named but missing or empty or a folder is an error and not passed over") {
    const CleanEnvironment environment;
    ::setenv("LUMINOUS_HEALING_SECRET", "from-secret", 1);
    CHECK(key_found({.caller = {}, .key_file = "/nonexistent/key"}).find("error: the key cannot be read") == 0);
    CHECK(key_found({.caller = {}, .key_file = environment.write("empty", "\n")}).find("is empty") !=
          std::string::npos);
    CHECK(key_found({.caller = {}, .key_file = environment.home}).find("is not a file") != std::string::npos);
}

TEST_CASE("a key that every user can read is used with a warning") {
    const CleanEnvironment environment;
    const auto open = find_credentials({.caller = {}, .key_file = environment.write("open", "text", 0444)});
    REQUIRE(open);
    CHECK(open->warning.find("chmod 0400") != std::string::npos);
    const auto closed = find_credentials({.caller = {}, .key_file = environment.write("closed", "text")});
    REQUIRE(closed);
    CHECK(closed->warning.empty());
}
