#include "base/file.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>

namespace luminous_healing {

Expected<std::string> read_all(int fd, std::size_t max_bytes) {
    std::string content;
    std::array<char, 16384> buffer{};
    while (true) {
        const ssize_t n = ::read(fd, buffer.data(), buffer.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail_errno("read");
        if (n == 0) return content;
        content.append(buffer.data(), static_cast<std::size_t>(n));
        if (content.size() > max_bytes) return fail("longer than " + std::to_string(max_bytes) + " bytes", EFBIG);
    }
}

Expected<std::string> read_file(const std::string& path, std::size_t max_bytes) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
    if (!fd.valid()) return fail_errno("open " + path);
    auto content = read_all(fd.get(), max_bytes);
    if (!content) return fail(path + ": " + content.error().message, content.error().system_error);
    return content;
}

Expected<void> write_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t n = ::write(fd, bytes.data(), bytes.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail_errno("write");
        bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return {};
}

Expected<void> write_existing(const std::string& path, std::string_view text) {
    const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY));
    if (!fd.valid()) return fail_errno("open " + path + " for writing");
    if (auto written = write_all(fd.get(), text); !written)
        return fail_errno("write to " + path, written.error().system_error);
    return {};
}

}  // namespace luminous_healing
