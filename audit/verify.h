#pragma once
// Proves from files and the first key alone, in bounded memory, that a log is whole and unchanged, or names the first
// record that is not. What it cannot see without a witness's head is that records are missing at the very end, and,
// before the first rotation record says which files there must be, at the very beginning.

#include "audit/chain.h"
#include "base/expected.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace luminous_healing::audit {

enum class Damage {
    none,
    changed,       ///< a record's bytes are not those that were written
    inserted,      ///< a record that was never written
    missing,       ///< records are gone between two others
    missing_file,  ///< the gap lies between two files, or the oldest file is gone
    reordered,     ///< a record stands later or earlier than it was written
    duplicated,    ///< a record stands twice
    truncated,     ///< the log ends before the witness's head
    spliced,       ///< a record of another host or another log
    bad_epoch,     ///< a record was chained with the key of another epoch: signed again with a stolen key
    unreadable,    ///< a line that is no record of this log
};
[[nodiscard]] std::string_view name_of(Damage damage);

struct VerifyRequest {
    std::vector<std::string> paths;  ///< a folder, or files; their order does not matter
    std::string first_key;           ///< 64 hexadecimal digits, from take_first_key()
    std::optional<Head> head;        ///< what a witness kept; its epoch is not looked at
};

struct VerifyReport {
    bool ok = false;
    Damage damage = Damage::none;
    std::string explanation;         ///< one sentence for people, safe to print; empty when ok
    std::string file;                ///< of the first bad record
    std::uint64_t line = 0;          ///< in that file, from 1; 0 when no line is to blame
    std::int64_t seq = 0;            ///< the seq that was expected there
    std::uint64_t records = 0;       ///< that were proven
    std::uint64_t files = 0;         ///< that were begun
    std::int64_t first_seq = 0;      ///< above 1 when older files were removed by rotation
    Head head;                       ///< the last proven record
    std::vector<std::string> notes;  ///< what is odd and no tampering, such as a torn last line
};

/// An error means that nothing could be examined: no such file, no such key.
[[nodiscard]] Expected<VerifyReport> verify(const VerifyRequest& request);

}  // namespace luminous_healing::audit
