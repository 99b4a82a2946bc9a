"""Ten ways to tamper with a real daemon's log, each at 60 random places: every one is found, the untouched log passes."""

import unittest

import tampering
import load
import daemon
from tampering import KINDS, PLACES


class Tamper(tampering.Tampering):
    def test_six_hundred_of_six_hundred(self):
        """Modify, insert, delete, reorder, duplicate, cut, cut and re-sign, drop, swap, splice: 60 places each, all found."""
        d = self.write_logs()
        untouched = load.verify([d.log_folder], load.first_key(d), self.head)
        self.assertEqual((untouched[0], untouched[1]["ok"]), (0, True), untouched)
        self.assertEqual(untouched[1]["records"], sum(len(lines) for lines in self.ours.values()))
        found, named = {}, {}
        for kind in KINDS:
            daemon.signal.setitimer(daemon.signal.ITIMER_REAL, daemon.PATIENCE)
            for place, (status, report, said) in enumerate(self.verdicts(d, kind)):
                with self.subTest(kind=kind, place=place, seed=load.SEED):
                    self.assertNotEqual(status, 0, "not found")
                    self.assertIs(report["ok"], False, said)
                    self.assertTrue(report["explanation"])
                    found[kind] = found.get(kind, 0) + 1
                    named.setdefault(kind, set()).add(report["damage"])
        print(f"\nseed {load.SEED}: " + "; ".join(f"{kind} {found.get(kind, 0)} of {PLACES} ({', '.join(sorted(named[kind]))})"
                                                 for kind in KINDS), flush=True)
        self.assertEqual(sum(found.values()), PLACES * len(KINDS))


if __name__ == "__main__":
    unittest.main(verbosity=1)
