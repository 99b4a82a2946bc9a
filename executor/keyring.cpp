#include "executor/keyring.h"

namespace luminous_healing::executor {

Expected<Keyring> Keyring::create(CallerKeys&& keys) {
    Keyring ring;
    std::optional<Error> problem;
    for (auto& [caller, texts] : keys) {
        for (auto& text : texts) {
            auto key = protocol::MacKey::create(text);
            protocol::wipe(text);
            if (key) ring.keys_[caller].push_back(std::make_shared<const protocol::MacKey>(std::move(*key)));
            else problem = key.error();
        }
    }
    if (problem) return tl::unexpected(*problem);
    return ring;
}

KeyPointer Keyring::verify(const CallerName& caller, std::string_view request, const protocol::Mac& mac) const {
    const auto found = keys_.find(caller);
    if (found == keys_.end()) return nullptr;
    for (const auto& key : found->second) {
        if (protocol::request_mac(*key, request).equals(mac)) return key;
    }
    return nullptr;
}

Keyring::Match Keyring::verify_v1(std::string_view id, std::string_view action, std::string_view timestamp,
                                  const protocol::Mac& signature) const {
    for (const auto& [caller, keys] : keys_) {
        for (const auto& key : keys) {
            if (protocol::request_mac_v1(*key, id, action, timestamp).equals(signature)) return {caller, key};
        }
    }
    return {};
}

}  // namespace luminous_healing::executor
