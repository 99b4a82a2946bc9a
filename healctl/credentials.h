#pragma once
// Who asks, and with which key. The order of the places is in healctl(1), "KEY AND CALLER".

#include "base/expected.h"

#include <optional>
#include <string>

namespace luminous_healing::healctl {

/// What the command line says; it goes before the environment.
struct CredentialOptions {
    std::optional<std::string> caller;
    std::optional<std::string> key_file;
};

struct Credentials {
    Credentials() = default;
    Credentials(Credentials&&) noexcept = default;
    Credentials& operator=(Credentials&&) noexcept = default;
    Credentials(const Credentials&) = delete;
    Credentials& operator=(const Credentials&) = delete;
    ~Credentials();  ///< wipes the key

    std::string caller;
    std::string key;      ///< trimmed
    std::string source;   ///< the file, or the variable's name
    std::string warning;  ///< worth knowing, or empty
};

/// The first key there is. A place that is named but cannot be used is an error, not passed over.
[[nodiscard]] Expected<Credentials> find_credentials(const CredentialOptions& options);

/// The caller's name where no key is needed.
[[nodiscard]] std::string find_caller(const CredentialOptions& options);

}  // namespace luminous_healing::healctl
