"""./dev bench with tiny counts: it runs, and says something about every target. What it says means nothing here."""

import json
import os
import subprocess
import sys
import tempfile
import unittest

import report

HERE = os.path.dirname(os.path.abspath(__file__))
PEERS = {"sudo_over_us": "sudo", "doas_over_us": "doas", "s6_over_us": "s6-sudo"}
NEEDED = {"status", "relay", "sync", "spawn", "fork", "decision", "command", "builtin", "64 clients, batch",
          "bare status", "bare decision", "bare command", "bare builtin",
          "relay, 64 clients", "version 1", "version 1, prototype", "verify"}
PATIENCE_S = 280


@unittest.skipUnless(os.geteuid() == 0, "needs root: it runs commands as other users")
class Bench(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "results.json")
            command = [sys.executable, "-B", os.path.join(HERE, "run.py"), "--tiny", f"--results={path}"]
            cls.done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
            if cls.done.returncode != 0:
                raise AssertionError(cls.done.stderr)
            with open(path, encoding="utf-8") as file:
                cls.results = json.load(file)

    def test_every_target_has_a_value(self):
        """Only a peer that is not installed may be missing."""
        measured = self.results["measured"]
        for key in report.TARGETS:
            with self.subTest(key=key):
                entry = self.results[key]
                if key in PEERS and PEERS[key] not in measured:
                    self.assertIsNone(entry["value"])
                    continue
                self.assertGreater(entry["value"], 0)
                self.assertLessEqual(entry["low"], entry["value"])
                self.assertLessEqual(entry["value"], entry["high"])

    def test_every_contestant_ran_in_every_round(self):
        """All of one series equally often."""
        measured = self.results["measured"]
        self.assertLessEqual(NEEDED, set(measured))
        for name, rounds in measured.items():
            self.assertEqual(len(rounds), 2, name)
            for figures in rounds:
                self.assertTrue(all(value > 0 for value in figures.values()), (name, figures))

    def test_the_parts_were_measured(self):
        """Each micro-benchmark of bench/micro/ has a time."""
        names = {name.partition("/")[0] for name in self.results["micro"]}
        self.assertLessEqual({"envelope_parse", "mac_of_bytes", "decide_among", "limiter_with_grants", "record_write",
                              "chain", "verify_log"}, names)
        self.assertTrue(all(entry["ns"] > 0 for entry in self.results["micro"].values()))

    def test_the_table_has_a_line_for_every_target(self):
        """What is printed is what the page gets."""
        for key in report.TARGETS:
            self.assertIn(f"| `{key}` |", self.done.stdout)


class Verdicts(unittest.TestCase):
    def test_a_missed_target_says_by_how_much(self):
        """Ratios that must be small, and ratios that must be large."""
        judged = report.judged({"status_over_relay": [3.0, 3.0], "group_commit_gain": [4.0, 4.0]})
        self.assertEqual(report.verdict(judged["status_over_relay"]), "missed by 100%")
        self.assertEqual(report.verdict(judged["group_commit_gain"]), "missed by 50%")

    def test_the_median_round_decides(self):
        """One lucky round meets no target."""
        judged = report.judged({"status_over_relay": [1.0, 1.6, 1.7]})
        self.assertFalse(judged["status_over_relay"]["met"])
        self.assertTrue(report.judged({"status_over_relay": [1.4, 1.5, 9.0]})["status_over_relay"]["met"])

    def test_the_page_keeps_what_is_not_the_table(self):
        """And is refused when it has no place for the table."""
        with tempfile.NamedTemporaryFile("w+", encoding="utf-8") as page:
            page.write("before\n<!-- bench: begin -->\nold\n<!-- bench: end -->\nafter\n")
            page.flush()
            report.replace_table(page.name, "new")
            page.seek(0)
            self.assertEqual(page.read(), "before\n<!-- bench: begin -->\n\nnew\n\n<!-- bench: end -->\nafter\n")
        with tempfile.NamedTemporaryFile("w+", encoding="utf-8") as page:
            with self.assertRaises(SystemExit):
                report.replace_table(page.name, "new")


if __name__ == "__main__":
    unittest.main()
