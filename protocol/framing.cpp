#include "protocol/framing.h"

#include <algorithm>
#include <utility>

namespace luminous_healing::protocol {
namespace {

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

}  // namespace

void FrameSplitter::feed(std::string_view bytes) {
    buffer_.erase(0, std::exchange(begin_, 0));
    buffer_ += bytes;
}

/// How many bytes belong to the frame: all of them, or up to the one that ends it.
std::size_t FrameSplitter::scan(std::string_view bytes) {
    const char* at = bytes.data();
    const char* const end = at + bytes.size();
    for (; at != end; ++at) {
        if (in_string_) {  // most of the bytes: nothing but the end of the string matters
            if (!escaped_) at = std::find_if(at, end, [](char c) { return c == '"' || c == '\\'; });
            if (at == end) break;
            if (escaped_) escaped_ = false;
            else if (*at == '\\') escaped_ = true;
            else in_string_ = false;
        } else if (*at == '"') {
            in_string_ = true;
        } else if (*at == '{' || *at == '[') {
            ++depth_;
        } else if ((*at == '}' || *at == ']') && --depth_ == 0) {
            return static_cast<std::size_t>(at + 1 - bytes.data());
        }
    }
    return bytes.size();
}

void FrameSplitter::skip_space() {
    while (begin_ < buffer_.size() && is_space(buffer_[begin_])) ++begin_;
}

FrameSplitter::State FrameSplitter::poll() {
    if (depth_ == 0 && scanned_ > 0) return State::frame;  // announced before and not taken yet
    if (depth_ == 0) {
        skip_space();
        if (buffered() == 0) return State::incomplete;
        if (buffer_[begin_] != '{') return State::garbage;
    }
    const auto unseen = std::string_view(buffer_).substr(begin_ + scanned_);
    scanned_ += scan(unseen.substr(0, kMaxFrame - scanned_));
    if (depth_ == 0) return State::frame;
    return scanned_ >= kMaxFrame && buffered() > scanned_ ? State::oversize : State::incomplete;
}

std::string_view FrameSplitter::next() {
    const auto frame = std::string_view(buffer_).substr(begin_, scanned_);
    begin_ += std::exchange(scanned_, 0);
    return frame;
}

}  // namespace luminous_healing::protocol
