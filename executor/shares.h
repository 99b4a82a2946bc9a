#pragma once
// How much of the executor the connections of one uid may claim together, and whose turn it is. Without it a uid with
// 32 connections has a thousand requests waiting in front of everybody else's.

#include "protocol/limits.h"

#include "executor/connections.h"

#include <cstdint>
#include <deque>
#include <optional>
#include <unordered_map>

namespace luminous_healing::executor {

class Shares {
public:
    /// May a connection of that uid have one request more? While others wait only the one whose turn it is. Root
    /// always.
    [[nodiscard]] bool admits(std::uint64_t uid, bool its_turn) const;

    void take(std::uint64_t uid);
    void give_back(std::uint64_t uid, std::size_t count);

    /// At the end of its uid's line. A connection stands there once at most; that is the caller's to see to.
    void wait(std::uint64_t uid, ConnectionId id);

    /// Takes the first of the line, if there is room for a request of it. It may have been closed meanwhile.
    [[nodiscard]] std::optional<ConnectionId> next(std::uint64_t uid);

private:
    struct Share {
        std::size_t unanswered = 0;
        std::deque<ConnectionId> waiting;
    };
    void forget_if_unused(std::uint64_t uid);

    std::unordered_map<std::uint64_t, Share> shares_;
};

}  // namespace luminous_healing::executor
