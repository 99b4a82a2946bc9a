#pragma once
// Tells the log's head, {seq, chain}, to somebody else, so that cutting the log's end off does not go unseen
// (audit/verify.h): to the journal always, and to audit.witness when it is configured, a command that is given the
// head as SEQ:CHAIN. Nothing waits for it: the log is evidence without a witness too, only not of its own length.

#include "audit/chain.h"
#include "executor/event_loop.h"
#include "executor/seccomp.h"
#include "executor/worker.h"

#include <optional>
#include <string>
#include <vector>

namespace luminous_healing::executor {

class Witness {
public:
    /// `launcher`: an open descriptor of it, not owned. `hidden`: folders that the command does not read.
    Witness(EventLoop& loop, int launcher, std::vector<std::string> hidden)
        : loop_(loop), launcher_(launcher), hidden_(std::move(hidden)) {}
    ~Witness();
    Witness(const Witness&) = delete;
    Witness& operator=(const Witness&) = delete;

    /// The configured command; empty for none.
    void set_command(std::vector<std::string> command) { command_ = std::move(command); }

    /// Says the head. While a command still runs the newest head waits for its end.
    void tell(const audit::Head& head, std::string_view occasion);

private:
    void start(const std::string& head);
    [[nodiscard]] Expected<Worker> start_worker(const std::string& head);
    void on_exit();
    void end(bool told, const std::string& how);

    EventLoop& loop_;
    int launcher_;
    std::vector<std::string> hidden_;
    std::vector<std::string> command_;
    std::optional<FilterProgram> filter_;
    std::optional<Worker> running_;
    std::string telling_;
    std::string next_;
    EventSource exit_io_;
    EventSource timer_;
};

}  // namespace luminous_healing::executor
