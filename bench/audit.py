#!/usr/bin/env python3
"""What the audit log costs when it is large: the rate and memory of `healctl audit verify`, and how long the daemon needs
from its start to READY. Usage: audit.py [RECORDS]. Standard library only; LUMINOUS_BUILD names the build folder."""

import contextlib
import os
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "scenario"))

import daemon  # noqa: E402

FILL = os.path.join(daemon.BUILD, "tests", "support", "fill_log")
HEALCTL = os.path.join(daemon.BUILD, "healctl", "healctl")
ACTIONS = '[actions.mark]\ncommand = ["/bin/true"]\nrate_limit = { limit = 100000, window = "1h" }\n'
DAY = 86400
STARTS = 5


def measured(command):
    """(seconds, peak MiB) of a command."""
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, command
    return time.monotonic() - began, usage.ru_maxrss / 1024


def size_of(folder):
    return sum(os.path.getsize(os.path.join(folder, n)) for n in os.listdir(folder) if ".key" not in n and "first" not in n)


def start_to_ready(d):
    """(median milliseconds, peak MiB) of some starts, each ended by kill -9 so that nothing is tidied up."""
    times, peak = [], 0.0
    for _ in range(STARTS):
        began = time.monotonic()
        d.start()
        times.append((time.monotonic() - began) * 1000)
        with open(f"/proc/{d.pid}/status", encoding="ascii") as file:
            peak = max(peak, next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmHWM")))
        d.kill9()
    return sorted(times)[STARTS // 2], peak


def measure(records, span):
    with tempfile.TemporaryDirectory(prefix="lh-bench-") as folder:
        d = daemon.Daemon(folder)
        d.configure(ACTIONS, audit="keep = 10000")
        began = time.monotonic()
        subprocess.run([FILL, d.log_path, str(records), str(span)], check=True)
        filled = time.monotonic() - began
        size = size_of(d.log_folder) / 2**20
        seconds, memory = measured([HEALCTL, "audit", "verify", d.log_folder, "--first-key", d.log_path + ".first-key"])
        ready, peak = start_to_ready(d)
        with contextlib.suppress(OSError):
            d.close()
        over = f"{span // DAY} d" if span >= DAY else f"{span // 60} min"
        print(f"| {records:,} | {size:.0f} MiB | {over} | {records / filled:,.0f}/s | {records / seconds:,.0f}/s | "
              f"{memory:.1f} MiB | {ready:.0f} ms | {peak:.1f} MiB |", flush=True)


def main():
    records = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    print("| records | size | written over | appended | verified | verify's peak | start to READY | daemon's peak |")
    print("|---|---|---|---|---|---|---|---|")
    for count in sorted({min(1000, records), records // 100, records // 10, records}):
        measure(count, 30 * DAY)
    measure(records // 10, 50 * 60)  # all of it inside the window of one hour


if __name__ == "__main__":
    main()
