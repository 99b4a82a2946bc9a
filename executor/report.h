#pragma once
// What a worker says to the executor through its pipe. The worker holds a privilege and may have been subverted, so
// its words are read with the same suspicion as the gate's: bounded, and never trusted to be JSON.

#include "actions/action.h"
#include "executor/bytes.h"

#include <optional>
#include <string>
#include <string_view>

namespace luminous_healing::executor {

inline constexpr std::size_t kMaxReport = 64 * 1024;  // bytes of one message

struct WorkerMessage {
    enum class Kind : char {
        progress = 'p',  ///< text
        setup = 's',     ///< text: the worker could not be confined or its program not started; nothing ran
        refused = 'd',   ///< text: what the bus proxy beside the worker did not let pass
        report = 'r',    ///< the end of a built-in action
    };
    Kind kind = Kind::progress;
    std::string text;
    actions::Report report;
};

/// Inline, because the launcher says why it gave up and knows no actions.
[[nodiscard]] inline std::string encode_message(WorkerMessage::Kind kind, std::string_view payload) {
    ByteWriter writer;
    writer.number(kind);
    writer.text(payload);
    return writer.take();
}

[[nodiscard]] inline std::string encode_text(WorkerMessage::Kind kind, std::string_view text) {
    return encode_message(kind, text.substr(0, 4096));
}
[[nodiscard]] std::string encode_report(const actions::Report& report);

/// Collects what was read from the pipe and gives out whole messages.
class ReportReader {
public:
    void feed(std::string_view bytes) { buffer_ += bytes; }
    /// The next message; nothing when more bytes are needed. After broken() nothing more comes.
    [[nodiscard]] std::optional<WorkerMessage> next();
    [[nodiscard]] bool broken() const noexcept { return broken_; }

private:
    std::string buffer_;
    bool broken_ = false;
};

}  // namespace luminous_healing::executor
