#include "protocol/secret_memory.h"

#include <openssl/crypto.h>
#include <sys/mman.h>

#include <array>
#include <bit>
#include <cstddef>
#include <cstring>

namespace luminous_healing::protocol {
namespace {

constexpr std::size_t kRegion = 256 * 1024;  // bytes asked of the kernel at a time
constexpr std::size_t kSmallest = 32;        // size classes are powers of two from here on
constexpr std::size_t kHeader = 16;          // keeps what follows aligned for any type

struct Free {
    Free* next;
};

/// Free lists by power of two over mapped regions. Nothing is given back: a daemon's keys come and go with reloads
/// only. Single-threaded like the daemon.
struct Arena {
    std::array<Free*, 32> free{};
    char* rest = nullptr;
    std::size_t rest_size = 0;
    bool locked = true;
} arena;

char* map_region(std::size_t size) {
    void* const region = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (region == MAP_FAILED) return nullptr;
    // Without these two the promise above is void, so no memory is better than such memory.
    if (::madvise(region, size, MADV_DONTDUMP) != 0 || ::madvise(region, size, MADV_WIPEONFORK) != 0) {
        ::munmap(region, size);
        return nullptr;
    }
    // Each page from its first use on: most of a region is never used, and need not be in memory.
    if (::mlock2(region, size, MLOCK_ONFAULT) != 0) arena.locked = false;
    return static_cast<char*>(region);
}

char* carve(std::size_t size) {
    if (size > arena.rest_size) {
        const std::size_t region = size > kRegion ? size : kRegion;
        char* const fresh = map_region(region);
        if (fresh == nullptr) return nullptr;
        arena.rest = fresh;  // what was left of the old region stays unused; at most one block's worth
        arena.rest_size = region;
    }
    char* const block = arena.rest;
    arena.rest += size;
    arena.rest_size -= size;
    return block;
}

std::size_t class_of(std::size_t size) {
    const std::size_t with_header = size + kHeader;
    return static_cast<std::size_t>(std::bit_width((with_header < kSmallest ? kSmallest : with_header) - 1));
}

std::size_t& class_stored_in(void* user) { return *reinterpret_cast<std::size_t*>(static_cast<char*>(user) - kHeader); }

void* allocate(std::size_t size, const char* /*file*/, int /*line*/) {
    if (size == 0 || size > (std::size_t{1} << 30U)) return nullptr;
    const std::size_t size_class = class_of(size);
    char* block = reinterpret_cast<char*>(arena.free.at(size_class));
    if (block != nullptr) arena.free.at(size_class) = arena.free.at(size_class)->next;
    else block = carve(std::size_t{1} << size_class);
    if (block == nullptr) return nullptr;
    void* const user = block + kHeader;
    class_stored_in(user) = size_class;
    return user;
}

void release(void* user, const char* /*file*/, int /*line*/) {
    if (user == nullptr) return;
    const std::size_t size_class = class_stored_in(user);
    char* const block = static_cast<char*>(user) - kHeader;
    OPENSSL_cleanse(block, std::size_t{1} << size_class);
    auto* const entry = reinterpret_cast<Free*>(block);
    entry->next = arena.free.at(size_class);
    arena.free.at(size_class) = entry;
}

void* reallocate(void* user, std::size_t size, const char* file, int line) {
    if (user == nullptr) return allocate(size, file, line);
    if (size == 0) {
        release(user, file, line);
        return nullptr;
    }
    const std::size_t capacity = (std::size_t{1} << class_stored_in(user)) - kHeader;
    if (size <= capacity) return user;
    void* const grown = allocate(size, file, line);
    if (grown == nullptr) return nullptr;
    std::memcpy(grown, user, capacity);
    release(user, file, line);
    return grown;
}

}  // namespace

Expected<void> install_secret_memory() {
    if (CRYPTO_set_mem_functions(allocate, reallocate, release) != 1)
        return fail("OpenSSL was used before its memory could be protected");
    return {};
}

bool secret_memory_is_locked() { return arena.locked; }

}  // namespace luminous_healing::protocol
