"""A request starts its action at most once, however often it is sent."""

import time
import unittest

import daemon
import wire

MARK = """
[callers.one]
key = "one"
users = [@UID@]
actions = ["mark"]
[callers.two]
key = "two"
users = [@UID@]
actions = ["mark"]
[actions.mark]
command = ["/bin/sh", "-c", "echo ran >> @WORK@/ran; echo done"]
writes = ["@WORK@"]
rate_limit = { limit = 100, window = "1h" }
"""


class Once(daemon.Scenario):
    def assertReplayed(self, again, first):
        """The recorded answer: the same but for the mark, and a MAC of its own."""
        self.assertIs(again["replayed"], True)
        self.assertEqual({**again.value, "replayed": None}, {**first.value, "replayed": None})

    def test_a_repeated_request_gets_the_recorded_answer(self):
        """The same bytes again, on the same or another connection, get the recorded answer; it ran once."""
        d = self.start(MARK)
        request = d.request("mark", caller="one")
        with d.connect() as connection:
            first = self.assertCode(connection.ask(request), "ok")
            self.assertNotIn("replayed", first.value)
            self.assertReplayed(connection.ask(request), first)
        self.assertReplayed(d.repeat(request), first)
        self.assertEqual(len(self.lines(d)), 1)
        self.assertEqual(len(d.events("outcome")), 1)
        self.assertEqual(len(d.events("decision")), 1)

    def test_repetitions_in_one_write_run_once(self):
        """The same bytes ten times in one write run once and get ten answers."""
        d = self.start(MARK)
        request = d.request("mark", caller="one")
        with d.connect() as connection:
            connection.send(request.frame * 10)
            answers = [connection.answer(request) for _ in range(10)]
        self.assertEqual({a["code"] for a in answers}, {"ok"})
        self.assertEqual(sum("replayed" not in a.value for a in answers), 1)
        self.assertEqual(len(self.lines(d)), 1)

    def test_repeating_while_it_runs_waits_for_it(self):
        """A repetition of what still runs, also from another connection, waits for its end."""
        d = self.make()
        hold = self.hold(d)
        d.configure(f'[actions.hold]\ncommand = ["/bin/cat", "{hold.path}"]').start()
        request = d.request("hold")
        with d.connect() as first, d.connect() as second, d.connect() as third:
            first.send(request.frame)
            hold.await_start()
            status = d.request("status")
            second.send(request.frame + status.frame)
            third.send(request.frame)
            self.assertCode(second.response(status), "ok")  # so the repetition before it has been read
            hold.release()
            answer = self.assertCode(first.response(request), "ok")
            self.assertReplayed(second.response(request), answer)
            self.assertReplayed(third.response(request), answer)
        self.assertEqual(len(d.events("outcome")), 1)

    def test_who_waits_is_answered_though_the_first_has_left(self):
        """A client that lost its connection asks again on a new one and gets the answer of the running action."""
        d = self.make()
        hold = self.hold(d)
        d.configure(f'[actions.hold]\ncommand = ["/bin/cat", "{hold.path}"]').start()
        request = d.request("hold")
        first = d.connect()
        first.send(request.frame)
        hold.await_start()
        first.close()
        with d.connect() as second:
            status = d.request("status")
            second.send(request.frame + status.frame)
            self.assertCode(second.response(status), "ok")
            hold.release()
            self.assertIs(self.assertCode(second.response(request), "ok")["replayed"], True)

    def repeat_and_leave(self, d, request, connections):
        """30 repeats on each connection, which is left once the executor has had them all."""
        for _ in range(connections):
            with d.connect() as connection:
                status = d.request("status")
                connection.send(request.frame * 30 + status.frame)
                self.assertCode(connection.response(status), "ok")

    @unittest.skipIf(daemon.SANITIZED, "its allocator keeps what was freed, which is what is looked at")
    def test_repeats_on_connections_that_are_gone_cost_nothing(self):
        """Whoever repeats a running request and leaves, again and again, takes no memory; its answer still comes."""
        names = [f"p{i}" for i in range(14)]
        arguments = "".join(f', "{{{name}}}"' for name in names)
        d = self.make(f'[actions.slow]\ncommand = ["@WORK@/slow"{arguments}]\n'
                      + "".join(f'parameters.{name} = {{ type = "string", pattern = "a*", max_length = 4000 }}\n'
                                for name in names))
        hold = self.hold(d)
        self.script(d, "work/slow", f"#!/bin/sh\nread x < {hold.path}\nexit 0\n")
        d.start()
        request = d.request("slow", {name: "a" * 4000 for name in names})

        with d.connect() as first:
            first.send(request.frame)
            hold.await_start()
            before = d.resident()
            self.repeat_and_leave(d, request, 100)  # each of the 3,000 would keep some 115 kB
            self.assertLess(d.resident() - before, 40 << 20)
            hold.release()
            self.assertCode(first.response(request), "ok")
        self.assertEqual(len(d.events("outcome")), 1)

    @unittest.skipIf(daemon.SANITIZED, "its allocator keeps what was freed, which is what is looked at")
    def test_repeats_are_forgotten_with_their_connection(self):
        """However many repeats of a small request leave, nothing is kept of one that waits no more."""
        d = self.make('[actions.slow]\ncommand = ["@WORK@/slow"]\n')
        hold = self.hold(d)
        self.script(d, "work/slow", f"#!/bin/sh\nread x < {hold.path}\nexit 0\n")
        d.start()
        request = d.request("slow")

        with d.connect() as first:
            first.send(request.frame)
            hold.await_start()
            self.repeat_and_leave(d, request, 100)
            before = d.resident()
            self.repeat_and_leave(d, request, 1000)  # 4 MB and more if each of the 30,000 were kept
            self.assertLess(d.resident() - before, 2 << 20)
            hold.release()
            self.assertCode(first.response(request), "ok")

    def test_the_same_id_with_other_bytes_is_refused(self):
        """The same id with other parameters, or the same with other white space, is id_reused and runs nothing."""
        d = self.start(MARK)
        request = d.request("mark", caller="one", id="once")
        self.assertCode(d.repeat(request), "ok")
        spaced = wire.Request(d.keys["one"], "one", None, raw=request.raw[:-1] + b" }")
        self.assertCode(d.repeat(spaced), "id_reused")
        self.assertCode(d.ask("mark", caller="one", id="once"), "id_reused")
        self.assertReplayed(d.repeat(request), d.repeat(request))
        self.assertEqual(len(self.lines(d)), 1)

    def test_ids_are_a_caller_s_own(self):
        """Two callers may use the same id; each gets its own answer."""
        d = self.start(MARK)
        self.assertCode(d.ask("mark", caller="one", id="same"), "ok")
        self.assertNotIn("replayed", self.assertCode(d.ask("mark", caller="two", id="same"), "ok").value)
        self.assertEqual(len(self.lines(d)), 2)

    def test_a_denial_is_remembered_too(self):
        """A denied request repeated gets its recorded denial, though the cause may have gone."""
        d = self.make()
        hold = self.hold(d)
        d.configure(f'[actions.hold]\ncommand = ["/bin/cat", "{hold.path}"]').start()
        running, refused = d.request("hold"), d.request("hold")
        with d.connect() as connection:
            connection.send(running.frame)
            hold.await_start()
            first = self.assertCode(d.repeat(refused), "busy")
            hold.release()
            self.assertCode(connection.response(running), "ok")
        self.assertReplayed(d.repeat(refused), first)
        self.assertEqual(len(d.events("outcome")), 1)

    def test_a_plan_and_a_run_are_different_requests(self):
        """A plan's id cannot be used again for the run."""
        d = self.start(MARK)
        self.assertCode(d.ask("mark", caller="one", id="p", mode="plan"), "ok")
        self.assertCode(d.ask("mark", caller="one", id="p"), "id_reused")
        self.assertEqual(self.lines(d), [])

    def test_the_recorded_answer_outlives_the_timestamp(self):
        """A10: repeated after its timestamp has become stale a request gets the recorded answer, a new one is stale."""
        d = self.start(MARK, daemon='max_clock_skew = "6s"')
        signed = time.monotonic()
        old = wire.timestamp(-3.5)
        request = d.request("mark", caller="one", timestamp=old)
        first = self.assertCode(d.repeat(request), "ok")
        time.sleep(max(0, signed + 2.7 - time.monotonic()))  # only time makes a timestamp stale
        self.assertCode(d.ask("mark", caller="one", timestamp=old), "stale")
        self.assertReplayed(d.repeat(request), first)
        self.assertEqual(len(self.lines(d)), 1)

    def test_answers_survive_a_restart(self):
        """After an orderly restart and after kill -9 the recorded answer is given, and nothing runs again."""
        d = self.start(MARK)
        request = d.request("mark", caller="one", reason="because")
        first = self.assertCode(d.repeat(request), "ok")
        self.assertEqual(d.stop(), 0)
        d.start()
        again = self.assertCode(d.repeat(request), "ok")
        self.assertIs(again["replayed"], True)
        for member in "request_id", "output", "verdict", "audit_seq", "duration_ms":
            self.assertEqual(again[member], first[member], member)
        d.kill9()
        d.start()
        self.assertIs(self.assertCode(d.repeat(request), "ok")["replayed"], True)
        self.assertCode(d.ask("mark", caller="one", id=request.id), "id_reused")
        self.assertEqual(len(self.lines(d)), 1)

    def test_denials_survive_a_restart(self):
        """A denial recorded before a restart is given again after it."""
        d = self.start(MARK)
        request = d.request("nonsense", caller="one")
        self.assertCode(d.repeat(request), "action_unknown")
        d.kill9()
        d.start()
        self.assertIs(self.assertCode(d.repeat(request), "action_unknown")["replayed"], True)


if __name__ == "__main__":
    daemon.main()
