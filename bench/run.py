#!/usr/bin/env python3
"""Measures what docs/performance.md states, writes bench/results.json and, for a whole run, the table in that page.

Usage: run.py [--tiny] [--systemd] [--only SERIES,…] [--results FILE]. Needs root, because it runs commands as other
users, and takes about five minutes; --tiny takes seconds and is for testing this program, its figures mean nothing.
LUMINOUS_BUILD names the build folder. The logs of the daemons lie in a folder of /var/tmp, which is on a disk; TMPDIR
chooses another one."""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time

import report
import series

FULL = {"rounds": 15, "turns": 20, "rounds_of_many": 5, "status": 1000, "decision": 200, "action": 40, "peer": 8,
        "v1": 200, "many": 28_000, "one": 600, "asked": 1_000_000, "growth": 500, "verified": 100_000,
        "records": 1_000_000, "micro_s": 0.2}
TINY = {"rounds": 2, "turns": 2, "rounds_of_many": 2, "status": 20, "decision": 20, "action": 4, "peer": 2,
        "v1": 20, "many": 400, "one": 20, "asked": 20_000, "growth": 20, "verified": 2000, "records": 2000,
        "micro_s": 0.01}
MICRO = os.path.join(series.daemon.BUILD, "bench", "bench_micro")


def command_output(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=series.BENCH)
    return done.stdout.strip()


def machine(where):
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), platform.machine())
    return {"cpu": model, "cores": os.cpu_count(), "kernel": platform.release(),
            "file_system": command_output("df", "--output=fstype", where).split()[-1],
            "commit": command_output("git", "describe", "--always", "--dirty"),
            "load_before": os.getloadavg()[0]}


def micro(seconds):
    done = subprocess.run([MICRO, "--benchmark_format=json", f"--benchmark_min_time={seconds}"], check=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    found = json.loads(done.stdout)["benchmarks"]
    assert found and not any(b.get("error_occurred") for b in found), found
    return {b["name"]: {"ns": b["cpu_time"], "bytes_per_second": b.get("bytes_per_second")} for b in found}


def on_systemd(counts):
    """What bench/on_systemd.py measures in a booted Debian."""
    lab = os.path.join(series.ROOT, "tests", "system", "lab.sh")
    command = [lab, "--timeout=300", os.path.join(series.BENCH, "on_systemd.py"), str(counts["rounds_of_many"]),
               str(counts["peer"] // 2)]
    done = subprocess.run(command, env={**os.environ, "LUMINOUS_BUILD": series.daemon.BUILD}, stdout=subprocess.PIPE,
                          check=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure(counts, only, folder):
    results = {"machine": machine(folder), "counts": counts, "measured": {}}
    values = {}
    for name, run in series.ALL.items():
        if only and name not in only:
            continue
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="lh-bench-", dir=folder) as where:
            os.chmod(where, 0o755)
            values.update(run(where, counts, results["measured"]))
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    if not only:
        results["micro"] = micro(counts["micro_s"])
    results.update(report.judged(values))
    return results


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--systemd", action="store_true", help="also systemctl restart, on a booted Debian (lab.sh)")
    parser.add_argument("--only", default="", help="series, separated by commas: " + ",".join(series.ALL))
    parser.add_argument("--results", help="where to write the figures (default: bench/results.json)")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("bench: run it as root: it runs commands as other users and asks as them")
    only = [name for name in options.only.split(",") if name]
    whole = not options.tiny and not only
    results = measure(TINY if options.tiny else FULL, only, os.environ.get("TMPDIR") or "/var/tmp")
    if options.systemd:
        results["measured"].update(on_systemd(results["counts"]))
    path = options.results or (os.path.join(series.BENCH, "results.json") if whole else None)
    if path:
        with open(path, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)
            file.write("\n")
    table = report.tables(results)
    print(table)
    if whole and not options.results:
        report.replace_table(os.path.join(series.BENCH, os.pardir, "docs", "performance.md"), table)


if __name__ == "__main__":
    main()
