"""kill -9 of executor, gate or worker at random moments under load. LUMINOUS_ROUNDS (100) and LUMINOUS_SEED."""

import collections
import contextlib
import itertools
import os
import random
import signal
import time
import unittest

import load
import daemon

CLIENTS = 3


class Kill(daemon.Scenario):
    def setUp(self):
        super().setUp()
        self.strays_expected = True  # a worker that the kill caught before its first instruction ends by itself
        self.random = random.Random(load.SEED)
        self.killed = collections.Counter()

    def workers(self, d, gate):
        return [pid for pid in daemon.children_of(d.pid) if pid != gate and daemon.name_of(pid) != "healing-keeper"]

    def gate(self, d):
        """Nothing while it is being replaced."""
        with contextlib.suppress(AssertionError):
            return d.gate_pid()
        return None

    def look_again_and_again(self, d):
        """Every 25th time: what the killed daemon left is a whole chain as it lies there."""
        if self.killed["executor"] % 25 == 24:
            status, report, said = load.verify([d.log_folder], load.first_key(d))
            self.assertEqual(status, 0, f"{report} {said}")

    def kill_one(self, d):
        """One round: the victim, or None when there was none to kill."""
        time.sleep(self.random.uniform(0, 0.03))  # the moment is what is random here
        kind = self.random.choice(("executor", "executor", "gate", "worker"))
        if kind == "executor":
            for client in self.clients:
                client.up.clear()
            d.kill9()
            self.look_again_and_again(d)
            d.start()
            for client in self.clients:
                client.up.set()
            return kind
        gate = self.gate(d)
        victims = [gate] if kind == "gate" else self.workers(d, gate)
        if gate is None or not victims:
            return None
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.random.choice(victims), signal.SIGKILL)
            return kind
        return None

    def test_kill_9_at_random_moments_under_load(self):
        """Whatever is killed and when: no action without intent, none twice, no gap, chain whole, orphans marked."""
        d = load.configured(self).start()
        d.log_was_harmed = True  # rotated, that is
        numbers = itertools.count(1)
        self.clients = [load.Client(d, numbers, load.SEED + i) for i in range(CLIENTS)]
        for client in self.clients:
            client.up.set()
            client.start()
        while sum(self.killed.values()) < load.ROUNDS:
            signal.setitimer(signal.ITIMER_REAL, daemon.PATIENCE)
            victim = self.kill_one(d)
            if victim:
                self.killed[victim] += 1
            for client in self.clients:
                if client.error is not None:
                    raise client.error
        for client in self.clients:
            client.finish()
        d.kill9()
        d.start()
        audit = d.ask("status")["result"]["audit"]
        records = load.check_evidence(self, d, self.clients, f"{audit['seq']}:{audit['chain']}")
        answered = collections.Counter(code for client in self.clients for code in client.answers.values())
        print(f"\nseed {load.SEED}: killed {dict(self.killed)}; {len(load.ran(d))} actions ran; answers {dict(answered)}; "
              f"{sum(c.replays for c in self.clients)} replays; {len(records)} records, "
              f"{sum(r['event'] == 'interrupted' for r in records)} interrupted, "
              f"{len(load.log_files(d))} files; 0 without intent, 0 twice, 0 gaps", flush=True)
        self.assertGreater(answered["ok"], load.ROUNDS / 4)


if __name__ == "__main__":
    unittest.main(verbosity=1)
