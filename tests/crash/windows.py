"""A daemon with one window, and clocks that a test sets."""

import load  # noqa: F401: it knows where daemon.py is
import clocks

LIMIT, WINDOW = 3, 3600
ACTIONS = f"""
[actions.mark]
command = ["/bin/sh", "-c", "echo ran >> @WORK@/ran"]
writes = ["@WORK@"]
rate_limit = {{ limit = {LIMIT}, window = "{WINDOW}s" }}
"""


class Windows(clocks.SetClocks):
    def setUp(self):
        super().setUp()
        self.start_with_clocks(ACTIONS)

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
