#pragma once
// What a person sees. Data goes to standard output, everything said about it to standard error; colours and the live
// line only where a terminal is.

#include <string>
#include <string_view>

namespace luminous_healing::healctl {

enum class Tone { good, bad, warning, dim, bold };

/// How text may look on one of the two streams.
struct Look {
    bool is_terminal = false;
    bool colours = false;
    bool utf8 = false;

    /// Of STDOUT_FILENO or STDERR_FILENO. Colours need a terminal, no --no-color, no $NO_COLOR (https://no-color.org)
    /// and a $TERM other than "dumb"; UTF-8 needs a locale that says so.
    [[nodiscard]] static Look of(int fd, bool no_color);

    [[nodiscard]] std::string paint(Tone tone, std::string_view text) const;
    /// "✓" or "✗", "ok" or "no" without UTF-8, in its colour.
    [[nodiscard]] std::string mark(bool passed) const;
};

/// Writes to standard output; end_output() tells whether all of it got there.
void print(std::string_view text);
[[nodiscard]] bool end_output();

/// "healctl: TEXT" on standard error.
void complain(std::string_view text);
/// The text as it is on standard error.
void note(std::string_view text);

/// What is going on, on standard error: on a terminal one line that is written over and erased at the end, elsewhere
/// one line each.
class LiveLine {
public:
    explicit LiveLine(Look look) : look_(look) {}
    ~LiveLine() { erase(); }
    LiveLine(const LiveLine&) = delete;
    LiveLine& operator=(const LiveLine&) = delete;

    void show(std::string_view text);
    void erase();

private:
    Look look_;
    bool shown_ = false;
};

}  // namespace luminous_healing::healctl
