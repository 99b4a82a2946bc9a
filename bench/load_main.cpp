// bench_load latency|throughput --socket=PATH --callers=FILE --action=NAME [OPTION=VALUE]…: asks, and prints how long
// it took as one line of JSON. Driven by bench/run.py.

#include "base/text.h"
#include "bench/load.h"
#include "bench/times.h"

#include <functional>
#include <map>
#include <string>
#include <string_view>

using namespace luminous_healing;
using namespace luminous_healing::bench;

namespace {

std::size_t number(std::string_view text) {
    const auto value = parse_integer<std::size_t>(text);
    if (!value) give_up(("not a number: " + std::string(text)).c_str());
    return *value;
}

void read_options(int argc, char** argv, LoadOptions& load, FrameOptions& frames) {
    using Text = std::string_view;
    const std::map<Text, std::function<void(Text)>> known{
        {"--socket", [&](Text v) { load.socket = v; }},
        {"--callers", [&](Text v) { frames.callers = v; }},
        {"--action", [&](Text v) { frames.action = v; }},
        {"--parameters", [&](Text v) { frames.parameters = v; }},
        {"--v1", [&](Text) { frames.legacy_v1 = load.connect_each = true; }},
        {"--skip", [&](Text v) { frames.skip = number(v); }},
        {"--count", [&](Text v) { load.count = number(v); }},
        {"--warm-up", [&](Text v) { load.warm_up = number(v); }},
        {"--connect-each", [&](Text) { load.connect_each = true; }},
        {"--expect", [&](Text v) { load.expect = v; }},
        {"--refuse", [&](Text v) { load.refuse = v; }},
        {"--uids", [&](Text v) { load.uids = static_cast<uid_t>(number(v)); }},
        {"--uid-count", [&](Text v) { load.uid_count = number(v); }},
        {"--clients", [&](Text v) { load.clients = number(v); }},
        {"--window", [&](Text v) { load.window = number(v); }},
    };
    for (int i = 2; i < argc; ++i) {
        const Text argument = argv[i];
        const auto equals = argument.find('=');
        const auto option = known.find(argument.substr(0, equals));
        if (option == known.end()) give_up(("unknown option " + std::string(argument)).c_str());
        option->second(equals == Text::npos ? Text() : argument.substr(equals + 1));
    }
}

}  // namespace

int main(int argc, char** argv) {
    const std::string_view mode = argc > 1 ? argv[1] : "";
    LoadOptions load;
    FrameOptions frames;
    read_options(argc, argv, load, frames);
    if (mode == "latency") measure_latency(load, Frames(frames));
    else if (mode == "throughput") measure_throughput(load, Frames(frames));
    else give_up("usage: bench_load latency|throughput OPTION=VALUE…");
    return 0;
}
