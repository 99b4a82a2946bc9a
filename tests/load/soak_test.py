"""The daemon for an hour (LUMINOUS_SOAK_MINUTES; one by default) among callers, enemies and accidents.

In the first third of the time everything may be killed or restarted, in the second the executor lives on, in the last
the gate too, so that it can be seen what either of them holds as time goes by. LUMINOUS_SEED repeats a run;
LUMINOUS_SOAK_PICTURE names an SVG to be drawn.
"""

import collections
import contextlib
import itertools
import os
import random
import signal
import time
import unittest

import enemies
import load
import measure
import daemon
from measure import COLOURS, Line, Sample

MINUTES = float(os.environ.get("LUMINOUS_SOAK_MINUTES", "1"))
PICTURE = os.environ.get("LUMINOUS_SOAK_PICTURE")
SECONDS = MINUTES * 60
CLIENTS = 3
PAUSE = 0.15  # seconds between two requests of one client, on average
FORGETS = 125  # seconds: what is counted together is written at the latest after two windows of a minute
MOST_MEMORY = (1024 if "LUMINOUS_SANITIZED" in os.environ else 64) * 1024  # KiB of one process
LONG = 30  # minutes from which on a run shows that memory does not grow

# Each is at most as strong as a shared machine bears; tests/load/enemy_test.py has them at full strength.
ENEMIES = {
    "forged": enemies.Enemy("frames", "forged", 8, 300),
    "signed by another uid": enemies.Enemy("single", "signed", 8, 40),
    "too many connections": enemies.Enemy("connect", None, 64, 60),
    "slow": enemies.Enemy("slow", "forged", 30, None),
    "largest frames": enemies.Enemy("frames", "largest", 4, 40),
    "oversize frames": enemies.Enemy("single", "oversize", 4, 20),
    "malformed frames": enemies.Enemy("single", "malformed", 8, 40),
}
# How often in a minute, and in which part of the time: until one third, until two thirds, until the end.
EVENTS = {"executor killed": (1, 1), "executor restarted": (1, 1), "gate killed": (2, 2), "worker killed": (6, 3),
          "good reload": (2, 3), "bad reload": (2, 3), "log rotated": (1, 3), "enemy": (5, 3)}


class Calm(load.Client):
    """A caller in no hurry, which notes how long its requests take."""

    def __init__(self, made, numbers, seed):
        super().__init__(made, numbers, seed)
        self.latencies = []  # (when, seconds)

    def _one(self):
        began = time.monotonic()
        super()._one()
        self.latencies.append((began, time.monotonic() - began))
        self._end.wait(self.random.expovariate(1 / PAUSE))


class Burst(enemies.Flood):
    was_cut_short = False  # by a kill or a restart: what was under way was recorded and not answered, or neither
    forgotten = False  # the executor was killed with counts of it in memory
    ended = None


class Soak(daemon.Scenario):
    def setUp(self):
        super().setUp()
        self.random = random.Random(load.SEED)
        self.strays_expected = True  # a worker that the kill caught before its first instruction ends by itself
        self.happened = collections.defaultdict(list)  # event: when
        self.bursts = []
        self.uids = itertools.count(60000)
        self.kinds = itertools.cycle(self.random.sample(sorted(ENEMIES), len(ENEMIES)))

    def schedule(self):
        """(when, event) for the whole time; each event, and each enemy, at least once."""
        planned = []
        for event, (rate, thirds) in EVENTS.items():
            span = SECONDS * thirds / 3
            for _ in range(max(len(ENEMIES) if event == "enemy" else 1, round(rate * span / 60))):
                planned.append((self.random.uniform(0.02, 0.95) * span, event))
        return sorted(planned)

    # --- what happens ---

    def executor_killed(self):
        self.take_leave()
        before = time.monotonic() - FORGETS
        self.d.kill9()
        self.end_bursts()
        for burst in self.bursts:
            burst.forgotten |= burst.ended > before
        self.start_again()

    def executor_restarted(self):
        self.take_leave()
        self.assertEqual(self.d.stop(), 0)
        self.end_bursts()
        self.start_again()

    def take_leave(self):
        for client in self.clients:
            client.up.clear()
        for burst in self.bursts:
            burst.was_cut_short |= burst.ended is None

    def start_again(self):
        self.d.start()
        self.pid = self.d.pid
        for client in self.clients:
            client.up.set()

    def gate_killed(self):
        gate = measure.gate_of(self.d.pid)
        self.assertIsNotNone(gate, "the gate was lost without a reason")
        said = len(self.d.stderr)
        for burst in self.bursts:
            burst.was_cut_short |= burst.ended is None
        daemon.kill_as(gate, signal.SIGKILL)
        self.d.await_journal("the gate was lost", said)
        self.d.ask("status")  # there is another

    def worker_killed(self):
        """One that is there within a second, else none."""
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline:
            for pid in measure.workers_of(self.d.pid):
                daemon.kill_as(pid, signal.SIGKILL)
                return True
        return False

    def good_reload(self):
        self.d.write_config(self.config + f"# {len(self.happened['good reload'])}\n")
        self.d.reload()

    def bad_reload(self):
        self.d.write_config(self.config + "nonsense = 1\n")
        self.d.reload()
        self.d.write_config(self.config)

    def log_rotated(self):
        """As logrotate does it."""
        said = len(self.d.stderr)
        renamed = f"{self.d.log_path}-{len(self.happened['log rotated']):06}"
        while not os.path.exists(renamed):
            with contextlib.suppress(FileNotFoundError):  # the daemon rotates it itself at this moment
                os.rename(self.d.log_path, renamed)
        self.d.signal(signal.SIGUSR1)
        self.d.await_journal("the audit log was reopened", said)

    def enemy(self):
        self.reap_bursts()
        seconds = min(self.random.uniform(3, 12), SECONDS / 10)
        self.bursts.append(Burst(self.arsenal, ENEMIES[next(self.kinds)], seconds, next(self.uids)))

    def reap_bursts(self):
        for burst in self.bursts:
            if burst.ended is None and not burst.is_running():
                burst.collect()
                burst.ended = time.monotonic()

    def end_bursts(self):
        for burst in self.bursts:
            if burst.ended is None:
                burst.stop()
                burst.collect()
                burst.ended = time.monotonic()

    # --- what must hold ---

    def look(self):
        """At every step: what must not have happened has not."""
        signal.setitimer(signal.ITIMER_REAL, daemon.PATIENCE)
        self.assertTrue(daemon.is_alive(self.pid), "the executor ended by itself:\n" + self.d.journal()[-4000:])
        for client in self.clients:
            if client.error is not None:
                raise client.error

    def check_counts(self, records):
        """What enemies were answered is in the log to the last one, single or counted; returns how many that were."""
        refusals, lines = enemies.recorded(records)
        exact = total = 0
        for burst in self.bursts:
            answered = burst.answered()
            for uid in burst.uids:
                for code in enemies.COUNTED:
                    in_log, seen = refusals[uid, code], answered[uid, code]
                    what = f"{code} of uid {uid}, {burst.enemy}: {in_log} recorded, {seen} answered, {burst.reports}"
                    total += in_log
                    if not burst.forgotten:
                        self.assertGreaterEqual(in_log, seen, what)
                    if burst.enemy.frame != "oversize" and code != "busy":
                        self.assertLessEqual(in_log, burst.total("sent"), what)
                    if burst.enemy.mode != "slow" and not burst.was_cut_short and not burst.forgotten:
                        exact += 1
                        self.assertEqual(in_log, seen, what)
                self.assertLessEqual(lines[uid], 3 * 11 * len(enemies.COUNTED), "folding")
        return exact, total

    def check_accidents(self, records):
        """Each accident is in the log once, and there are no others."""
        events = collections.Counter(record["event"] for record in records)
        self.assertEqual(events["gate_lost"], len(self.happened["gate killed"]))
        reloads = collections.Counter(record["success"] for record in records if record["event"] == "reload")
        self.assertEqual(reloads, {True: len(self.happened["good reload"]), False: len(self.happened["bad reload"])})
        ends = len(self.happened["executor killed"]) + len(self.happened["executor restarted"])
        self.assertEqual(events["start"], 1 + ends + 1)
        return events

    def check_memory(self, samples):
        """Over the last third of a long run neither process grows; in a short one it is only bounded."""
        for name in ("executor_pss", "gate_pss"):
            values = [getattr(sample, name) for sample in samples]
            self.assertLess(max(values), MOST_MEMORY, f"{name} in KiB")
            last = [getattr(sample, name) for sample in samples if sample.time > SECONDS * 0.7]
            fifth = len(last) // 5
            if MINUTES >= LONG:
                first, final = (measure.quantile(part, 0.5) for part in (last[:fifth], last[-fifth:]))
                self.assertLess(final, first * 1.1 + 1024, f"{name} grew from {first} to {final} KiB")

    def check_descriptors(self, samples):
        self.assertLess(max(s.executor_fds for s in samples), 512)
        self.assertLess(max(s.gate_fds for s in samples), 256 + 32)
        self.d.ask("status")
        after = self.sampler.look_at_rest()
        self.assertLessEqual(after.executor_fds, self.baseline.executor_fds + 2, "descriptors were left open")
        self.assertLessEqual(after.gate_fds, self.baseline.gate_fds + 2, "descriptors were left open")
        self.assertEqual(after.processes, self.baseline.processes, "processes were left over")

    # --- the story ---

    @daemon.needs_root
    def test_a_soak_among_callers_enemies_and_accidents(self):
        """Kills, reloads, rotations, enemies: nothing twice, no gap, counts exact, nothing grows, nothing is left."""
        self.d = d = load.configured(self, daemon=enemies.DAEMON_SETTINGS).start()
        d.log_was_harmed = True  # rotated, that is
        self.pid, self.config, self.arsenal = d.pid, d.read_config(), enemies.Arsenal(d)
        numbers = itertools.count(1)
        self.assertCode(d.ask("mark", {"n": 0}), "ok")  # what is made ready for the first action is not a leak
        self.sampler = measure.Sampler(d)
        self.baseline = self.sampler.look_at_rest()
        self.clients = [Calm(d, numbers, load.SEED + i) for i in range(CLIENTS)]
        for client in self.clients:
            client.up.set()
            client.start()
        self.sampler.start()
        self.go_through(self.schedule())
        self.end_bursts()
        for client in self.clients:
            client.finish()
        samples = self.sampler.stop()
        self.check_descriptors(samples)
        self.assertEqual(d.stop(), 0)
        d.start()
        audit = d.ask("status")["result"]["audit"]
        records = load.check_evidence(self, d, self.clients, f"{audit['seq']}:{audit['chain']}")
        self.check_memory(samples)
        self.tell(samples, records, self.check_accidents(records), *self.check_counts(records))

    def go_through(self, schedule):
        for when, event in schedule:
            while (rest := when - self.sampler.now()) > 0:
                time.sleep(min(rest, 1))  # the schedule is what is random here
                self.reap_bursts()
                self.look()
            if getattr(self, event.replace(" ", "_"))() is not False:
                self.happened[event].append(self.sampler.now())
            self.look()
        while self.sampler.now() < SECONDS:
            time.sleep(0.5)
            self.reap_bursts()
            self.look()

    def tell(self, samples: list[Sample], records, events, exact, refusals):
        """The figures, and the picture of them."""
        answers = collections.Counter(code for client in self.clients for code in client.answers.values())
        latencies = [pair for client in self.clients for pair in client.latencies]
        sent = sum(burst.total("sent") + burst.total("refused") for burst in self.bursts)
        files = len(load.log_files(self.d))
        values = {name: [getattr(s, name) for s in samples] for name in Sample._fields}
        print(f"\nseed {load.SEED}, {MINUTES:g} minutes, {len(samples)} samples"
              f"\nhappened: {({event: len(when) for event, when in self.happened.items()})}"
              f"\ncallers: {sum(answers.values())} actions asked for, answers {dict(answers)}, "
              f"{len(load.ran(self.d))} ran, {sum(client.replays for client in self.clients)} asked again; median "
              f"{1000 * measure.quantile([s for _, s in latencies], 0.5):.1f} ms, p99 "
              f"{1000 * measure.quantile([s for _, s in latencies], 0.99):.1f} ms"
              f"\nenemies: {len(self.bursts)} bursts, {sent} requests and connections, {refusals} refusals in the log, "
              f"{exact} of {len(self.bursts) * len(enemies.COUNTED)} counts exact, the others within what was possible"
              f"\nlog: {len(records)} records, {files} files, {values['log_bytes'][-1] / 2**20:.1f} MiB; "
              f"{events['interrupted']} interrupted, {events['gate_lost']} gates lost; 0 without intent, 0 twice, "
              "0 gaps", flush=True)
        for name in ("executor_pss", "gate_pss", "executor_fds", "gate_fds", "processes"):
            ordered = values[name]
            print(f"{name}: median {measure.quantile(ordered, 0.5):.0f}, highest {max(ordered)}, last {ordered[-1]}")
        if PICTURE:
            self.draw(samples, latencies)

    def draw(self, samples, latencies):
        began = self.sampler.began
        over_time = measure.over_time
        blue, orange, green = COLOURS["executor"], COLOURS["gate"], COLOURS["other"]
        panels = [
            ("memory, MiB (PSS)", [Line("executor", blue, over_time(samples, lambda s: s.executor_pss / 1024)),
                                   Line("gate", orange, over_time(samples, lambda s: s.gate_pss / 1024))]),
            ("open descriptors", [Line("executor", blue, over_time(samples, lambda s: s.executor_fds)),
                                  Line("gate", orange, over_time(samples, lambda s: s.gate_fds))]),
            ("processes", [Line("all, workers too", green, over_time(samples, lambda s: s.processes))]),
            ("audit log, MiB", [Line("all files", green, over_time(samples, lambda s: s.log_bytes / 2**20))]),
            ("a good caller waits, ms", [Line("slowest of each moment", green,
                                              sorted((at - began, 1000 * took) for at, took in latencies))])]
        marks = {"#cc2222": self.happened["executor killed"] + self.happened["executor restarted"],
                 "#ddaa77": self.happened["gate killed"]}
        measure.draw(PICTURE, f"A soak of {MINUTES:g} minutes (red: executor killed or restarted, brown: gate killed)",
                     SECONDS, panels, marks)


if __name__ == "__main__":
    unittest.main(verbosity=1)
