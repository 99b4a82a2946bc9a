#pragma once
// Errors are values. A function that can fail returns Expected<T>; the Error names what was attempted and why it
// failed, in words for the person who will read the journal. Exceptions of libraries end where the library is called.

#include <tl/expected.hpp>

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

namespace luminous_healing {

/// What went wrong, as one sentence. `system_error` is the errno behind it, or 0.
struct Error {
    std::string message;
    int system_error = 0;
};

template <class T>
using Expected = tl::expected<T, Error>;

[[nodiscard]] inline tl::unexpected<Error> fail(std::string message, int system_error = 0) {
    return tl::unexpected<Error>(Error{std::move(message), system_error});
}

/// "WHAT: strerror(code)". Takes the code by value because building a string may change errno.
[[nodiscard]] inline tl::unexpected<Error> fail_errno(std::string_view what, int code = errno) {
    return fail(std::string(what) + ": " + std::strerror(code), code);  // strerror: this program has no threads
}

}  // namespace luminous_healing
