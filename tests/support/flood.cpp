// Connections and frames in such numbers, and of such kinds, as only an enemy makes. It ends by itself.
//
//   flood SOCKET UID SECONDS frames FILE CONNECTIONS RATE   the bytes of FILE, RATE times a second over all
//   connections,
//                                                           at most 32 unanswered on each; answers are read and counted
//   flood SOCKET UID SECONDS single FILE CONNECTIONS RATE   the same with a connection for each
//   flood SOCKET UID SECONDS connect HELD RATE              RATE new connections a second, at most HELD of them kept
//   flood SOCKET UID SECONDS slow FILE CONNECTIONS          so many at all times: half a frame and silence; one byte a
//                                                           second; the bytes of FILE for ever, no answer read; silence
//   flood SOCKET UID SECONDS mute FILE CONNECTIONS          so many, all of the third kind
//
// TERM ends it early. Then it waits for what is still unanswered and prints one line of JSON:
//   opened       connections made                    refused   of them, those that got one unasked line `busy`
//   dropped      closed by the daemon without a word lost      of them, those with requests unanswered
//   sent         frames written whole, but for those on refused connections
//   codes        the answers by their code           backlog   connect(2) calls that found the queue full

#include <grp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr std::size_t kMaxInFlight = 32;  // of one connection; the daemon reads no further either
constexpr auto kTick = 2ms;
constexpr auto kPatience = 20s;  // for the last answers
constexpr gid_t kNoGroup = 65534;

volatile std::sig_atomic_t told_to_end = 0;

[[noreturn]] void fail(const char* what) {
    std::fprintf(stderr, "flood: %s: %s\n", what, std::strerror(errno));
    std::exit(1);
}

enum class Kind { frames, single, connect, slow, mute };
enum class Manner { half_a_frame, byte_by_byte, never_reading, silent };  // of a slow connection, by its number

struct Connection {
    int fd = -1;
    std::string output;  // not yet taken by the kernel
    std::string input;   // the beginning of a line
    std::size_t written = 0;
    std::size_t in_flight = 0;
    bool answered = false;
    bool ending = false;  // our side is shut down
    Clock::time_point next{};
};

class Flood {
public:
    Flood(char** argv, int argc);
    void run();
    void report() const;

private:
    void open_one(Connection& c);
    void fill(Clock::time_point now);
    void feed(Connection& c, Manner manner, Clock::time_point now);
    void push(Connection& c);
    void write_some(Connection& c);
    void read_some(Connection& c);
    void take_lines(Connection& c);
    void take_answer(Connection& c, std::string_view line);
    void closed(Connection& c);
    [[nodiscard]] bool does_not_read() const { return kind_ == Kind::slow || kind_ == Kind::mute; }
    void drain();

    Kind kind_;
    sockaddr_un address_{};
    std::string frame_;
    Clock::time_point end_;
    double rate_ = 0;
    double owed_ = 0;  // frames or connections that the rate allows now
    Clock::time_point paid_ = Clock::now();
    std::size_t turn_ = 0;
    bool draining_ = false;
    int epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    std::vector<Connection> connections_;
    long opened_ = 0, refused_ = 0, dropped_ = 0, lost_ = 0, sent_ = 0, backlog_ = 0;
    std::map<std::string, long> codes_;
};

std::string contents(const char* path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) fail(path);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

Flood::Flood(char** argv, int argc) {
    const std::string_view name(argv[4]);
    kind_ = name == "frames"    ? Kind::frames
            : name == "single"  ? Kind::single
            : name == "connect" ? Kind::connect
            : name == "mute"    ? Kind::mute
                                : Kind::slow;
    const int wanted = kind_ == Kind::frames || kind_ == Kind::single ? 8 : 7;
    if (argc != wanted) {
        std::fprintf(stderr, "flood: wrong arguments, see the head of flood.cpp\n");
        std::exit(2);
    }
    if (kind_ != Kind::connect) frame_ = contents(argv[5]);
    connections_.resize(std::strtoul(argv[kind_ == Kind::connect ? 5 : 6], nullptr, 10));
    if (!does_not_read()) rate_ = std::strtod(argv[wanted - 1], nullptr);
    address_.sun_family = AF_UNIX;
    std::string_view(argv[1]).copy(address_.sun_path, sizeof address_.sun_path - 1);
    end_ = Clock::now() + std::chrono::milliseconds(std::lround(std::strtod(argv[3], nullptr) * 1000));
    rlimit files{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
    const auto uid = static_cast<uid_t>(std::strtoul(argv[2], nullptr, 10));
    if (uid == ::geteuid()) return;
    if (::setgroups(1, &kNoGroup) != 0 || ::setresgid(kNoGroup, kNoGroup, kNoGroup) != 0) fail("setgroups");
    if (::setresuid(uid, uid, uid) != 0) fail("setresuid");
}

void Flood::open_one(Connection& c) {
    c = Connection();
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) fail("socket");
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&address_), sizeof address_) != 0) {
        ::close(fd);
        if (errno != EAGAIN && errno != ECONNREFUSED && errno != ENOENT) fail("connect");
        ++backlog_;
        return;
    }
    ++opened_;
    c.fd = fd;
    epoll_event event{};
    event.events = does_not_read() ? EPOLLRDHUP : EPOLLIN;
    event.data.ptr = &c;
    if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) fail("epoll_ctl");
}

void Flood::write_some(Connection& c) {
    while (c.written < c.output.size()) {
        const auto n =
            ::send(c.fd, c.output.data() + c.written, c.output.size() - c.written, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n <= 0) break;  // full, or closed: the read finds that out
        c.written += static_cast<std::size_t>(n);
    }
    if (c.written < c.output.size()) return;
    c.output.clear();
    c.written = 0;
}

/// A frame counts as sent when its last byte is.
void Flood::push(Connection& c) {
    if (c.output.empty()) c.output = frame_;
    write_some(c);
    if (!c.output.empty()) return;
    ++sent_;
    ++c.in_flight;
}

void Flood::feed(Connection& c, Manner manner, Clock::time_point now) {
    const std::string_view half = R"({"v":2,"caller":"tester","mac":")";
    switch (manner) {
        case Manner::silent: return;
        case Manner::half_a_frame:
            if (c.next == Clock::time_point()) (void)::send(c.fd, half.data(), half.size(), MSG_NOSIGNAL);
            c.next = now;
            return;
        case Manner::byte_by_byte:
            if (now < c.next) return;
            (void)::send(c.fd, half.data() + c.written % half.size(), 1, MSG_NOSIGNAL);
            ++c.written;
            c.next = now + 1s;
            return;
        case Manner::never_reading:
            for (int i = 0; i < 4; ++i) {
                push(c);
                if (!c.output.empty()) return;
            }
    }
}

/// What this moment allows: new connections, and bytes on those that there are, to each about as many.
void Flood::fill(Clock::time_point now) {
    owed_ = std::min(owed_ + rate_ * std::chrono::duration<double>(now - paid_).count(), std::max(1.0, rate_ / 20));
    paid_ = now;
    const std::size_t count = connections_.size();
    const double share = std::max(1.0, owed_ / static_cast<double>(count));
    const std::size_t most = kind_ == Kind::single ? 1 : kMaxInFlight;
    const std::size_t first = ++turn_;
    for (std::size_t i = 0; i < count; ++i) {
        const std::size_t number = (first + i) % count;
        Connection& c = connections_[number];
        if (c.fd < 0 && now >= c.next && (does_not_read() || owed_ >= 1)) {
            open_one(c);
            owed_ -= kind_ == Kind::connect ? 1 : 0;
        }
        if (c.fd < 0 || kind_ == Kind::connect || c.ending) continue;
        if (does_not_read()) {
            feed(c, kind_ == Kind::mute ? Manner::never_reading : static_cast<Manner>(number % 4), now);
            continue;
        }
        if (!c.output.empty()) push(c);
        for (double given = 0; given < share && owed_ >= 1 && c.in_flight < most && c.output.empty(); ++given) {
            push(c);
            owed_ -= 1;
        }
    }
}

void Flood::take_answer(Connection& c, std::string_view line) {
    const std::string_view mark = R"("code":")";
    const auto at = line.find(mark);
    const auto rest = at == std::string_view::npos ? std::string_view("none\"") : line.substr(at + mark.size());
    const std::string code(rest.substr(0, rest.find('"')));
    if (code == "busy" && !c.answered && line.find(R"("request_id":"unknown")") != std::string_view::npos) {
        ++refused_;  // and nothing that was written to it has been read
        sent_ -= static_cast<long>(c.in_flight);
        c.in_flight = 0;
    } else {
        ++codes_[code];
        if (c.in_flight > 0) --c.in_flight;
    }
    c.answered = true;
    if (kind_ != Kind::single || c.ending) return;
    c.ending = true;
    ::shutdown(c.fd, SHUT_WR);
}

void Flood::take_lines(Connection& c) {
    std::size_t from = 0;
    for (auto end = c.input.find('\n'); end != std::string::npos; end = c.input.find('\n', from)) {
        take_answer(c, std::string_view(c.input).substr(from, end - from));
        from = end + 1;
    }
    c.input.erase(0, from);
}

void Flood::closed(Connection& c) {
    if (c.in_flight > 0) ++lost_;
    if (!c.answered && !c.ending) ++dropped_;
    ::close(c.fd);
    c = Connection();
    if (does_not_read()) c.next = Clock::now() + 1s;
}

void Flood::read_some(Connection& c) {
    static std::array<char, 65536> buffer;
    const auto n = ::recv(c.fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) return closed(c);
    c.input.append(buffer.data(), static_cast<std::size_t>(n));
    take_lines(c);
}

/// Nothing more is asked; each connection is closed by the daemon when it has answered everything.
void Flood::drain() {
    for (auto& c : connections_) {
        if (c.fd < 0) continue;
        if (!draining_ && does_not_read()) {
            epoll_event event{};
            event.events = EPOLLIN;
            event.data.ptr = &c;
            ::epoll_ctl(epoll_, EPOLL_CTL_MOD, c.fd, &event);
        }
        if (!c.output.empty()) push(c);
        if (!c.output.empty() || c.ending) continue;
        c.ending = true;
        ::shutdown(c.fd, SHUT_WR);
    }
    draining_ = true;
}

void Flood::run() {
    std::array<epoll_event, 256> events{};
    while (true) {
        const auto now = Clock::now();
        if (draining_ || told_to_end != 0 || now >= end_) {
            if (!draining_) end_ = now;
            drain();
            const bool all_closed =
                std::all_of(connections_.begin(), connections_.end(), [](const auto& c) { return c.fd < 0; });
            if (all_closed || now > end_ + kPatience) return;
        } else {
            fill(now);
        }
        const int n = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), kTick.count());
        for (int i = 0; i < n; ++i) {
            auto& c = *static_cast<Connection*>(events[static_cast<std::size_t>(i)].data.ptr);
            if (c.fd >= 0) read_some(c);
        }
    }
}

void Flood::report() const {
    std::size_t unanswered = 0;
    for (const auto& c : connections_) unanswered += c.in_flight;
    std::printf(
        R"({"opened":%ld,"refused":%ld,"dropped":%ld,"lost":%ld,"sent":%ld,"unanswered":%zu,"backlog":%ld,"codes":{)",
        opened_, refused_, dropped_, lost_, sent_, unanswered, backlog_);
    const char* comma = "";
    for (const auto& [code, count] : codes_) {
        std::printf("%s\"%s\":%ld", comma, code.c_str(), count);
        comma = ",";
    }
    std::printf("}}\n");
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 7) {
        std::fprintf(stderr, "flood: see the head of flood.cpp for its arguments\n");
        return 2;
    }
    struct sigaction end {};
    end.sa_handler = [](int) { told_to_end = 1; };
    ::sigaction(SIGTERM, &end, nullptr);
    Flood flood(argv, argc);
    flood.run();
    flood.report();
    return 0;
}
