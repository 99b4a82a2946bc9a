"""memory_search.py KEY-FILE PID: which forms of the key lie in the memory of that process, one a line.

The key itself, its two padded blocks of HMAC (RFC 2104), and the SHA-256 states after these blocks, in both byte orders.
"""

import re
import struct
import sys

PRIMES = [n for n in range(2, 312) if all(n % d for d in range(2, int(n ** 0.5) + 1))]


def root_bits(prime, power):
    """The first 32 bits of the fraction of a root, exactly."""
    low, high = 0, 1 << 40
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle ** power <= prime << (32 * power) else (low, middle)
    return low & 0xFFFFFFFF


INITIAL = [root_bits(p, 2) for p in PRIMES[:8]]
CONSTANTS = [root_bits(p, 3) for p in PRIMES[:64]]


def rotate(word, count):
    return (word >> count | word << (32 - count)) & 0xFFFFFFFF


def state_after(block):
    words = list(struct.unpack(">16I", block))
    for i in range(16, 64):
        s0 = rotate(words[i - 15], 7) ^ rotate(words[i - 15], 18) ^ words[i - 15] >> 3
        s1 = rotate(words[i - 2], 17) ^ rotate(words[i - 2], 19) ^ words[i - 2] >> 10
        words.append((words[i - 16] + s0 + words[i - 7] + s1) & 0xFFFFFFFF)
    a, b, c, d, e, f, g, h = INITIAL
    for i in range(64):
        s1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)
        t1 = (h + s1 + (e & f ^ ~e & g) + CONSTANTS[i] + words[i]) & 0xFFFFFFFF
        t2 = ((rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + (a & b ^ a & c ^ b & c)) & 0xFFFFFFFF
        a, b, c, d, e, f, g, h = (t1 + t2) & 0xFFFFFFFF, a, b, c, (d + t1) & 0xFFFFFFFF, e, f, g
    return [(x + y) & 0xFFFFFFFF for x, y in zip(INITIAL, (a, b, c, d, e, f, g, h))]


def forms(key):
    yield "key", key
    yield "key in binary", bytes.fromhex(key.decode())
    block = key.ljust(64, b"\0")
    for name, pad in (("inner", 0x36), ("outer", 0x5C)):
        padded = bytes(byte ^ pad for byte in block)
        yield name + " block", padded
        state = state_after(padded)
        yield name + " state", struct.pack("=8I", *state)
        yield name + " state as hash", struct.pack(">8I", *state)


def mappings_of(pid):
    """(its VmFlags of proc(5), its bytes) for each readable mapping of a process."""
    with open(f"/proc/{pid}/smaps", encoding="utf-8", errors="replace") as file:
        found = re.findall(r"^([0-9a-f]+)-([0-9a-f]+) r\S+ \S+ \S+ \d+ *(.*)\n(?:\w+:.*\n)*?VmFlags:(.*)$", file.read(),
                           re.MULTILINE)
    with open(f"/proc/{pid}/mem", "rb") as memory:
        for begin, end, name, flags in found:
            if name.startswith(("[vvar", "[vsyscall")):
                continue
            try:
                memory.seek(int(begin, 16))
                yield flags.split(), memory.read(int(end, 16) - int(begin, 16))
            except OSError:
                sys.exit(f"cannot read {begin}-{end} {name}")


def found_in(pid, key):
    """{form: the VmFlags of each mapping that holds it}"""
    mappings = list(mappings_of(pid))
    if not mappings:
        sys.exit("nothing could be read")
    found = {form: [flags for flags, content in mappings if wanted in content] for form, wanted in forms(key)}
    return {form: flags for form, flags in found.items() if flags}


if __name__ == "__main__":
    with open(sys.argv[1], "rb") as key_file:
        KEY = key_file.read().strip()
    for FORM in found_in(int(sys.argv[2]), KEY):
        print(FORM)
