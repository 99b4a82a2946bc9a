"""A disk that fails: ENOSPC, EIO, EROFS and short writes at each write and sync of a request (tests/support/disk_faults)."""

import itertools
import random
import unittest

import bad_disk
import load
import daemon
from bad_disk import ALL, KINDS


class Fault(bad_disk.BadDisk):
    def check_one(self, n, answer):
        """Recorded and run, or neither; or run and recorded later."""
        ran = load.ran(self.d).count(n)
        self.assertIn(answer["code"], ("ok", "audit_unavailable"))
        if answer["code"] == "ok":
            self.assertEqual(ran, 1)
        elif "ended with" in answer["error"]:
            self.assertEqual(ran, 1)
            self.outcomes_owed.add(n)
        else:
            self.assertEqual(ran, 0, f"ran unrecorded: {answer}")
        self.assertTrue(daemon.is_alive(self.d.pid))

    def conclude(self):
        """The same log after it all: whole, and every recovery and every late outcome in it."""
        owed = self.outcomes_owed
        self.d.kill9()
        self.d.env.clear()
        self.d.start()
        records = load.check_evidence(self, self.d, [self])
        intents = {r["request_id"]: r["parameters"]["n"] for r in records
                   if r["event"] == "decision" and r["decision"] == "allow" and r["action"] == "mark"}
        ended = {intents[r["request_id"]]: r["code"] for r in records if r["event"] == "outcome"}
        self.assertEqual({ended.get(n) for n in owed} - {"ok"}, set(), "late outcomes")
        return records

    def setUp(self):
        super().setUp()
        self.outcomes_owed = set()

    def test_each_write_and_sync_of_a_request(self):
        """Whichever operation fails, once or from then on: never run unrecorded, the daemon lives, recovery is recorded."""
        self.start_on_bad_disk()
        operations = self.operations(self.ask)
        self.assertEqual([o for o in operations if o in ("write", "fdatasync")], ["write", "fdatasync"] * 2)
        refused, cases = 0, 0
        for kind, error in KINDS.items():
            for number, times in itertools.product(range(1, len(operations) + 1), (1, ALL)):
                daemon.signal.setitimer(daemon.signal.ITIMER_REAL, daemon.PATIENCE)
                with self.subTest(kind=kind, operation=f"{number} {operations[number - 1]}", times=times):
                    self.fail_at(number, error, times)
                    n, answer = self.ask()
                    self.check_one(n, answer)
                    cases += 1
                    refused += answer["code"] != "ok"
                    self.heal()
                    self.check_one(*self.ask())
        records = self.conclude()
        recovered = sum(r["event"] == "recovered" for r in records)
        print(f"\n{cases} faults at {operations}: {refused} answered audit_unavailable, {recovered} recoveries recorded",
              flush=True)
        self.assertGreaterEqual(recovered, refused)
        self.assertGreaterEqual(refused, 4 * 2)

    def test_random_faults_over_rotations_and_epochs(self):
        """The same at random operations while files are rotated and keys stepped."""
        self.start_on_bad_disk('rotate_size = "128KiB"\nkeep = 10000\nreserve = "128KiB"\n')
        rng = random.Random(load.SEED)
        faults = 0
        while faults < min(60, load.ROUNDS // 4):
            daemon.signal.setitimer(daemon.signal.ITIMER_REAL, daemon.PATIENCE)
            for _ in range(rng.randrange(60)):
                self.check_one(*self.ask(reason="r" * 500))
            self.fail_at(rng.randrange(1, 9), rng.choice(list(KINDS.values())), rng.choice((1, 2, ALL)))
            for _ in range(3):
                self.check_one(*self.ask(reason="r" * 500))
            faults += 1
            self.heal()
        records = self.conclude()
        print(f"\nseed {load.SEED}: {faults} faults in {len(self.answers)} requests, {len(load.log_files(self.d))} files, "
              f"{sum(r['event'] == 'recovered' for r in records)} recoveries recorded, "
              f"{sum(r['event'] == 'key_epoch' for r in records)} epochs", flush=True)


if __name__ == "__main__":
    unittest.main(verbosity=1)
