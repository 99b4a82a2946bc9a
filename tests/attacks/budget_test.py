"""The rate limiter: what resets it (nothing), and what counts (exactly what was granted)."""

import os

import attack
import daemon
import windows

ONE = 'command = ["/bin/true"]\nrate_limit = { limit = 1, window = "1h" }\n'


class Budget(attack.Attack):
    def remaining(self, d, action, caller=None):
        actions = d.ask("status", {"detail": "actions"}, caller=caller)["result"]["actions"]
        (found,) = [a["remaining"] for a in actions if a["name"] == action]
        return found

    def test_A27_neither_kill_9_nor_restart_nor_reload_gives_budget_back(self):
        """A window that is used up stays so over kill -9, an orderly restart and a reload."""
        d = self.start("[actions.a]\n" + ONE)
        self.assertCode(d.ask("a"), "ok")
        self.assertCode(d.ask("a"), "rate_limited")
        d.kill9()
        d.start()
        self.assertCode(d.ask("a"), "rate_limited")
        self.assertEqual(d.stop(), 0)
        d.start()
        self.assertCode(d.ask("a"), "rate_limited")
        d.reload()
        self.assertCode(d.ask("a"), "rate_limited")
        self.assertEqual(len(d.events("outcome")), 1)

    def test_A27_a_log_that_cannot_be_read_back_is_no_fresh_budget(self):
        """Without the log that windows are rebuilt from, or its key, the daemon does not start."""
        for harm in os.unlink, lambda path: os.unlink(path + ".key"), lambda path: self.overwrite(path + ".key"):
            d = self.start("[actions.a]\n" + ONE)
            d.log_was_harmed = True
            self.assertCode(d.ask("a"), "ok")
            self.assertEqual(d.stop(), 0)
            harm(d.log_path)
            self.assertNotEqual(d.spawn().wait(), 0)
            self.assertIn("audit.json", d.journal())

    def overwrite(self, path):
        size = os.path.getsize(path)
        with open(path, "r+b") as file:
            file.write(b"x" * size)

    def test_A28_a_budget_is_found_by_the_whole_name_of_its_action(self):
        """`restart` does not eat the budget of an action whose name begins with its own."""
        d = self.start("".join(f"[actions.{name}]\n{ONE}" for name in ("restart", "restart_all", "restart_all_now")))
        for name in "restart_all", "restart", "restart_all_now":
            self.assertCode(d.ask(name), "ok")
            self.assertCode(d.ask(name), "rate_limited")

    def test_A28_what_was_denied_or_only_planned_costs_no_budget(self):
        """Denied parameters, actions, signatures, audiences, plans and repetitions count nothing; a grant counts."""
        d = self.start("""
[callers.one]
key = "one"
users = [@UID@]
actions = ["a"]
[callers.two]
key = "two"
users = [@UID@]
actions = ["b"]
[actions.a]
command = ["/bin/echo", "{n}"]
parameters.n = { type = "integer", max = 9 }
rate_limit = { limit = 2, window = "1h" }
[actions.b]
command = ["/bin/true"]
""")
        self.assertCode(d.ask("a", {"n": 10}, caller="one"), "parameters_invalid")
        self.assertCode(d.ask("a", {"n": 1, "m": 1}, caller="one"), "parameters_invalid")
        self.assertCode(d.ask("a", {"n": 1}, caller="two"), "action_not_allowed")
        self.assertCode(d.ask("a", {"n": 1}, caller="one", key=d.keys["two"]), "bad_signature")
        self.assertCode(d.ask("a", {"n": 1}, caller="one", audience="elsewhere"), "peer_not_allowed")
        self.assertCode(d.ask("a", {"n": 1}, caller="one", mode="plan"), "ok")
        self.assertEqual(self.remaining(d, "a", "one"), 2)
        request = d.request("a", {"n": 1}, caller="one")
        for _ in range(3):
            self.assertCode(d.repeat(request), "ok")
        self.assertEqual(self.remaining(d, "a", "one"), 1)

    def test_A28_a_caller_with_a_budget_of_its_own_starves_nobody(self):
        """A greedy caller meets its own limit before it has used up the action's for the others."""
        caller = '[callers.{0}]\nkey = "{0}"\nusers = [@UID@]\nactions = ["a"]\n'
        own = 'rate_limit = { limit = 2, window = "1h" }\n'
        d = self.start(caller.format("greedy") + own + caller.format("greedy-too") +
                       '[actions.a]\ncommand = ["/bin/true"]\nrate_limit = { limit = 3, window = "1h" }')
        codes = [d.ask("a", caller="greedy")["code"] for _ in range(5)]
        self.assertEqual(codes, ["ok"] * 2 + ["rate_limited"] * 3)
        self.assertCode(d.ask("a", caller="greedy-too"), "ok")


class Clocks(windows.Windows):
    def test_A27_time_suspended_slides_the_window_and_a_clock_that_was_set_does_not(self):
        """The boot clock counts, suspend included; setting the wall clock or rebooting into the past gives nothing."""
        self.use_up()
        for day in (86400, -86400):
            self.set_clocks(wall=day)
            self.refused()
            self.restart()
            self.refused()
        self.reboot(off=-3 * 365 * 86400)
        self.refused()
        self.set_clocks(wall=3 * 365 * 86400)
        self.pass_time(windows.WINDOW - 60)
        self.refused()
        self.pass_time(60)
        self.assertEqual(self.remaining(), windows.LIMIT)


if __name__ == "__main__":
    daemon.main()
