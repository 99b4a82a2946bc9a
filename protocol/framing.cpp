#include "protocol/framing.h"

namespace luminous_healing::protocol {
namespace {

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

}  // namespace

void FrameSplitter::feed(std::string_view bytes) { buffer_ += bytes; }

void FrameSplitter::scan(char c) {
    if (in_string_) {
        if (escaped_) escaped_ = false;
        else if (c == '\\') escaped_ = true;
        else if (c == '"') in_string_ = false;
        return;
    }
    if (c == '"') in_string_ = true;
    else if (c == '{' || c == '[') ++depth_;
    else if (c == '}' || c == ']') --depth_;
}

FrameSplitter::State FrameSplitter::poll() {
    if (depth_ == 0 && scanned_ > 0) return State::frame;  // announced before and not taken yet
    if (depth_ == 0) {
        std::size_t skip = 0;
        while (skip < buffer_.size() && is_space(buffer_[skip])) ++skip;
        buffer_.erase(0, skip);
        if (buffer_.empty()) return State::incomplete;
        if (buffer_[0] != '{') return State::garbage;
    }
    while (scanned_ < buffer_.size()) {
        if (scanned_ >= kMaxFrame) return State::oversize;
        scan(buffer_[scanned_++]);
        if (depth_ == 0) return State::frame;
    }
    return State::incomplete;
}

std::string FrameSplitter::take() {
    std::string frame = buffer_.substr(0, scanned_);
    buffer_.erase(0, scanned_);
    scanned_ = 0;
    return frame;
}

}  // namespace luminous_healing::protocol
