#pragma once
// The callers' keys, prepared, in protected memory (protocol/secret_memory.h).

#include "base/expected.h"
#include "base/strong.h"
#include "executor/config_file.h"
#include "protocol/mac.h"

#include <memory>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace luminous_healing::executor {

/// Shared, because an answer is signed with the key that the question was signed with, also after a reload.
using KeyPointer = std::shared_ptr<const protocol::MacKey>;

class Keyring {
public:
    Keyring() = default;
    /// Prepares the keys and wipes their texts.
    [[nodiscard]] static Expected<Keyring> create(CallerKeys&& keys);

    [[nodiscard]] bool knows(const CallerName& caller) const { return keys_.contains(caller); }
    /// The caller's key under which the request has this MAC, or nothing.
    [[nodiscard]] KeyPointer verify(const CallerName& caller, std::string_view request, const protocol::Mac& mac) const;

    struct Match {
        CallerName caller;
        KeyPointer key;
    };
    /// Version 1 names no caller: the one whose key verifies. No key: nobody.
    [[nodiscard]] Match verify_v1(std::string_view id, std::string_view action, std::string_view timestamp,
                                  const protocol::Mac& signature) const;

private:
    std::unordered_map<CallerName, std::vector<KeyPointer>> keys_;
};

}  // namespace luminous_healing::executor
