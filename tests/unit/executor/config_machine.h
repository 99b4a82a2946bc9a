#pragma once
// A small machine in a folder of its own, for tests of the configuration: programs, keys and a configuration file,
// good ones and each kind of bad one. The vectors name programs under /usr/bin; here they are under this folder.

#include "base/file.h"
#include "executor/config_file.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace luminous_healing::executor {

inline std::string text_of(const std::filesystem::path& path) {
    const auto text = read_file(path.string(), 1U << 20U);
    REQUIRE_MESSAGE(text.has_value(), path.string());
    return *text;
}

inline std::string replaced(std::string text, std::string_view from, std::string_view with) {
    for (auto at = text.find(from); at != std::string::npos; at = text.find(from, at + with.size()))
        text.replace(at, from.size(), with);
    return text;
}

/// The example's commented keys put in force ("#key = …" has no space after its mark, prose has one), with users and
/// groups that every machine has.
inline std::string with_all_keys(const std::string& example) {
    std::string text = "\n" + example;
    for (std::size_t at = text.find("\n#"); at != std::string::npos; at = text.find("\n#", at + 1)) {
        const char next = at + 2 < text.size() ? text[at + 2] : ' ';
        if (next == '[' || (next >= 'a' && next <= 'z')) text.erase(at + 1, 1);
    }
    text = replaced(text, "user = \"luminous-healing\"", "user = \"nobody\"");
    text = replaced(text, "socket_group = \"luminous-healing\"", "socket_group = \"root\"");
    text = replaced(text, "\"luminous-monitor\"", "\"nobody\"");
    return replaced(text, "\"podman\"", "\"nobody\"");
}

class Machine {
public:
    Machine() {
        std::string name = (std::filesystem::temp_directory_path() / "luminous-config-XXXXXX").string();
        REQUIRE(::mkdtemp(name.data()) != nullptr);
        folder_ = std::filesystem::canonical(name);
        std::filesystem::create_directory(folder_ / "keys");
        std::filesystem::create_directory(folder_ / "bin");
        REQUIRE(::chmod((folder_ / "keys").c_str(), 0700) == 0);
        REQUIRE(::chmod((folder_ / "bin").c_str(), 0755) == 0);
        make_keys();
        make_programs();
    }
    ~Machine() {
        std::error_code ignored;
        std::filesystem::remove_all(folder_, ignored);
    }
    Machine(const Machine&) = delete;
    Machine& operator=(const Machine&) = delete;

    [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }
    [[nodiscard]] std::string program(const std::string& name) const { return (folder_ / "bin" / name).string(); }
    [[nodiscard]] std::string config_path() const { return (folder_ / "config.toml").string(); }
    [[nodiscard]] ConfigSources sources() const {
        ConfigSources sources;
        sources.key_directory = (folder_ / "keys").string();
        return sources;
    }

    /// The text with its paths as they are on this machine.
    [[nodiscard]] std::string filled_in(const std::string& text) const {
        return replaced(replaced(text, "\"/usr/bin/", "\"" + (folder_ / "bin").string() + "/"),
                        "\"/etc/luminous-healing/keys\"", "\"" + (folder_ / "keys").string() + "\"");
    }
    std::string write_config(const std::string& text) const {
        write(config_path(), filled_in(text), 0600);
        return config_path();
    }
    void write(const std::filesystem::path& path, const std::string& text, mode_t mode) const {
        std::filesystem::remove(path);
        const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
        REQUIRE(fd.valid());
        REQUIRE(write_all(fd.get(), text).has_value());
        REQUIRE(::fchmod(fd.get(), mode) == 0);
    }

    static std::string key_text(std::string_view name) {
        if (name == "copy-of-good-key") name = "good-key";
        if (name == "short-key") return "31-bytes-of-text-are-too-short!";
        if (name == "guessable-key") return "abababababababababababababababababababab";
        if (name == "two-line-key") return "two lines of text are not a key\nthough they are long enough";
        return "0123456789abcdef-the-key-named-" + std::string(name);
    }

private:
    void make_keys() const {
        const auto keys = folder_ / "keys";
        for (const auto* const name :
             {"good-key", "other-key", "third-key", "fourth-key", "self-healing", "operator", "operator-old",
              "copy-of-good-key", "short-key", "guessable-key", "two-line-key"})
            write(keys / name, " " + key_text(name) + "\n", 0400);
        write(keys / "default-key", "default-dev-key\n", 0400);
        write(keys / "empty-key", "\n", 0400);
        write(keys / "binary-key", std::string("\x01\x02\x03\xff", 4) + std::string(40, 'x'), 0400);
        write(keys / "long-key", std::string(5000, 'x'), 0400);
        write(keys / "readable-key", key_text("readable-key"), 0444);
        write(keys / "group-writable-key", key_text("group-writable-key"), 0420);
        std::filesystem::create_directory(keys / "folder-key");
        REQUIRE(::mkfifo((keys / "fifo-key").c_str(), 0400) == 0);
        std::filesystem::create_symlink("good-key", keys / "symlink-key");
    }
    void make_programs() const {
        const auto bin = folder_ / "bin";
        for (const auto* const name : {"podman", "resolvectl", "sh", "env", "python3.11", "logger", "find", "flock"})
            write(bin / name, "#!/bin/sh\n", 0755);
        write(bin / "not-executable", "", 0644);
        write(bin / "writable", "", 0775);
        std::filesystem::create_directory(bin / "folder");
        std::filesystem::create_directory(bin / "writable-folder");
        write(bin / "writable-folder" / "program", "", 0755);
        REQUIRE(::chmod((bin / "writable-folder").c_str(), 0777) == 0);
        std::filesystem::create_symlink("writable", bin / "link-to-writable");
        std::filesystem::create_symlink("loop", bin / "loop");
    }

    std::filesystem::path folder_;
};

/// Where the configurations lie that every reader of them must take, or refuse.
inline const std::filesystem::path kVectors = std::filesystem::path(TEST_VECTORS) / "config";

inline std::string vector_file(const std::string& name) { return text_of(kVectors / "good" / name); }

/// A configuration that is good, whatever follows it.
inline const char* const kOneCaller =
    "[callers.a]\nkey = \"good-key\"\nusers = [0]\nactions = [\"clear_system_cache\"]\n"
    "[actions.clear_system_cache]\n";

inline std::string listed(const std::vector<ConfigProblem>& problems) {
    std::string text;
    for (const auto& problem : problems) text += "\n  " + problem.where + ": " + problem.what;
    return text;
}

inline policy::Config good_config(const Machine& machine, const std::string& text) {
    auto config = read_config(machine.write_config(text), machine.sources());
    const std::string why = config ? "" : listed(config.error());
    REQUIRE_MESSAGE(config.has_value(), why);
    return *config;
}

}  // namespace luminous_healing::executor
