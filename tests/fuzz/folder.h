#pragma once
// A folder in memory for targets whose product reads files by name. One a process, gone with it.

#include "base/file.h"
#include "base/unique_fd.h"
#include "tests/fuzz/support.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>

namespace luminous_healing::fuzz {

class Folder {
public:
    Folder() {
        std::string name = "/dev/shm/luminous-fuzz-XXXXXX";
        must(::mkdtemp(name.data()) != nullptr, "/dev/shm takes a folder");
        path_ = name;
    }
    ~Folder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;

    [[nodiscard]] std::string file(std::string_view name) const { return path_ + "/" + std::string(name); }
    [[nodiscard]] const std::string& path() const { return path_; }
    void write(std::string_view name, std::string_view text) const {
        const UniqueFd fd(::open(file(name).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
        must(fd.valid() && write_all(fd.get(), text).has_value(), "a file in memory can be written");
    }

private:
    std::string path_;
};

}  // namespace luminous_healing::fuzz
