#pragma once
// Signed requests, made before anything is timed. Every one has an id of its own, so none is answered from memory.

#include "protocol/mac.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace luminous_healing::bench {

struct FrameOptions {
    std::string callers;  ///< file of lines "NAME KEY"; requests come from them in turn
    std::string action;   ///< or "denial": three kinds of refused requests in turn (see frames.cpp)
    std::string parameters = "{}";
    bool legacy_v1 = false;
    std::size_t skip = 0;  ///< requests of this series that an earlier program has sent
};

class Frames {
public:
    explicit Frames(FrameOptions options);

    /// The number-th request of the series, with the present time. Version 2 ends with a newline.
    [[nodiscard]] std::string make(std::size_t number) const { return make(number, options_.parameters); }
    [[nodiscard]] std::string make(std::size_t number, const std::string& parameters) const;
    [[nodiscard]] const FrameOptions& options() const { return options_; }

private:
    struct Caller {
        std::string name;
        protocol::MacKey key;
    };
    [[nodiscard]] std::string sign_v1(const Caller& caller, const std::string& id, const std::string& parameters) const;

    FrameOptions options_;
    std::vector<Caller> callers_;
    std::string series_;  // first half of every id
};

}  // namespace luminous_healing::bench
