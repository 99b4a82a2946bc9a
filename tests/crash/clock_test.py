"""Windows and ids over kill -9, restart, reboot, suspend and clocks that somebody set, with the real daemon."""

import unittest

import windows
from windows import LIMIT, WINDOW


class Clock(windows.Windows):
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
