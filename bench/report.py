"""Targets, verdicts and tables."""

import re
import statistics

AT_MOST, AT_LEAST = "≤", "≥"

# key: (what, ≤ or ≥, target)
TARGETS = {
    "status_over_relay": ("signed status on one connection, over the relay", AT_MOST, 1.5),
    "decision_over_floor": ("refusal recorded durably, over relay + sync", AT_MOST, 1.25),
    "command_over_spawn": ("/bin/true as another user, confined, recorded twice, over spawn + 2 sync + relay", AT_MOST,
                           1.5),
    "builtin_over_floor": ("kill_process with its verification, over fork + 2 sync + relay", AT_MOST, 1.5),
    "throughput_over_relay": ("recorded refusals a second, 64 clients, pipelined, sync = batch, over the relay's",
                              AT_LEAST, 0.6),
    "group_commit_gain": ("durable refusals a second, 64 clients over one", AT_LEAST, 8),
    "sudo_over_us": ("sudo, for the same command, over ours", AT_LEAST, 5),
    "doas_over_us": ("doas, likewise", AT_LEAST, 4),
    "s6_over_us": ("s6-sudo through s6-ipcserver, likewise", AT_LEAST, 3),
    "prototype_over_us": ("the prototype's request answered in Python, over ours", AT_LEAST, 8),
    "verify_over_hmac": ("audit verify, bytes a second, over plain HMAC-SHA256 of the lines", AT_LEAST, 0.6),
    "start_ms": ("start to READY with a log of 1,000,000 records, ms", AT_MOST, 50),
    "rss_mb": ("memory of all idle processes then (PSS), MiB", AT_MOST, 12),
    "growth": ("p50 with 100 and 1,000 callers and actions and after 1,000,000 requests, over that with one; the worst",
               AT_MOST, 1.10),
}


# The nearest that this machine lets a daemon of two processes come: no targets, but what those above are to be read by.
CHAINS = {
    "status_over_bare": "signed status, over two bare processes: they read and check the request, and sign the answer",
    "bare_status_over_relay": "those over the relay: what status_over_relay is to be read by",
    "decision_over_bare": "refusal recorded durably, over bare processes that record too",
    "bare_decision_over_floor": "those over relay + sync: what decision_over_floor is to be read by",
    "command_over_bare": "/bin/true confined, over bare processes that record, fork, confine and execute it, record",
    "bare_command_over_spawn": "those over spawn + 2 sync + relay: what command_over_spawn is to be read by",
    "builtin_over_bare": "kill_process, over bare processes that record, fork, confine, do its steps, record",
    "bare_builtin_over_floor": "those over fork + 2 sync + relay: what builtin_over_floor is to be read by",
    "decision_over_chain": "refusal recorded durably, over two plain processes that make a record before they answer",
    "command_over_chain": "/bin/true confined, over two plain processes that record, spawn it, record",
    "builtin_over_chain": "kill_process with its verification, over two plain processes that record, fork, record",
    "sudo_over_chain": "sudo over those, connecting each time: the most that sudo_over_us could be",
    "doas_over_chain": "doas, likewise",
    "s6_over_chain": "s6-sudo, likewise",
    "sudo_over_bare": "sudo over bare processes, connecting each time: the most with requests read and commands confined",
    "doas_over_bare": "doas, likewise",
    "s6_over_bare": "s6-sudo, likewise",
    "prototype_over_relay": "the prototype's request answered in Python, over two plain processes that neither read nor "
                            "record: the most that prototype_over_us could be",
}


def spread(rounds):
    quarter, _, three_quarters = statistics.quantiles(rounds, n=4, method="inclusive")
    return {"value": statistics.median(rounds), "lower_quartile": quarter, "upper_quartile": three_quarters,
            "low": min(rounds), "high": max(rounds), "rounds": rounds}


def judged(values):
    """{key: value, spread, target and verdict} of every target; without a value where a peer is not installed."""
    entries = {key: {"what": what, **spread(values[key])} for key, what in CHAINS.items() if values.get(key)}
    for key, (what, direction, target) in TARGETS.items():
        entry = {"what": what, "direction": direction, "target": target, "value": None}
        if rounds := values.get(key):
            entry.update(spread(rounds))
            entry["met"] = entry["value"] <= target if direction == AT_MOST else entry["value"] >= target
        entries[key] = entry
    return entries


def verdict(entry):
    if entry["met"]:
        return "met"
    return f"missed by {abs(entry['value'] - entry['target']) / entry['target']:.0%}"


def target_rows(results):
    yield "| | what | target | measured | half of the rounds (all) | |"
    yield "|---|---|---|---|---|---|"
    for key in TARGETS:
        entry = results[key]
        start = f"| `{key}` | {entry['what']} | {entry['direction']} {entry['target']:g} |"
        if entry["value"] is None:
            yield start + " not measured | | |"
        else:
            yield f"{start} {figures(entry)} | {verdict(entry)} |"


def figures(entry):
    return (f"{entry['value']:.2f} | {entry['lower_quartile']:.2f}–{entry['upper_quartile']:.2f} "
            f"({entry['low']:.2f}–{entry['high']:.2f})")


def chain_rows(results):
    yield "| | what | measured | half of the rounds (all) |"
    yield "|---|---|---|---|"
    for key in CHAINS:
        if key in results:
            yield f"| `{key}` | {results[key]['what']} | {figures(results[key])} |"


def middle(rounds, member):
    return statistics.median(r[member] for r in rounds)


def measured_rows(measured):
    yield "| | p50 µs | p99 µs | a second | rounds × operations |"
    yield "|---|---|---|---|---|"
    for name, rounds in measured.items():
        if "p50_us" in rounds[0]:
            shown = f"{middle(rounds, 'p50_us'):,.1f} | {middle(rounds, 'p99_us'):,.1f} | "
        elif "per_second" in rounds[0]:
            shown = f" | | {middle(rounds, 'per_second'):,.0f}"
        else:
            continue
        yield f"| {name} | {shown} | {len(rounds)} × {rounds[0]['count']:,} |"


def micro_rows(micro):
    yield "| | ns | MB/s |"
    yield "|---|---|---|"
    for name, entry in micro.items():
        rate = f"{entry['bytes_per_second'] / 1e6:,.0f}" if entry["bytes_per_second"] else ""
        yield f"| {name} | {entry['ns']:,.0f} | {rate} |"


def tables(results):
    about = results["machine"]
    blocks = [[f"{about['cpu']}, {about['cores']} cores, Linux {about['kernel']}, {about['file_system']}; "
               f"commit {about['commit']}; load before {about['load_before']:.1f}."],
              target_rows(results), chain_rows(results), measured_rows(results["measured"])]
    if "verify" in results["measured"]:
        rounds = results["measured"]["verify"]
        blocks.append([f"audit verify: {middle(rounds, 'verify_per_second') / 1e6:,.0f} MB/s; plain HMAC-SHA256 of the "
                       f"same lines: {middle(rounds, 'hmac_per_second') / 1e6:,.0f} MB/s."])
    if "micro" in results:
        blocks.append(micro_rows(results["micro"]))
    return "\n\n".join("\n".join(block) for block in blocks)


def replace_table(path, table):
    with open(path, encoding="utf-8") as file:
        page = file.read()
    replaced, count = re.subn(r"(<!-- bench: begin[^\n]*\n).*(<!-- bench: end)", lambda m: f"{m[1]}\n{table}\n\n{m[2]}",
                              page, flags=re.DOTALL)
    if count != 1:
        raise SystemExit(f"bench: {path} has no place for the table")
    with open(path, "w", encoding="utf-8") as file:
        file.write(replaced)
