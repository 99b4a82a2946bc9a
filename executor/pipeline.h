#pragma once
// The way of a request, from a frame that the gate passed on to a signed answer:
//
//   authenticate -> known before? -> fresh and new -> decide -> record the intent -> run -> record the outcome ->
//   answer
//
// handle() reads as that list. A refusal leaves at its stage with a code and is recorded. Everything that must wait
// for the audit log hangs on Recorder::then().

#include "actions/action.h"
#include "executor/connections.h"
#include "executor/keyring.h"
#include "executor/recorder.h"
#include "executor/runner.h"
#include "policy/config.h"
#include "policy/decide.h"
#include "policy/journal.h"
#include "policy/limiter.h"
#include "protocol/request.h"
#include "protocol/response.h"

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace luminous_healing::executor {

/// What the gate passed on. Nothing of it is proven; the views live as long as handle() runs.
struct SignedFrame {
    bool legacy_v1 = false;
    std::string_view caller;  ///< version 2: who it claims to be from
    protocol::Mac mac;
    std::string_view request;  ///< version 2: the signed bytes
    std::string_view id;       ///< version 1: the signed members …
    std::string_view action;
    std::string_view timestamp;
    std::string_view parameters;  ///< … and the unsigned one
};

/// The configuration and what was prepared from it, replaced as a whole by a reload.
struct Authority {
    std::shared_ptr<const policy::Config> config;
    Keyring keyring;
    std::map<ActionName, std::string> unavailable;  ///< why an enabled action cannot work here
};

/// The identity of this machine and daemon, as requests and answers name it.
struct Host {
    std::string name;
    std::string machine_id;
    std::string boot_id;
};

class Pipeline {
public:
    struct Ports {
        std::function<void(ConnectionId, std::string_view bytes)> send_answer;  ///< the one answer to one frame
        std::function<void(ConnectionId, std::string_view bytes)> send_event;   ///< may be dropped
        /// The `result` object of a status request, as JSON; `detail` is its parameter or empty.
        std::function<std::string(const policy::CallerPolicy&, const std::string& detail)> describe_status;
    };

    Pipeline(Recorder& recorder, Host host, Ports ports)
        : recorder_(recorder), host_(std::move(host)), ports_(std::move(ports)) {}

    void set_runner(Runner& runner) { runner_ = &runner; }
    void set_authority(Authority authority) { authority_ = std::move(authority); }
    void set_shutting_down() { shutting_down_ = true; }

    /// Looks after work that went on while no daemon was there. An intent that nobody may look after any more is
    /// recorded as interrupted.
    void adopt(const audit::StoredRecord& intent);

    /// Before the end: work that outlives us is left to the next daemon, its intent open. A rollback may be what ends
    /// us, and would wait for us for ever.
    void leave_to_successor();

    /// A frame of a connection. Its one answer goes to `send`, now or later.
    void handle(const SignedFrame& frame, ConnectionId id, Connection& connection);

    /// Bytes that are no request: recorded and answered with `bad_request`.
    void refuse_malformed(std::string_view why, ConnectionId id, Connection& connection);

    /// Its end, and with the gate the end of all: nobody is left who waits there for an answer.
    void forget(ConnectionId connection);
    void forget_connections();

    void on_progress(RunId run, protocol::EventKind kind, const std::string& text);
    void on_done(RunId run, const actions::Report& report);

    [[nodiscard]] const Authority& authority() const { return authority_; }
    [[nodiscard]] policy::Limiter& limiter() { return limiter_; }
    [[nodiscard]] policy::Journal& journal() { return journal_; }

private:
    /// A request on its way.
    struct Asked {
        ConnectionId connection;
        std::shared_ptr<ShownPeer> shown;
        protocol::Peer peer;
        bool legacy_v1 = false;
        std::shared_ptr<const policy::Config> config;  // in force when it was asked, also after a reload
        const policy::CallerPolicy* caller = nullptr;  // in `config`, once its key is proven
        KeyPointer key;
        std::string mac_hex;
        protocol::Mac mac;
        protocol::Request request;
        std::string parameters = "{}";
        bool remembered = false;  // its id is in the journal
        BootTime received;
    };

    /// What is left of a request that waits for the answer to the same one: whoever repeats costs little.
    struct Repeat {
        ConnectionId connection;
        bool legacy_v1 = false;
        ActionName action;
        KeyPointer key;
        std::string mac_hex;
    };
    /// One that runs.
    struct Running {
        Asked asked;
        std::optional<OpenIntent> intent;  // none for a plan
        std::string plan;                  // for a plan: the row as JSON, to be completed
        std::optional<std::int64_t> seq;   // for a plan: of its record
        std::int64_t events = 0;
    };
    using Refusal = std::optional<policy::Denial>;

    // The stages, in their order.
    Refusal authenticate(const SignedFrame& frame, Asked& asked);
    Refusal read_request(const SignedFrame& frame, Asked& asked);
    bool answer_again(const Asked& asked);
    Refusal admit(Asked& asked);
    bool answer_own(const Asked& asked);
    tl::expected<policy::Grant, policy::Denial> decide(const Asked& asked);
    void run(Asked asked, policy::Grant grant);
    void plan(const Asked& asked, policy::Grant grant);

    void refuse(Asked asked, const policy::Denial& denial);
    [[nodiscard]] static Job job_of(const Asked& asked, policy::Grant grant);
    void begin(RunId id, const Asked& asked, const policy::Grant& grant, const Expected<void>& ready);
    [[nodiscard]] Asked ask(ConnectionId id, Connection& connection) const;
    void finish_plan(const Running& running, const actions::Report& report);
    /// An answer, ready to be given.
    struct Answer {
        std::string response;  ///< the signed bytes, as they are remembered
        std::string frame;     ///< as they are sent
    };
    /// Completes the response with what every one has.
    [[nodiscard]] static Answer written(const Asked& asked, protocol::Response& response);
    void give(const Asked& asked, const Answer& answer);
    void answer(const Asked& asked, protocol::Response response) { give(asked, written(asked, response)); }
    [[nodiscard]] static Repeat repeat_of(const Asked& asked);
    void send_again(const Repeat& again, std::string_view response);
    void confirm(const Asked& asked);

    [[nodiscard]] policy::Situation situation() const;
    [[nodiscard]] audit::Record record_of(const Asked& asked) const;
    [[nodiscard]] audit::Record record_of_success(const Asked& asked) const;
    [[nodiscard]] static std::string key_of(const Asked& asked);

    Recorder& recorder_;
    Host host_;
    Ports ports_;
    Runner* runner_ = nullptr;
    Authority authority_;
    policy::Limiter limiter_;
    policy::Journal journal_;
    bool shutting_down_ = false;
    RunId next_run_ = 1;
    std::map<RunId, Running> running_;
    std::unordered_map<std::string, std::vector<Repeat>> waiting_;  // same request again, while the first is unanswered
};

}  // namespace luminous_healing::executor
