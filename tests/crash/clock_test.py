"""Windows and ids over kill -9, restart, reboot, suspend and clocks that somebody set, with the real daemon.

A preloaded library gives the daemon other clocks and another boot id (tests/support/set_clocks); time is not waited for.
"""

import os
import unittest

import load  # noqa: F401: it knows where daemon.py is
import daemon
import wire

PRELOAD = os.path.join(daemon.BUILD, "tests", "support", "libset_clocks.so")
LIMIT, WINDOW = 3, 3600
ACTIONS = f"""
[actions.mark]
command = ["/bin/sh", "-c", "echo ran >> @WORK@/ran"]
writes = ["@WORK@"]
rate_limit = {{ limit = {LIMIT}, window = "{WINDOW}s" }}
"""


class Clock(daemon.Scenario):
    def setUp(self):
        super().setUp()
        self.d = d = self.make(ACTIONS)
        self.wall = self.boot = 0
        self.boots = 0
        self.clocks, self.boot_id = os.path.join(d.folder, "clocks"), os.path.join(d.folder, "boot_id")
        d.env.update(LD_PRELOAD=PRELOAD, LUMINOUS_CLOCKS=self.clocks, LUMINOUS_BOOT_ID=self.boot_id,
                     ASAN_OPTIONS="verify_asan_link_order=0")
        with open("/proc/uptime", encoding="ascii") as file:
            self.uptime = int(float(file.read().split()[0]))
        self.set_clocks()
        self.new_boot_id()
        d.start()
        if d.events("start")[0]["boot_id"] != "boot-1":
            self.skipTest("the daemon was built so that its calls cannot be replaced")

    def set_clocks(self, wall=0, boot=0):
        """Moves the clocks by so many seconds."""
        self.wall += wall
        self.boot += boot
        with open(self.clocks + ".new", "w", encoding="ascii") as file:
            file.write(f"{self.wall} {self.boot}\n")
        os.rename(self.clocks + ".new", self.clocks)

    def pass_time(self, seconds):
        """As when the machine was suspended: both clocks have gone on."""
        self.set_clocks(seconds, seconds)

    def new_boot_id(self):
        self.boots += 1
        with open(self.boot_id, "w", encoding="ascii") as file:
            file.write(f"boot-{self.boots}\n")

    def restart(self, orderly=False):
        if orderly:
            self.assertEqual(self.d.stop(), 0)
        else:
            self.d.kill9()
        self.d.start()

    def reboot(self, off=0, orderly=False):
        """The boot clock begins anew; the wall clock goes on."""
        if orderly:
            self.assertEqual(self.d.stop(), 0)
        else:
            self.d.kill9()
        self.set_clocks(off)
        self.boot = 60 - self.uptime
        self.set_clocks()
        self.new_boot_id()
        self.d.start()

    def timestamp(self):
        return wire.timestamp(self.wall)

    def ask(self, **members):
        return self.d.ask("mark", timestamp=self.timestamp(), **members)

    def use_up(self):
        for _ in range(LIMIT):
            self.assertCode(self.ask(), "ok")
        self.refused()

    def refused(self):
        """Nothing runs, and the daemon says for how long."""
        before = self.lines(self.d)
        answer = self.assertCode(self.ask(), "rate_limited")
        self.assertEqual(self.lines(self.d), before)
        return answer["retry_after_ms"] / 1000

    def remaining(self):
        status = self.d.ask("status", {"detail": "actions"}, timestamp=self.timestamp())
        return status["result"]["actions"][0]["remaining"]

    def test_suspend_counts_and_so_does_nothing_else(self):
        """A27: time spent suspended slides the window, over kill -9 too, to the second."""
        self.use_up()
        self.pass_time(WINDOW - 60)
        self.restart()
        self.assertLessEqual(self.refused(), 60)
        self.pass_time(60)
        self.assertEqual(self.remaining(), LIMIT)
        self.restart(orderly=True)
        self.assertEqual(self.remaining(), LIMIT)
        self.assertCode(self.ask(), "ok")

    def test_clocks_set_in_either_direction(self):
        """A27: a clock set a day forward or back gives no budget, neither to the running daemon nor to the next."""
        self.use_up()
        for day in (86400, -86400, -86400, 86400):
            self.set_clocks(wall=day)
            self.refused()
            self.restart()
            self.refused()
        self.pass_time(WINDOW)
        self.assertEqual(self.remaining(), LIMIT)

    def test_a_reboot_gives_no_budget(self):
        """A27: after a reboot what is left of the window is still to be waited for."""
        self.use_up()
        self.pass_time(600)
        self.reboot(off=900)
        left = self.refused()
        self.assertTrue(WINDOW - 1500 - 30 <= left <= WINDOW - 1500, left)
        self.reboot(off=int(left) + 1, orderly=True)
        self.assertEqual(self.remaining(), LIMIT)

    def test_a_reboot_with_a_clock_that_went_back(self):
        """A27: a machine that comes up years in the past, for want of a battery, gives no budget either."""
        self.use_up()
        self.reboot(off=-3 * 365 * 86400)
        self.refused()
        self.set_clocks(wall=3 * 365 * 86400)  # the time server has answered
        self.refused()
        self.restart()
        self.refused()

    def test_a_clock_set_forward_before_a_reboot(self):
        """A27: a clock set a day forward while the daemon ran does not shorten the window of the next boot."""
        self.use_up()
        self.set_clocks(wall=86400)
        self.refused()
        self.reboot(off=10)
        self.refused()

    def test_no_clock_makes_a_request_new_again(self):
        """A10: a request that ran is known after restart, reboot and whenever its timestamp becomes fresh once more."""
        request = self.d.request("mark", timestamp=self.timestamp())
        self.assertCode(self.d.repeat(request), "ok")
        self.pass_time(7200)
        self.restart()
        self.set_clocks(wall=-7200)  # now its timestamp is fresh
        self.assertNotEqual(self.d.repeat(request)["code"], "rate_limited")
        self.restart()
        self.d.repeat(request)
        self.set_clocks(wall=7200)
        self.reboot(off=60)
        self.set_clocks(wall=-7260)
        self.d.repeat(request)
        self.assertEqual(len(self.lines(self.d)), 1)


if __name__ == "__main__":
    unittest.main(verbosity=1)
