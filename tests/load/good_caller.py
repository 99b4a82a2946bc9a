"""A caller that asks steadily and notes how long it waits, in a process of its own so that nothing here slows it down.

good_caller.py SOCKET CALLER KEY-FILE RATE: until its standard input ends. A line for each request: when it was sent
(CLOCK_MONOTONIC), its kind, how long it took in seconds, and the code of the answer or `lost`. The kinds are

    kept     status, on a connection that is kept
    anew     status, on a connection of its own
    action   mark (tests/crash/load.py), on a connection of its own: confined, run, recorded twice
"""

import itertools
import os
import select
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "scenario"))

import wire  # noqa: E402

KINDS = ("kept", "anew", "kept", "action")


def connect(path: str) -> wire.Connection:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.connect(path)  # waits while the queue is full; with a timeout set it would fail at once
    sock.settimeout(60)
    return wire.Connection(sock)


def main() -> None:
    path, caller, key_file, rate = sys.argv[1:]
    with open(key_file, encoding="ascii") as file:
        key = file.read().strip()
    kept: wire.Connection | None = None
    began = time.monotonic()
    for number in itertools.count():
        rest = began + number / float(rate) - time.monotonic()
        if select.select([sys.stdin], [], [], max(0, rest))[0]:
            return
        kind = KINDS[number % len(KINDS)]
        request = wire.Request(key, caller, *(("mark", {"n": number}) if kind == "action" else ("status",)))
        sent = time.monotonic()
        try:
            connection = kept if kind == "kept" and kept is not None else connect(path)
            code = connection.ask(request)["code"]
        except (OSError, wire.WireError):
            code = "lost"
        took = time.monotonic() - sent
        if kind != "kept" or code != "ok":
            connection.close()
        kept = (connection if code == "ok" else None) if kind == "kept" else kept
        print(f"{sent} {kind} {took} {code}", flush=True)


if __name__ == "__main__":
    main()
