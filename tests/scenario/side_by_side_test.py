"""Several callers at once: order is asserted, never time."""

import contextlib

import daemon

CONFIG = """
[callers.one]
key = "one"
users = [@UID@]
actions = ["hold", "echo"]
[callers.two]
key = "two"
users = [@UID@]
actions = ["hold", "echo"]
[callers.three]
key = "three"
users = [@UID@]
actions = ["hold", "echo"]
[actions.hold]
command = ["/bin/sh", "@FOLDER@/hold.sh", "{n}"]
parameters.n = { type = "integer", max = 99 }
[actions.echo]
command = ["/bin/echo", "{text}"]
parameters.text = { type = "string", pattern = "[a-z0-9]+" }
rate_limit = { limit = 1000, window = "1h" }
"""


class SideBySide(daemon.Scenario):
    def setUp(self):
        super().setUp()
        self.d = self.make()
        self.script(self.d, "hold.sh", f"#!/bin/sh\nexec cat {self.d.work}/hold$1\n")
        self.d.configure(CONFIG.replace("@FOLDER@", self.d.folder)).start()
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)

    def connect(self):
        return self.stack.enter_context(self.d.connect())

    def hold_one(self, connection, n, caller):
        """Starts a hold action, and returns when its command runs."""
        hold = self.hold(self.d, f"hold{n}")
        request = self.d.request("hold", {"n": n}, caller=caller)
        connection.send(request.frame)
        return hold.await_start(), request

    def test_two_callers_are_served_while_a_third_action_runs(self):
        """A34: status and actions of two callers are answered before a third caller's running action ends."""
        slow, one, two = self.connect(), self.connect(), self.connect()
        hold, request = self.hold_one(slow, 1, "three")
        for n in range(5):
            self.assertCode(one.ask(self.d.request("status", caller="one")), "ok")
            self.assertCode(two.ask(self.d.request("echo", {"text": f"t{n}"}, caller="two")), "ok")
        status = one.ask(self.d.request("status", caller="one"))
        self.assertEqual(status["result"]["running"], 1)  # so all that came before the end of the action
        hold.release()
        self.assertCode(slow.response(request), "ok")
        outcomes = [r["action"] for r in self.d.events("outcome")]
        self.assertEqual(outcomes, ["echo"] * 5 + ["hold"])

    def test_one_connection_gets_answers_out_of_order(self):
        """On one connection a quick request is answered before a slow one that came first."""
        connection = self.connect()
        hold, request = self.hold_one(connection, 1, "one")
        self.assertCode(connection.ask(self.d.request("echo", {"text": "quick"}, caller="one")), "ok")
        hold.release()
        self.assertCode(connection.response(request), "ok")

    def test_one_run_per_target(self):
        """Different targets of one action run side by side, the same target does not, whoever asks."""
        first, second, third = self.connect(), self.connect(), self.connect()
        hold1, request1 = self.hold_one(first, 1, "one")
        hold2, request2 = self.hold_one(second, 2, "two")
        self.assertCode(third.ask(self.d.request("hold", {"n": 1}, caller="three")), "busy")
        self.assertCode(third.ask(self.d.request("hold", {"n": 2}, caller="one")), "busy")
        hold2.release()
        self.assertCode(second.response(request2), "ok")
        hold1.release()
        self.assertCode(first.response(request1), "ok")

    def test_the_same_target_in_one_write(self):
        """Two requests for one target in one write: one runs, the other is busy."""
        connection = self.connect()
        hold = self.hold(self.d, "hold7")
        requests = {r.id: r for r in (self.d.request("hold", {"n": 7}, caller="one") for _ in range(2))}
        connection.send(b"".join(r.frame for r in requests.values()))
        answer = connection.answer()
        answer.check_mac(requests.pop(answer["request_id"]))
        self.assertCode(answer, "busy")
        hold.await_start().release()
        (left,) = requests.values()
        self.assertCode(connection.response(left), "ok")

    def test_many_clients_many_requests(self):
        """20 connections with 10 pipelined requests each: every request is answered once, to its own connection."""
        connections = [self.connect() for _ in range(20)]
        asked = []
        for c, connection in enumerate(connections):
            requests = {r.id: r for r in (self.d.request("status", caller=("one", "two", "three")[c % 3])
                                          for _ in range(10))}
            connection.send(b"".join(r.frame for r in requests.values()))
            asked.append(requests)
        for connection, requests in zip(connections, asked):
            for _ in range(10):
                answer = connection.answer()
                answer.check_mac(requests.pop(answer["request_id"]))
                self.assertCode(answer, "ok")
            self.assertEqual(requests, {})

    def test_slow_clients_do_not_hurt_a_good_one(self):
        """A35: with 100 connections in the middle of a frame or deaf, a good one is served."""
        if not daemon.ROOT:
            self.skipTest("needs root: others have 32 connections")
        for n in range(100):
            connection = self.connect()
            connection.send(b'{"v":2,"caller":' if n % 2 else self.d.request("status", caller="one").frame * 5)
        good = self.connect()
        for n in range(5):
            self.assertCode(good.ask(self.d.request("echo", {"text": f"g{n}"}, caller="two")), "ok")


if __name__ == "__main__":
    daemon.main()
