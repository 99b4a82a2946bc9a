#!/usr/bin/env python3
"""Writes requests.json anew: 200 requests that every client must sign so that the daemon understands the same.

Each has the description of a request, its parameters as JSON text, and, for the exact text in `bytes`, the MAC. Always
writes the same file; run it only to change what is in it. Standard library only, and nothing of the clients.
"""

import hashlib
import hmac
import json
import os
import random

KEY = "7e5f0c7d2f7b4a5e9b1c3d8a6f40112233445566778899aabbccddeeff001122"
CALLER = "tester"
ODD = ["", " ", "nginx", "nginx.service", "a b", "tab\there", "line\nbreak", "\r\n", "\0", "\x07\x1b[31m", "\x7f",
       '"quoted"', "back\\slash", "\\u0041", "'; reboot #", "$(reboot)", "`reboot`", "%s%n", "{name}", "</script>", "-rf",
       "--help", "null", "true", "007", "ä", "Größe", "naïve", "日本語", "Ελληνικά", "עברית", "العربية", "e\u0301",
       "\u00e9", "😀", "👩‍👩‍👧", "\U0010ffff", "\u2028\u2029", "\ufeffbom", "\ufffe", "\u200b", "x" * 1000, "ü" * 300, "\"" * 64]
NUMBERS = [0, 1, -1, 42, 2**31 - 1, 2**31, 2**32, 2**53, 2**53 + 1, -2**53 - 1, 2**63 - 1, -2**63, 2**63, 2**64 - 1,
           2**64, 10**30, -10**40 + 7, 123456789012345678901234567890]
FRACTIONS = ["0.1", "-0.5", "1e3", "1E-7", "3.141592653589793238462643383279", "1.0", "-0.0", "9007199254740993.0"]


def any_value(rng, depth):
    kind = rng.randrange(9 if depth else 7)
    if kind < 3:
        return rng.choice(ODD)
    if kind < 5:
        return rng.choice(NUMBERS)
    if kind == 5:
        return rng.choice([True, False, None])
    if kind == 6:
        return {"fraction": float(rng.choice(FRACTIONS))}
    if kind == 7:
        return [any_value(rng, depth - 1) for _ in range(rng.randrange(5))]
    return {rng.choice(ODD) + str(n): any_value(rng, depth - 1) for n in range(rng.randrange(4))}


def parameters(rng, number):
    if number < len(ODD):
        return {"text": ODD[number]}
    if number < len(ODD) + len(NUMBERS):
        return {"number": NUMBERS[number - len(ODD)]}
    if number == 70:
        nested = "bottom"
        for _ in range(14):
            nested = {"in": [nested]}
        return {"deep": nested}
    if number == 71:
        return {f"p{n}": n for n in range(300)}
    names = [rng.choice(ODD) + str(n) if number >= 180 else f"name{n}_{rng.randrange(10)}-x"
             for n in range(rng.randrange(5))]
    return {name: any_value(rng, 3) for name in names}


def text_of(rng, found):
    """The same value, written in one of the ways that JSON has for it."""
    return json.dumps(found, ensure_ascii=rng.random() < 0.5,
                      separators=rng.choice([(",", ":"), (", ", ": "), (" ,", " :\t")]))


def request(rng, number):
    made = {"id": rng.choice(["vector-%d", "v:%d", "%032x", "A.b_c-%d"]) % number,
            "action": rng.choice(["restart_service", "kill_process", "no-such.action:1", "x" * 64]),
            "parameters": text_of(rng, parameters(rng, number)),
            "timestamp": rng.choice(["2025-01-01T00:00:00Z", "2025-11-21T10:00:00.123456Z", "2025-11-21T12:30:00+02:00"])}
    for name, choices in (("mode", ["plan"]), ("audience", ["host-1", "ä.example"]), ("deadline_ms", [1, 86400000]),
                          ("stream", [True]), ("reason", [t for t in ODD if len(t.encode()) <= 512])):
        if rng.random() < 0.25:
            made[name] = rng.choice(choices)
    members = [f"{json.dumps(name)}:{value if name == 'parameters' else json.dumps(value, ensure_ascii=False)}"
               for name, value in made.items()]
    rng.shuffle(members)
    made["bytes"] = "{" + ",".join(members) + "}"
    signed = b"luminous-healing/2 request\n" + made["bytes"].encode()
    made["mac"] = hmac.new(KEY.encode(), signed, hashlib.sha256).hexdigest()
    return made


def main():
    rng = random.Random(20261121)
    requests = [request(rng, number) for number in range(200)]
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "requests.json")
    with open(path, "w", encoding="ascii") as file:
        lines = ",\n".join(json.dumps(made) for made in requests)
        file.write(f'{{"caller":"{CALLER}","key":"{KEY}","requests":[\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
