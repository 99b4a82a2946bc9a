#include "base/file.h"

#include <doctest/doctest.h>

#include <fcntl.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <utility>

using namespace luminous_healing;

namespace {

/// A folder that is gone at the end of the test.
class Folder {
public:
    Folder() : path_((std::filesystem::temp_directory_path() / "luminous-file-XXXXXX").string()) {
        REQUIRE(::mkdtemp(path_.data()) != nullptr);
    }
    ~Folder() { std::filesystem::remove_all(path_); }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    [[nodiscard]] std::string file(const std::string& content) const {
        const std::string path = path_ + "/file";
        const UniqueFd fd(::open(path.c_str(), O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600));
        REQUIRE(write_all(fd.get(), content));
        return path;
    }
    [[nodiscard]] const std::string& path() const { return path_; }

private:
    std::string path_;
};

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

}  // namespace

TEST_CASE("a file is read whole up to the bound and not a byte beyond it") {
    const Folder folder;
    const std::string path = folder.file(std::string(40'000, 'x'));
    CHECK(read_file(path, 40'000).value_or("") == std::string(40'000, 'x'));
    const auto longer = read_file(path, 39'999);
    REQUIRE_FALSE(longer);
    CHECK(longer.error().system_error == EFBIG);
    CHECK(longer.error().message.find(path) == 0);
}

TEST_CASE("a file of the kernel that claims to be empty is read too") {
    const auto status = read_file("/proc/self/status", 65536);
    REQUIRE(status);
    CHECK(status->find("Uid:") != std::string::npos);
}

TEST_CASE("a failure to read or write names the file and the reason") {
    const auto missing = read_file("/nonexistent/file", 10);
    REQUIRE_FALSE(missing);
    CHECK(missing.error().system_error == ENOENT);
    CHECK(missing.error().message == "open /nonexistent/file: No such file or directory");
    const auto unwritten = write_existing("/nonexistent/file", "x");
    REQUIRE_FALSE(unwritten);
    CHECK(unwritten.error().system_error == ENOENT);
    CHECK(write_existing("/dev/full", "x").error().system_error == ENOSPC);
    CHECK(write_existing("/dev/full", "x").error().message == "write to /dev/full: No space left on device");
    CHECK_FALSE(read_file("/", 10));
}

TEST_CASE("writing an existing file creates none") {
    const Folder folder;
    CHECK_FALSE(write_existing(folder.path() + "/new", "x"));
    CHECK_FALSE(std::filesystem::exists(folder.path() + "/new"));
}

TEST_CASE("every byte goes through a pipe that takes only some at a time") {
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    UniqueFd reader(ends[0]);
    UniqueFd writer(ends[1]);
    const std::string large(1U << 20U, 'y');
    const pid_t child = ::fork();
    if (child == 0) {
        reader.reset();
        ::_exit(write_all(writer.get(), large) ? 0 : 1);
    }
    writer.reset();
    const auto received = read_all(reader.get(), large.size());
    int status = 0;
    ::waitpid(child, &status, 0);
    CHECK(status == 0);
    CHECK((received.value_or("") == large));
}

TEST_CASE("a descriptor has one owner and is closed once") {
    UniqueFd first(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    const int number = first.get();
    REQUIRE(first.valid());
    UniqueFd second(std::move(first));
    CHECK(second.get() == number);
    CHECK(is_open(number));
    UniqueFd third;
    CHECK_FALSE(third.valid());
    third = std::move(second);
    CHECK(third.get() == number);
    const int released = third.release();
    third.reset();
    CHECK(is_open(released));
    { const UniqueFd last(released); }
    CHECK_FALSE(is_open(released));
}
