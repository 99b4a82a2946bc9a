#pragma once
// Where keys live. All memory that OpenSSL allocates (prepared keys, digest states) comes from pages that are
// MADV_DONTDUMP (never in a core file), MADV_WIPEONFORK (zero in every child: no worker and no gate ever holds a key)
// and locked into RAM as far as RLIMIT_MEMLOCK allows. See madvise(2), mlock2(2), CRYPTO_set_mem_functions(3).

#include "base/expected.h"

namespace luminous_healing::protocol {

/// Must run before anything else touches OpenSSL; an error means that it came too late. After fork(2) a child must
/// not call OpenSSL: its state there is wiped.
[[nodiscard]] Expected<void> install_secret_memory();

/// False when the kernel refused to lock some page (RLIMIT_MEMLOCK): keys may then reach swap, which status reports.
[[nodiscard]] bool secret_memory_is_locked();

}  // namespace luminous_healing::protocol
