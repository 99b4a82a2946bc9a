#include "protocol/secret_memory.h"

#include "base/file.h"
#include "protocol/mac.h"

#include <doctest/doctest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <sstream>
#include <vector>

using namespace luminous_healing;
using namespace luminous_healing::protocol;

namespace {

// Before main(), and so before any test uses OpenSSL: all tests of this program run on secret memory, as the daemon.
const bool kInstalled = install_secret_memory().has_value();

#ifndef LUMINOUS_SANITIZED  // its shadow memory is far too large to search
struct Region {
    std::uintptr_t begin, end;
    std::string flags;  // "VmFlags:" of /proc/self/smaps
};

/// The private writable memory of this process.
std::vector<Region> writable_regions() {
    std::vector<Region> regions;
    std::istringstream smaps(read_file("/proc/self/smaps", 16U << 20U).value_or(""));
    bool writable = false;
    for (std::string line; std::getline(smaps, line);) {
        unsigned long begin = 0;
        unsigned long end = 0;
        char mode[5] = "";
        if (std::sscanf(line.c_str(), "%lx-%lx %4s", &begin, &end, mode) == 3) {
            writable = std::string_view(mode) == "rw-p";
            if (writable) regions.push_back({begin, end, {}});
        } else if (writable && line.rfind("VmFlags:", 0) == 0) {
            regions.back().flags = line + " ";
        }
    }
    return regions;
}

/// Where the text lies whose bytes are those of `masked`, inverted: so that the search itself is no place of it.
std::vector<std::uintptr_t> places_of(const std::string& masked, const std::vector<Region>& regions) {
    std::vector<std::uintptr_t> places;
    for (const auto& region : regions) {
        const auto* const first = reinterpret_cast<const char*>(region.begin);
        const auto* const last = reinterpret_cast<const char*>(region.end) - masked.size();
        for (const char* at = first; at <= last; ++at) {
            std::size_t same = 0;
            while (same < masked.size() && at[same] == static_cast<char>(~masked[same])) ++same;
            if (same == masked.size()) places.push_back(reinterpret_cast<std::uintptr_t>(at));
        }
    }
    return places;
}

bool has_flag(const Region& region, const char* flag) {
    return region.flags.find(std::string(" ") + flag + " ") != std::string::npos;
}

#endif

}  // namespace

TEST_CASE("secret memory is installed when nothing has used OpenSSL yet") { CHECK(kInstalled); }

#ifndef LUMINOUS_SANITIZED
TEST_CASE("A39: a key lies only in memory that no core file has and that every child finds empty") {
    std::string text = random_bytes(32);
    std::string masked(text.size(), '\0');
    std::transform(text.begin(), text.end(), masked.begin(), [](char c) { return static_cast<char>(~c); });
    const auto key = MacKey::create(text);
    REQUIRE(key);
    wipe(text);
    const auto regions = writable_regions();
    const auto places = places_of(masked, regions);
    REQUIRE_FALSE(places.empty());
    for (const auto place : places) {
        const auto region = std::find_if(regions.begin(), regions.end(),
                                         [&](const Region& r) { return r.begin <= place && place < r.end; });
        REQUIRE(region != regions.end());
        CAPTURE(region->flags);
        CHECK(has_flag(*region, "dd"));  // MADV_DONTDUMP
        CHECK(has_flag(*region, "wf"));  // MADV_WIPEONFORK
        CHECK(has_flag(*region, "lo") == secret_memory_is_locked());
    }
    const pid_t child = ::fork();
    if (child == 0) {
        bool zero = true;
        for (const auto place : places) {
            const auto* const bytes = reinterpret_cast<const char*>(place);
            zero = zero && std::all_of(bytes, bytes + masked.size(), [](char c) { return c == '\0'; });
        }
        ::_exit(!zero ? 1 : places_of(masked, writable_regions()).empty() ? 0 : 2);
    }
    int status = -1;
    ::waitpid(child, &status, 0);
    CHECK(status == 0);
    // The parent's own key is untouched by that.
    CHECK(key->sign({"x"}).equals(key->sign({"x"})));
}
#endif
