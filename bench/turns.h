#pragma once
// Several measuring programs take turns, so that all meet the same weather: each does a block of its operations when it
// is told to by a line on standard input, and answers with a line. BENCH_TURNS says how many blocks there are; without
// it there is one, and nobody to wait for.

#include "bench/times.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>

namespace luminous_healing::bench {

class Turns {
public:
    /// Takes standard input and output for itself; what this program starts finds /dev/null there.
    explicit Turns(std::size_t count) : count_(count) {
        if (const char* const turns = std::getenv("BENCH_TURNS")) turns_ = std::strtoul(turns, nullptr, 10);
        if (turns_ > 0 && count % turns_ != 0) give_up("the operations cannot be shared out over that many turns");
        in_ = ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
        out_ = ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
        const int nowhere = ::open("/dev/null", O_RDWR | O_CLOEXEC);
        ::dup2(nowhere, STDIN_FILENO);
        ::dup2(nowhere, STDOUT_FILENO);
    }

    /// Before the operation with this number, from 0: where a block begins, waits for its turn.
    void await(std::size_t number) const {
        if (turns_ == 0 || number % (count_ / turns_) != 0) return;
        if (number > 0) say("\n");
        char turn = 0;
        if (::read(in_, &turn, 1) != 1) std::exit(1);  // whoever gives the turns has given up
    }

    void say(std::string_view line) const {
        if (::write(out_, line.data(), line.size()) != static_cast<ssize_t>(line.size())) std::exit(1);
    }

private:
    std::size_t count_;
    std::size_t turns_ = 0;
    int in_ = -1;
    int out_ = -1;
};

/// Times `operation(i)` for every i, after some that do not count. It is given the number and returns how long it took.
template <class Operation>
void measure(std::size_t warm_up, std::size_t count, const Operation& operation) {
    const Turns turns(count);
    Times times(count);
    for (std::size_t i = 0; i < warm_up + count; ++i) {
        const bool counts = i >= warm_up;
        if (i == 0) turns.await(0);  // the first block begins with what does not count
        else if (i > warm_up) turns.await(i - warm_up);
        const Clock::duration taken = operation(i);
        if (counts) times.add(taken);
    }
    turns.say(times.as_json());
}

/// How long it takes to call it.
template <class Callable>
Clock::duration time_of(const Callable& callable) {
    const auto began = Clock::now();
    callable();
    return Clock::now() - began;
}

}  // namespace luminous_healing::bench
