#pragma once
// Cuts a byte stream into frames: one JSON object each, white space between them ignored. Knows nothing of JSON but
// strings, escapes and brackets; whether a frame is valid JSON is the envelope's business.

#include "protocol/limits.h"

#include <optional>
#include <string>
#include <string_view>

namespace luminous_healing::protocol {

class FrameSplitter {
public:
    enum class State {
        incomplete,  ///< more bytes are needed
        frame,       ///< next() has a frame
        oversize,    ///< a frame went past kMaxFrame: nothing after it can be trusted, close the connection
        garbage,     ///< a frame does not begin with '{': likewise
    };

    /// Adds received bytes. They are kept until the frames made of them are taken.
    void feed(std::string_view bytes);

    /// Scans on and says what is there. Cheap when nothing new was fed.
    [[nodiscard]] State poll();

    /// The frame that poll() announced, taken out; the bytes are there until the next feed().
    [[nodiscard]] std::string_view next();
    [[nodiscard]] std::string take() { return std::string(next()); }

    /// Is a frame begun and not complete?
    [[nodiscard]] bool mid_frame() const noexcept { return depth_ > 0; }
    [[nodiscard]] std::size_t buffered() const noexcept { return buffer_.size() - begin_; }

private:
    void skip_space();
    [[nodiscard]] std::size_t scan(std::string_view bytes);

    std::string buffer_;
    std::size_t begin_ = 0;    // of the frame at hand in buffer_; what is before it has been taken
    std::size_t scanned_ = 0;  // bytes of that frame already looked at
    std::size_t depth_ = 0;
    bool in_string_ = false;
    bool escaped_ = false;
};

}  // namespace luminous_healing::protocol
