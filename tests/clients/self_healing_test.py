"""examples/self_healing.py: when it asks, and what it believes. tests/system/self_healing.sh runs it on a real systemd."""

import argparse
import importlib.util
import os

import support
from support import daemon

import luminous_healing as lh

CONFIG = """
[callers.tester]
key = "tester"
users = [@UID@]
actions = ["heals", "does_not_heal", "fails", "cannot_tell", "once"]
[actions.heals]
command = ["/bin/true"]
verify = ["/bin/true"]
[actions.does_not_heal]
command = ["/bin/true"]
verify = ["/bin/false"]
[actions.fails]
command = ["/bin/false"]
[actions.cannot_tell]
command = ["/bin/true"]
[actions.once]
command = ["/bin/true"]
verify = ["/bin/true"]
rate_limit = { limit = 1, window = "1h" }
"""

SPEC = importlib.util.spec_from_file_location("self_healing", os.path.join(support.ROOT, "examples", "self_healing.py"))
example = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(example)


class SelfHealing(support.ClientScenario):
    def healer(self, d, **options):
        settings = {"plan": False, "cool_down": 60.0, "longest_cool_down": 3600.0, "units": ["no-such-*.service"],
                    "memory_pressure": 101.0, **options}
        return example.Healer(lh.HealingClient(**self.settings(d)), argparse.Namespace(**settings))

    def asked(self, d, action):
        return len(d.events("decision", action=action))

    def test_only_a_verdict_is_believed(self):
        """Healed counts; not healed, failed, denied and what nobody can check do not, and are asked for later."""
        d = self.start(CONFIG)
        healer = self.healer(d)
        for action, better, wait in (("heals", True, 60.0), ("does_not_heal", False, 120.0), ("fails", False, 120.0),
                                     ("cannot_tell", False, 120.0), ("denied", False, 120.0)):
            with self.subTest(action):
                wish = example.Wish(60.0, 3600.0)
                self.assertIs(healer.ask(wish, (action, ()), "it is ill", 1000.0), better)
                self.assertEqual(wish.not_before, 1000.0 + wait)
        self.assertEqual({r["reason"] for r in d.events("decision")}, {"it is ill"})

    def test_the_daemon_s_own_wait_is_kept(self):
        """Over its budget it does not ask before the daemon said, however short its own cool-down is."""
        d = self.start(CONFIG)
        healer, wish = self.healer(d), example.Wish(0.1, 1.0)
        self.assertTrue(healer.ask(wish, ("once", ()), "why", 0.0))
        self.assertFalse(healer.ask(wish, ("once", ()), "why", 0.0))
        self.assertGreater(wish.not_before, 3000.0)

    def test_without_a_daemon_it_goes_on(self):
        """Nobody there: told, and asked again later."""
        d = self.start(CONFIG)
        healer, wish = self.healer(d), example.Wish(60.0, 3600.0)
        d.stop()
        self.assertFalse(healer.ask(wish, ("heals", ()), "why", 0.0))
        self.assertEqual(wish.not_before, 120.0)

    def test_the_cool_down_doubles_up_to_the_longest(self):
        """Each time that did not help doubles the wait; helping keeps it; being well for that long forgets it."""
        wish = example.Wish(60.0, 200.0)
        waits = []
        for _ in range(4):
            wish.did_not_help(0.0)
            waits.append(wish.not_before)
        self.assertEqual(waits, [120.0, 200.0, 200.0, 200.0])
        self.assertFalse(wish.is_due(199.0))
        self.assertTrue(wish.is_due(200.0))
        self.assertFalse(wish.may_be_forgotten(1000.0))
        self.assertFalse(wish.may_be_forgotten(1199.0))
        self.assertTrue(wish.may_be_forgotten(1200.0))
        wish.is_due(1201.0)  # ill again: being well begins anew
        self.assertFalse(wish.may_be_forgotten(1202.0))

    @daemon.unittest.skipUnless(os.path.exists("/proc/pressure/memory"), "this kernel has no pressure accounting")
    def test_memory_pressure_is_the_kernel_s(self):
        """The kernel's number is read, and above the limit there is something to ask for."""
        self.assertGreaterEqual(example.memory_pressure(), 0.0)
        healer = self.healer(self.start(CONFIG), memory_pressure=0.0)
        self.assertIn(("clear_system_cache", ()), healer.symptoms())

    def test_a_round_asks_once_in_a_cool_down(self):
        """What is ill for a while is asked for once in each cool-down, and not in each round."""
        d = self.start(CONFIG)
        healer = self.healer(d)
        healer.symptoms = lambda: {("does_not_heal", ()): "still ill"}
        for now in 0.0, 1.0, 119.0, 120.0, 121.0, 359.0, 360.0:
            self.assertFalse(healer.round(now))
        self.assertEqual(self.asked(d, "does_not_heal"), 3)
        healer.symptoms = lambda: {}
        self.assertTrue(healer.round(400.0))
        self.assertEqual(len(healer.wishes), 1)
        healer.round(10_000.0)
        self.assertEqual(healer.wishes, {})


if __name__ == "__main__":
    daemon.main()
