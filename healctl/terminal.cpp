#include "healctl/terminal.h"

#include "base/text.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace luminous_healing::healctl {
namespace {

std::string variable(const char* name) {
    const char* const value = std::getenv(name);
    return value != nullptr ? value : "";
}

/// The first of these that is set decides about characters, locale(7).
bool locale_is_utf8() {
    for (const char* const name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
        const std::string value = variable(name);
        if (!value.empty())
            return value.find("UTF-8") != std::string::npos || value.find("utf8") != std::string::npos ||
                   value.find("UTF8") != std::string::npos || value.find("utf-8") != std::string::npos;
    }
    return false;
}

std::size_t terminal_width() {
    winsize size{};
    return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : 80U;
}

const char* escape_of(Tone tone) {
    switch (tone) {
        case Tone::good: return "\033[32m";
        case Tone::bad: return "\033[31m";
        case Tone::warning: return "\033[33m";
        case Tone::dim: return "\033[2m";
        case Tone::bold: return "\033[1m";
    }
    return "";
}

void write_to(std::FILE* stream, std::string_view text) { (void)std::fwrite(text.data(), 1, text.size(), stream); }

}  // namespace

Look Look::of(int fd, bool no_color) {
    Look look;
    look.is_terminal = ::isatty(fd) == 1;
    look.colours = look.is_terminal && !no_color && variable("NO_COLOR").empty() && variable("TERM") != "dumb";
    look.utf8 = locale_is_utf8();
    return look;
}

std::string Look::paint(Tone tone, std::string_view text) const {
    return colours ? escape_of(tone) + std::string(text) + "\033[0m" : std::string(text);
}

std::string Look::mark(bool passed) const {
    return passed ? paint(Tone::good, utf8 ? "✓" : "ok") : paint(Tone::bad, utf8 ? "✗" : "no");
}

void print(std::string_view text) { write_to(stdout, text); }

bool end_output() { return std::fflush(stdout) == 0 && std::ferror(stdout) == 0; }

void complain(std::string_view text) { note("healctl: " + std::string(text) + "\n"); }

void note(std::string_view text) { write_to(stderr, text); }

void LiveLine::show(std::string_view text) {
    text = trim(text);
    if (!look_.is_terminal) return note(printable_line(text, 500) + "\n");
    // One byte is at most one column, so this never wraps: a wrapped line could not be erased.
    note("\r\033[K" + look_.paint(Tone::dim, printable_line(text, terminal_width() - 1)));
    shown_ = true;
}

void LiveLine::erase() {
    if (shown_) note("\r\033[K");
    shown_ = false;
}

}  // namespace luminous_healing::healctl
