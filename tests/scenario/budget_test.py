"""The limiter: what counts, for whom, and for how long."""

import time

import daemon

MANY = """
[actions.many]
command = ["/bin/echo", "{n}"]
parameters.n = { type = "integer", max = 1000 }
"""


class Budget(daemon.Scenario):
    def remaining(self, d, name, caller=None):
        actions = d.ask("status", {"detail": "actions"}, caller=caller)["result"]["actions"]
        return next(a["remaining"] for a in actions if a["name"] == name)

    def test_ten_in_five_minutes_is_the_default(self):
        """Ten requests are granted; the eleventh is refused, with the rest of the window as retry_after_ms."""
        d = self.start('[actions.a]\ncommand = ["/bin/true"]')
        for left in range(9, -1, -1):
            self.assertCode(d.ask("a"), "ok")
            self.assertEqual(self.remaining(d, "a"), left)
        answer = self.assertCode(d.ask("a"), "rate_limited")
        self.assertTrue(0 < answer["retry_after_ms"] <= 300000, answer)
        self.assertEqual(len(d.events("outcome")), 10)

    def test_the_window_slides(self):
        """After retry_after_ms, and not a moment before, the next request is granted."""
        d = self.start(MANY + 'rate_limit = { limit = 10, window = "3s" }')
        requests = {r.id: r for r in (d.request("many", {"n": n}) for n in range(11))}
        codes = []
        with d.connect() as connection:
            connection.send(b"".join(r.frame for r in requests.values()))
            for _ in range(11):
                answer = connection.answer()
                answer.check_mac(requests[answer["request_id"]])
                codes.append(answer["code"])
                if answer["code"] == "rate_limited":
                    free_at = time.monotonic() + answer["retry_after_ms"] / 1000
            self.assertEqual(sorted(codes), ["ok"] * 10 + ["rate_limited"])
            while (left := free_at - time.monotonic()) > 0:
                self.assertTrue(left <= 3)
                time.sleep(left)  # the one thing here that only time brings about
            self.assertCode(connection.ask(d.request("many", {"n": 12})), "ok")

    def test_names_are_exact(self):
        """A28: an action whose name begins with another's has its own budget."""
        limit = 'rate_limit = { limit = 1, window = "1h" }\n'
        d = self.start('[actions.restart]\ncommand = ["/bin/true"]\n' + limit +
                       '[actions.restart_all]\ncommand = ["/bin/true"]\n' + limit)
        self.assertCode(d.ask("restart"), "ok")
        self.assertCode(d.ask("restart"), "rate_limited")
        self.assertCode(d.ask("restart_all"), "ok")
        self.assertCode(d.ask("restart_all"), "rate_limited")

    def test_denied_requests_do_not_eat_budget(self):
        """A28: only granted requests count: not denials of any kind, not plans, not repetitions."""
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
        self.assertCode(d.ask("a", {}, caller="one"), "parameters_invalid")
        self.assertCode(d.ask("a", {"n": 1}, caller="two"), "action_not_allowed")
        self.assertCode(d.ask("a", {"n": 1}, caller="one", key=d.keys["two"]), "bad_signature")
        self.assertCode(d.ask("a", {"n": 1}, caller="one", audience="elsewhere"), "peer_not_allowed")
        self.assertCode(d.ask("a", {"n": 1}, caller="one", mode="plan"), "ok")
        self.assertEqual(self.remaining(d, "a", "one"), 2)
        request = d.request("a", {"n": 1}, caller="one")
        for _ in range(3):
            self.assertCode(d.repeat(request), "ok")
        self.assertEqual(self.remaining(d, "a", "one"), 1)
        self.assertCode(d.ask("a", {"n": 2}, caller="one"), "ok")
        for _ in range(3):
            self.assertCode(d.ask("a", {"n": 3}, caller="one"), "rate_limited")
        self.assertEqual(self.remaining(d, "a", "one"), 0)

    def test_failed_actions_count(self):
        """An action that was granted and failed has used its budget."""
        d = self.start('[actions.a]\ncommand = ["/bin/false"]\nrate_limit = { limit = 1, window = "1h" }')
        self.assertCode(d.ask("a"), "action_failed")
        self.assertCode(d.ask("a"), "rate_limited")

    def test_callers_share_an_action_s_budget_unless_they_have_their_own(self):
        """The budget is shared by all callers; a caller's own budget keeps it from starving the others."""
        d = self.start("""
[callers.greedy]
key = "greedy"
users = [@UID@]
actions = ["a"]
rate_limit = { limit = 2, window = "1h" }
[callers.other]
key = "other"
users = [@UID@]
actions = ["a"]
[actions.a]
command = ["/bin/true"]
rate_limit = { limit = 3, window = "1h" }
""")
        for _ in range(2):
            self.assertCode(d.ask("a", caller="greedy"), "ok")
        self.assertCode(d.ask("a", caller="greedy"), "rate_limited")
        self.assertCode(d.ask("a", caller="other"), "ok")
        self.assertCode(d.ask("a", caller="other"), "rate_limited")

    def test_status_is_not_limited(self):
        """status is answered however often it is asked."""
        d = self.start('[actions.a]\ncommand = ["/bin/true"]')
        with d.connect() as connection:
            for _ in range(30):
                self.assertCode(connection.ask(d.request("status")), "ok")

    def test_windows_survive_a_restart(self):
        """A27: neither an orderly restart nor kill -9 gives budget back."""
        d = self.start('[actions.a]\ncommand = ["/bin/true"]\nrate_limit = { limit = 3, window = "1h" }')
        self.assertCode(d.ask("a"), "ok")
        self.assertEqual(d.stop(), 0)
        d.start()
        self.assertEqual(self.remaining(d, "a"), 2)
        self.assertCode(d.ask("a"), "ok")
        d.kill9()
        d.start()
        self.assertEqual(self.remaining(d, "a"), 1)
        self.assertCode(d.ask("a"), "ok")
        d.kill9()
        d.start()
        self.assertCode(d.ask("a"), "rate_limited")

    def test_a_caller_s_window_survives_a_restart(self):
        """A27: a caller's own budget survives kill -9 as well."""
        d = self.start("""
[callers.one]
key = "one"
users = [@UID@]
actions = ["a"]
rate_limit = { limit = 1, window = "1h" }
[actions.a]
command = ["/bin/true"]
""")
        self.assertCode(d.ask("a", caller="one"), "ok")
        d.kill9()
        d.start()
        self.assertCode(d.ask("a", caller="one"), "rate_limited")

    def test_a_reload_does_not_give_budget_back(self):
        """A reload keeps what has been used, and a limit lowered by it holds at once."""
        d = self.start('[actions.a]\ncommand = ["/bin/true"]\nrate_limit = { limit = 5, window = "1h" }')
        for _ in range(2):
            self.assertCode(d.ask("a"), "ok")
        d.write_config(d.read_config().replace("limit = 5", "limit = 2"))
        d.reload()
        self.assertCode(d.ask("a"), "rate_limited")


if __name__ == "__main__":
    daemon.main()
