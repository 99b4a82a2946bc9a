"""The series of measurements behind the targets. Each takes the counts of this run and returns {key: [one value for
each round]}; the figures of the single contestants go into `seen`. In a round all contestants of a series take turns,
so that whatever else the machine does hurts them alike; a ratio is made of figures of one round only."""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

from contestants import (DONE, FLOORS, FOLDED, OTHER_USER, PROTOTYPE_UIDS, ROOT, Peers, Relay, Served, actions_config,
                         daemon, growing_config, many_callers_config, prototype_config, run_json, spawn)

BENCH = os.path.dirname(os.path.abspath(__file__))
VERIFY = os.path.join(daemon.BUILD, "bench", "bench_verify")
HEALCTL = os.path.join(daemon.BUILD, "healctl", "healctl")
FILL = os.path.join(daemon.BUILD, "tests", "support", "fill_log")
DAY_S = 86400
CALLERS = 1000  # of the daemons that refuse: 10 of each of 3 kinds are recorded in a minute, 30,000 in all
REFUSED = {"expect": '"success":false', "refuse": FOLDED}


class Turns:
    """One round's program of a contestant."""

    def __init__(self, command, turns):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0,
                                        env={**os.environ, "BENCH_TURNS": str(turns)})

    def take(self):
        """A block of its operations; what it has printed then, nothing when it has ended instead."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(b"\n")
        return self.process.stdout.readline()

    def end(self):
        self.process.stdin.close()
        self.process.stdout.close()
        if self.process.wait() != 0:
            raise SystemExit(f"bench: {' '.join(self.process.args)} ended with {self.process.returncode}")


def one_round(contestants, turns):
    """{name: result}. Block by block they take turns: what else the machine does lasts longer than a block."""
    running = {name: Turns(command(), turns) for name, command in contestants.items()}
    said = {}
    try:
        for _ in range(turns):
            for name, program in running.items():
                said[name] = program.take()
    finally:
        for program in running.values():
            program.end()
    return {name: json.loads(line) for name, line in said.items()}


def rounds(n, contestants, seen, turns=None):
    """{name: [result of each round]}; `seen` gets them too."""
    results = {name: [] for name in contestants}
    for _ in range(n["rounds"]):
        for name, result in one_round(contestants, turns or n["turns"]).items():
            results[name].append(result)
    seen.update(results)
    return results


def p50(results, name, number):
    return results[name][number]["p50_us"]


def ratios(results, above, below):
    """The sum of some contestants' medians over that of others, in each round."""
    def total(names, number):
        return sum(p50(results, name, number) for name in names)
    return [total(above, number) / total(below, number) for number in range(len(results[above[0]]))]


def requests(where, n, seen):
    """One client, one request at a time: status, durable refusal, command, built-in action, each with its floors,
    beside plain processes that do the same steps in the same order, and beside bare ones, which also read, sign and
    confine."""
    record = os.path.join(where, "record")
    with Served(where, actions_config()) as ours, \
            Served(where, many_callers_config(CALLERS), callers=[f"c{i}" for i in range(CALLERS)]) as refuser, \
            contextlib.ExitStack() as beside:
        status, done = ours.answer_to("status"), ours.answer_to("true")
        refusal = refuser.answer_to("other", caller="c0")
        with open(record, "wb") as file:
            file.write(refuser.record(event="decision"))

        def plain(*what, **options):
            return beside.enter_context(Relay(where, *what, **options)).socket

        def bare(*what):
            return plain(done, record, ["confined", ours.d.log_folder, *what], callers=ours.callers)

        def status_of(socket=None):
            return lambda: ours.latency("status", n["status"], socket, **DONE)

        def decision(socket=None):
            return lambda: refuser.latency("denial", n["decision"], socket, **REFUSED)

        def command(socket=None):
            return lambda: ours.latency("true", n["action"], socket, **DONE)

        def builtin(socket=None):
            return lambda: ours.latency("kill_process", n["action"], socket, **DONE,
                                        parameters='{"pid":@VICTIM@,"signal":"KILL"}')

        results = rounds(n, {
            "status": status_of(),
            "relay of status": status_of(plain(status)),
            "bare status": status_of(plain(status, callers=ours.callers)),
            "decision": decision(),
            "relay": decision(plain(refusal)),
            "sync": lambda: [FLOORS, "sync", os.path.join(where, "synced"), record, str(n["decision"])],
            "relay that records": decision(plain(refusal, record)),
            "bare decision": decision(plain(refusal, record, callers=refuser.callers)),
            "command": command(),
            "spawn": lambda: spawn(n["action"], "/bin/true"),
            "relay that records, spawns, records": command(plain(done, record, ["/bin/true"])),
            "bare command": command(bare(OTHER_USER, "/bin/true")),
            "builtin": builtin(),
            "fork": lambda: [FLOORS, "fork", str(n["action"])],
            "relay that records, forks, records": command(plain(done, record, ["fork"])),
            "bare builtin": builtin(bare("kill_process")),
        }, seen)
    floors = {"status": ("over_relay", ["relay of status"]), "decision": ("over_floor", ["relay", "sync"]),
              "command": ("over_spawn", ["spawn", "sync", "sync", "relay"]),
              "builtin": ("over_floor", ["fork", "sync", "sync", "relay"])}
    found = {"decision_over_chain": ratios(results, ["decision"], ["relay that records"]),
             "command_over_chain": ratios(results, ["command"], ["relay that records, spawns, records"]),
             "builtin_over_chain": ratios(results, ["builtin"], ["relay that records, forks, records"])}
    for name, (over, floor) in floors.items():
        found[f"{name}_{over}"] = ratios(results, [name], floor)
        found[f"{name}_over_bare"] = ratios(results, [name], [f"bare {name}"])
        found[f"bare_{name}_{over}"] = ratios(results, [f"bare {name}"], floor)
    return found


def throughput(where, n, seen):
    """Recorded refusals of many clients at once. A daemon records 30,000 of them in a minute and then begins to count:
    each round has new ones."""
    names = [f"c{i}" for i in range(CALLERS)]
    results = {"64 clients, batch": [], "relay, 64 clients": [], "64 clients, always": [], "1 client, always": []}

    def refusing(sync):
        return Served(where, many_callers_config(CALLERS), audit=f'sync = "{sync}"', callers=names)

    for _ in range(n["rounds_of_many"]):
        with refusing("batch") as batch, Relay(where, batch.answer_to("nonsense", caller="owner")) as relay:
            for name, socket in (("64 clients, batch", None), ("relay, 64 clients", relay.socket)):
                results[name].append(batch.throughput("denial", n["many"], socket, clients=64, window=16, **REFUSED))
        with refusing("always") as always:
            for name, count, clients in (("1 client, always", n["one"], 1), ("64 clients, always", n["many"] // 2, 64)):
                results[name].append(always.throughput("denial", count, clients=clients, window=1, **REFUSED))
    seen.update(results)

    def over(above, below):
        return [a["per_second"] / b["per_second"] for a, b in zip(results[above], results[below])]

    return {"throughput_over_relay": over("64 clients, batch", "relay, 64 clients"),
            "group_commit_gain": over("64 clients, always", "1 client, always")}


def peers(where, n, seen):
    """/bin/true as another user. Ours gets a connection for each request, as a client program would make it; beside it
    healctl, started for each like the others, and plain and bare processes that record, start it and record."""
    record = os.path.join(where, "record")
    with Served(where, actions_config()) as ours, contextlib.ExitStack() as beside:
        done = ours.answer_to("true")
        with open(record, "wb") as file:
            file.write(ours.record(event="outcome"))
        others = beside.enter_context(Peers(where))
        chain = beside.enter_context(Relay(where, done, record, ["/bin/true"]))
        bare = beside.enter_context(Relay(where, done, record, ["confined", ours.d.log_folder, OTHER_USER, "/bin/true"],
                                          callers=ours.callers))
        key = os.path.join(ours.d.key_folder, "tester")
        results = rounds(n, {
            "command, connecting": lambda: ours.latency("true", n["peer"], connect_each=True, **DONE),
            "relay that records, spawns, records, connecting":
                lambda: ours.latency("true", n["peer"], chain.socket, connect_each=True, **DONE),
            "bare command, connecting": lambda: ours.latency("true", n["peer"], bare.socket, connect_each=True, **DONE),
            "healctl run": lambda: spawn(n["peer"], HEALCTL, "--socket", ours.d.socket_path, "--caller", "tester",
                                         "--key-file", key, "run", "--no-stream", "true"),
            **others.contestants(n["peer"])}, seen, turns=n["peer"])
    keys = {"sudo": "sudo", "doas": "doas", "s6": "s6-sudo"}
    beside_whom = {"us": "command, connecting", "chain": "relay that records, spawns, records, connecting",
                   "bare": "bare command, connecting"}
    return {f"{key}_over_{whom}": ratios(results, [name], [one])
            for key, name in keys.items() if name in results for whom, one in beside_whom.items()}


class PrototypeServer:
    def __init__(self, where, key):
        self.folder = tempfile.mkdtemp(prefix="y", dir=where)
        self.key, self.socket, self.log = key, os.path.join(self.folder, "s"), os.path.join(self.folder, "log")

    def __enter__(self):
        os.chmod(self.folder, 0o755)
        self.process = subprocess.Popen([sys.executable, os.path.join(BENCH, "prototype.py"), self.socket, self.log,
                                         self.key], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == b"ready\n", "the prototype's server did not start"
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def prototype(where, n, seen):
    """The same version 1 request, which both sides refuse for its value after every other check, and record."""
    options = {"parameters": '{"value":300}', "v1": True, "uids": PROTOTYPE_UIDS[0], "uid_count": len(PROTOTYPE_UIDS),
               "expect": '"success": false'}
    ours_options = {**options, "expect": '"success":false'}
    with Served(where, prototype_config(), "legacy_v1 = true", 'sync = "batch"') as ours, \
            PrototypeServer(where, ours.d.keys["tester"]) as old, \
            Served(where, actions_config()) as other, Relay(where, other.answer_to("nonsense")) as relay:
        results = rounds(n, {
            "version 1": lambda: ours.latency("adjust_swappiness", n["v1"], **ours_options),
            "version 1, prototype": lambda: ours.latency("adjust_swappiness", n["v1"], old.socket, **options),
            "relay, connecting": lambda: other.latency("nonsense", n["v1"], relay.socket, connect_each=True),
        }, seen)
        recorded = len(ours.d.events("decision", action="adjust_swappiness"))
        with open(old.log, "rb") as file:
            by_the_prototype = sum(1 for _ in file)
        assert recorded == by_the_prototype == ours.sent / 2, "one of them did not record what it refused"
    return {"prototype_over_us": ratios(results, ["version 1, prototype"], ["version 1"]),
            "prototype_over_relay": ratios(results, ["version 1, prototype"], ["relay, connecting"])}


# --- growth ---

# How long a timestamp is fresh, and so how long ids are remembered (5 s longer): there is room for 131,072 of them.
# While a million is asked it is short; afterwards all daemons have the default.
SHORT_MEMORY, LONG_MEMORY = 'max_clock_skew = "2s"', 'max_clock_skew = "30s"'
MOST_PER_SECOND = 16_000  # below 131,072 in 7 s


def ask_a_million(served, count, chunk=10_000):
    """As many requests, half of them refused, on 64 connections, and none turned away for want of room."""
    for number in range(count // chunk):
        began = time.monotonic()
        served.throughput("status" if number % 2 == 0 else "nonsense", chunk, clients=64, window=16,
                          refuse='"code":"busy"')
        time.sleep(max(0, began + chunk / MOST_PER_SECOND - time.monotonic()))
    served.d.write_config(served.d.read_config().replace(SHORT_MEMORY, LONG_MEMORY))
    served.d.reload()


def growth(where, n, seen):
    """Status and refusal of the same caller, one request at a time, by daemons that differ in one thing each."""
    settings = {"daemon_text": LONG_MEMORY, "audit": 'sync = "batch"', "callers": ["c0"]}
    with Served(where, growing_config(1), **settings) as one, \
            Served(where, growing_config(100), **settings) as some, \
            Served(where, growing_config(1000), **settings) as many, \
            Served(where, growing_config(1), **{**settings, "daemon_text": SHORT_MEMORY}) as used:
        ask_a_million(used, n["asked"])
        daemons = {"1": one, "100": some, "1,000": many, "1, after many requests": used}
        contestants = {}
        for name, served in daemons.items():
            contestants[f"status, callers: {name}"] = lambda s=served: s.latency("status", n["growth"], **DONE)
            contestants[f"refusal, callers: {name}"] = lambda s=served: s.latency("nonsense", n["growth"],
                                                                              expect='"success":false')
        results = rounds(n, contestants, seen)
    each = [ratios(results, [f"{kind}, callers: {name}"], [f"{kind}, callers: 1"])
            for kind in ("status", "refusal") for name in list(daemons)[1:]]
    return {"growth": max(each, key=statistics.median)}


# --- the log ---

def filled(where, records):
    """A daemon that is not started, on a log of so many records written over 30 days."""
    served = Served(where, actions_config(), audit="keep = 10000")
    subprocess.run([FILL, served.d.log_path, str(records), str(30 * DAY_S)], check=True)
    return served


def verification(where, n, seen):
    log = filled(where, n["verified"])
    results = run_json([VERIFY, log.d.log_folder, log.d.log_path + ".first-key", str(n["rounds_of_many"])])
    seen["verify"] = results
    return {"verify_over_hmac": [r["verify_per_second"] / r["hmac_per_second"] for r in results]}


def pss_mb(pids):
    """What these processes together keep in memory, a shared page counted once: proc_pid_smaps(5), Pss."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            total += next(int(line.split()[1]) for line in file if line.startswith("Pss:"))
    return total / 1024


def start(where, n, seen):
    """From exec to READY=1, each start ended by kill -9; then the memory of executor, gate and keeper."""
    log = filled(where, n["records"])
    times, sizes = [], []
    for _ in range(n["rounds_of_many"]):
        began = time.monotonic()
        log.d.start()
        times.append((time.monotonic() - began) * 1000)
        log.d.ask("status")
        sizes.append(pss_mb([log.d.pid, *daemon.descendants_of(log.d.pid, with_helpers=True)]))
        log.d.kill9()
    return {"start_ms": times, "rss_mb": sizes}


ALL = {"requests": requests, "throughput": throughput, "peers": peers, "prototype": prototype, "growth": growth,
       "verification": verification, "start": start}
