"""The Python clients against the real daemon: one set of rules for the blocking and the asyncio one."""

import os
import unittest
import unittest.mock

import support
from support import daemon

import luminous_healing as lh

CONFIG = """
[callers.tester]
key = "tester"
users = [@UID@]
actions = ["hello", "mark", "fail", "hold", "talk", "once", "slow", "gone", "status_quo", "many"]
[actions.hello]
command = ["/bin/echo", "hello", "{name}"]
parameters.name = { type = "string", pattern = "[a-zäöü ]+" }
[actions.mark]
command = ["/bin/sh", "-c", "echo ran >> @WORK@/ran; echo marked"]
writes = ["@WORK@"]
[actions.fail]
command = ["/bin/false"]
[actions.hold]
command = ["/bin/sh", "-c", "echo ran >> @WORK@/ran; exec cat @WORK@/hold"]
writes = ["@WORK@"]
[actions.talk]
command = ["/bin/sh", "-c", "echo one; echo two"]
[actions.once]
command = ["/bin/true"]
rate_limit = { limit = 1, window = "1h" }
[actions.slow]
command = ["/bin/cat", "@WORK@/slow"]
timeout = "100ms"
[actions.gone]
command = ["/bin/true"]
verify = ["/bin/false"]
[actions.status_quo]
command = ["/bin/true"]
verify = ["/bin/true"]
[actions.many]
command = ["/bin/echo", "{count}"]
parameters.count = { type = "integer", min = 1, max = 9223372036854775807 }
[actions.other]
command = ["/bin/true"]
[callers.foreign]
key = "foreign"
users = [4294967294]
actions = ["mark"]
"""


class Rules:
    """What holds for both; `self.client` makes the one or the other."""

    def client(self, d, **settings):
        raise NotImplementedError

    # --- asking ---

    def test_one_line_runs_an_action(self):
        """run() returns the proven answer of an action that ran."""
        d = self.start(CONFIG)
        answer = self.client(d).run("hello", name="wörld")
        self.assertEqual((answer.output, answer.success, answer.code), ("hello wörld\n", True, lh.Code.OK))
        self.assertEqual(answer.verdict, lh.Verdict.UNVERIFIABLE)
        self.assertFalse(answer.healed)
        self.assertTrue(answer.authenticated)
        (outcome,) = d.events("outcome")
        self.assertEqual((outcome["request_id"], outcome["seq"]), (answer.request_id, answer.audit_seq))

    def test_healed_is_what_the_daemon_checked(self):
        """Only a check that passed makes an answer healed."""
        self.assertTrue(self.client(self.start(CONFIG)).run("status_quo").healed)

    def test_a_plan_runs_nothing(self):
        """plan() has everything but running done."""
        d = self.start(CONFIG)
        self.assertIn("nothing was", self.client(d).plan("mark").output)
        self.assertEqual(self.lines(d), [])

    def test_status_and_actions(self):
        """status() describes the daemon, actions() what this caller may have."""
        client = self.client(self.start(CONFIG))
        self.assertEqual(client.status()["version"], lh.__version__)
        names = [action["name"] for action in client.actions()]
        self.assertIn("hello", names)
        self.assertNotIn("other", names)

    def test_progress_comes_as_an_iterator(self):
        """stream() gives the events in order, then the answer."""
        events, answer = self.client(self.start(CONFIG)).stream("talk")
        self.assertEqual(events[0].kind, "started")
        self.assertEqual([e.sequence for e in events], list(range(1, len(events) + 1)))
        self.assertEqual(answer.output, "one\ntwo\n")

    def test_reason_and_deadline_reach_the_daemon(self):
        """What with_options() says is audited, and binds the daemon."""
        d = self.start(CONFIG)
        self.client(d).with_options(reason="memory at 97 %").run("mark")
        self.assertEqual([r["reason"] for r in d.events("decision")], ["memory at 97 %"])
        self.hold(d)
        with self.assertRaises(lh.TimedOut):
            self.client(d).with_options(deadline=0.2).run("hold")
        with self.assertRaises(lh.Denied):
            self.client(d).with_options(audience="some-other-host").run("mark")
        self.assertEqual(self.lines(d), ["ran", "ran"])

    def test_big_integers_arrive_whole(self):
        """A number that no double can hold arrives as it is."""
        self.assertEqual(self.client(self.start(CONFIG)).run("many", count=2**63 - 1).output, f"{2**63 - 1}\n")

    # --- exceptions by code ---

    def test_each_refusal_has_its_exception(self):
        """The exception tells the code, and whether anything ran."""
        d = self.start(CONFIG)
        client, outcomes = self.client(d), lambda: len(d.events("outcome"))
        for exception, base, call in (
                (lh.ActionUnknown, lh.Denied, lambda: client.run("rm_rf")),
                (lh.ActionNotAllowed, lh.Denied, lambda: client.run("other")),
                (lh.ParametersInvalid, lh.Denied, lambda: client.run("hello")),
                (lh.ParametersInvalid, lh.Denied, lambda: client.run("hello", name="world", more=1)),
                (lh.BadRequest, lh.Denied, lambda: client.run("no such name!")),
                (lh.NotAuthenticated, lh.Denied, lambda: self.client(d, key="x" * 64).run("mark")),
                (lh.NotAuthenticated, lh.Denied, lambda: self.client(d, caller="nobody").run("mark")),
                (lh.PeerNotAllowed, lh.Denied,
                 lambda: self.client(d, caller="foreign", key=d.keys["foreign"]).run("mark")),
                (lh.Stale, lh.Denied, lambda: client.ask_checked("mark", timestamp="2020-01-01T00:00:00Z")),
        ):
            with self.subTest(exception.__name__):
                with self.assertRaises(exception) as caught:
                    call()
                self.assertIsInstance(caught.exception, base)
                self.assertIs(caught.exception.answer.success, False)
        self.assertEqual(outcomes(), 0)

    def test_what_ran_and_did_not_end_well(self):
        """An action that failed, did not heal or took too long raises so, with its answer."""
        d = self.start(CONFIG)
        self.hold(d, "slow")
        for exception, action in ((lh.ActionFailed, "fail"), (lh.NotHealed, "gone"), (lh.TimedOut, "slow")):
            with self.subTest(action), self.assertRaises(exception) as caught:
                self.client(d).run(action)
            self.assertIsInstance(caught.exception, lh.Ran)
            self.assertEqual(caught.exception.request_id, caught.exception.answer.request_id)

    def test_a_used_up_budget_says_when_to_ask_again(self):
        """RateLimited carries the seconds until the window slides."""
        client = self.client(self.start(CONFIG))
        client.run("once")
        with self.assertRaises(lh.RateLimited) as caught:
            client.run("once")
        self.assertTrue(3000 < caught.exception.retry_after <= 3600, caught.exception.retry_after)

    def test_an_id_is_good_for_one_request(self):
        """Another request with a used id is refused."""
        d = self.start(CONFIG)
        client = self.client(d)
        client.ask(client.sign("mark", request_id="mine"))
        self.assertIs(client.ask(client.sign("mark", {}, request_id="mine")).code, lh.Code.ID_REUSED)
        self.assertEqual(self.lines(d), ["ran"])

    # --- once ---

    def test_the_same_signed_request_runs_once(self):
        """Asking again with the same signed request repeats the answer and runs nothing."""
        d = self.start(CONFIG)
        client = self.client(d)
        request = client.sign("mark")
        first, second = client.ask(request), client.ask(request)
        self.assertEqual((first.replayed, second.replayed), (False, True))
        self.assertEqual(first.output, second.output)
        self.assertEqual(self.lines(d), ["ran"])

    def test_a_lost_answer_is_asked_for_again(self):
        """The daemon's answer is lost on the way: the same bytes are sent again, and the action ran once."""
        d = self.start(CONFIG)
        relay = self.relay(d, lambda number, line: support.Last() if number < 3 else line)
        answer = self.client(d, socket_path=relay.path).run("mark")
        self.assertTrue(answer.replayed)
        self.assertEqual(len(relay.sent), 3)
        self.assertEqual(len(set(relay.sent)), 1)
        self.assertEqual(self.lines(d), ["ran"])

    def test_a_torn_answer_is_asked_for_again(self):
        """Half an answer is none: the same bytes are sent again."""
        d = self.start(CONFIG)
        relay = self.relay(d, lambda number, line: support.Last(line[:-20]) if number == 1 else line)
        self.assertTrue(self.client(d, socket_path=relay.path).run("mark").success)
        self.assertEqual(len(relay.sent), 2)
        self.assertEqual(self.lines(d), ["ran"])

    def test_a_daemon_killed_in_the_middle_is_survived(self):
        """kill -9 while the action runs, and a new daemon: the client learns `interrupted`, and nothing ran twice."""
        d = self.make(CONFIG)
        hold = self.hold(d)
        d.start()
        result = self.in_thread(self.client(d).run, "hold")
        hold.await_start()
        d.kill9()
        hold.release()
        d.start()
        with self.assertRaises(lh.Interrupted) as caught:
            result()
        self.assertTrue(caught.exception.answer.replayed)
        self.assertEqual(self.lines(d), ["ran"])

    def test_a_daemon_killed_before_its_answer_is_delivered(self):
        """The action has ended and its answer was lost with the daemon: the next one gives the recorded outcome."""
        d = self.start(CONFIG)
        lost = support.threading.Event()

        def lose(number, line):
            if number == 1:
                lost.set()
                return support.Last()
            return line

        relay = self.relay(d, lose)
        result = self.in_thread(self.client(d, socket_path=relay.path).run, "mark")
        lost.wait()
        d.kill9()
        d.start()
        self.assertTrue(result().success)
        self.assertEqual(self.lines(d), ["ran"])

    def test_a_daemon_that_stays_away_leaves_the_outcome_open(self):
        """Sent and never answered: OutcomeUnknown with the id to look for, and not ServiceUnavailable."""
        d = self.make(CONFIG)
        hold = self.hold(d)
        d.start()
        client = self.client(d, patience=0.2)
        request = client.sign("hold", request_id="look-for-me")
        result = self.in_thread(client.ask, request)
        hold.await_start()
        d.kill9()
        with self.assertRaises(lh.OutcomeUnknown) as caught:
            result()
        self.assertEqual(caught.exception.request_id, "look-for-me")
        self.assertIn("healctl audit show --id look-for-me", str(caught.exception))
        hold.release()
        d.start()
        self.assertIs(client.ask(request).code, lh.Code.INTERRUPTED)
        self.assertEqual(self.lines(d), ["ran"])

    def test_time_that_is_up_leaves_the_outcome_open(self):
        """No answer within the timeout: OutcomeUnknown; the same request still gets its answer later."""
        d = self.make(CONFIG)
        hold = self.hold(d)
        d.start()
        client = self.client(d, timeout=0.3)
        request = client.sign("hold")
        result = self.in_thread(client.ask, request)
        hold.await_start()
        with self.assertRaises(lh.OutcomeUnknown):
            result()
        waiting = self.in_thread(self.client(d).ask, request)
        hold.release()
        self.assertTrue(waiting().success)
        self.assertEqual(self.lines(d), ["ran"])

    # --- no connection ---

    def test_without_a_daemon_nothing_was_sent(self):
        """No socket, a dead socket, a file: ServiceUnavailable with its reason and what to do."""
        d = self.start(CONFIG)
        with self.assertRaises(lh.ServiceUnavailable) as caught:
            self.client(d, socket_path=d.folder + "/none").run("mark")
        self.assertEqual(caught.exception.reason, "missing")
        self.assertIn("systemctl start", str(caught.exception))
        d.kill9()
        with self.assertRaises(lh.ServiceUnavailable) as caught:
            self.client(d).run("mark")
        self.assertEqual(caught.exception.reason, "refused")
        with self.assertRaises(lh.ServiceUnavailable):
            self.client(d, socket_path="/" + "x" * 200).run("mark")

    # --- mistakes of the program ---

    def test_what_cannot_be_sent_is_refused_before(self):
        """An empty key, a bad id, a lone surrogate, NaN and too much are the program's mistakes: ValueError."""
        d = self.start(CONFIG)
        client = self.client(d)
        for call in (lambda: self.client(d, key=" \n"), lambda: client.sign("mark", request_id="a b"),
                     lambda: client.sign("mark", {"a": "\ud800"}), lambda: client.sign("mark", {"a": float("nan")}),
                     lambda: client.sign("mark", {"a": "x" * 70000})):
            with self.assertRaises(ValueError):
                call()
        self.assertEqual(d.events("decision"), [])


def ask_checked(client, action, **members):
    """A request as no client would make it."""
    request = lh._wire.sign(client._key, client.caller, action, {}, **members)
    return lh.errors.checked(client.ask(request))


support.Blocking.ask_checked = ask_checked
support.Asyncio.ask_checked = ask_checked


class BlockingClient(Rules, support.ClientScenario):
    def client(self, d, **settings):
        return self.blocking(d, **settings)

    def test_progress_arrives_while_the_action_runs(self):
        """The first event is there before the action has ended."""
        d = self.make(CONFIG)
        hold = self.hold(d)
        d.start()
        progress = lh.HealingClient(**self.settings(d)).stream("hold")
        self.assertEqual(next(iter(progress)).kind, "started")
        self.assertIsNone(progress.answer)
        hold.await_start()
        hold.release()
        self.assertTrue(progress.result().success)

    def test_the_key_is_found_where_healctl_finds_it(self):
        """$LUMINOUS_HEALING_KEY_FILE, systemd's credentials, the user's own file, $LUMINOUS_HEALING_SECRET."""
        d = self.start(CONFIG)
        home, credentials = os.path.join(d.folder, "home"), os.path.join(d.folder, "credentials")
        own = os.path.join(home, ".config", "luminous-healing")
        os.makedirs(own)
        os.mkdir(credentials)
        for path in os.path.join(own, "key"), os.path.join(credentials, "tester"):
            with open(path, "w", encoding="ascii") as file:
                file.write(" " + d.keys["tester"] + "\n")
        empty = os.path.join(d.folder, "empty")
        os.mkdir(empty)
        common = {"LUMINOUS_HEALING_SOCKET": d.socket_path, "HOME": empty}
        for more in ({"LUMINOUS_HEALING_KEY_FILE": self.key_file(d)}, {"CREDENTIALS_DIRECTORY": credentials},
                     {"HOME": home, "LUMINOUS_HEALING_CALLER": "tester"},
                     {"LUMINOUS_HEALING_SECRET": d.keys["tester"], "LUMINOUS_HEALING_CALLER": "tester"}):
            with self.subTest(more), unittest.mock.patch.dict(os.environ, {**common, **more}, clear=True):
                self.assertTrue(lh.HealingClient().run("mark").success)
        with unittest.mock.patch.dict(os.environ, common, clear=True), self.assertRaises(lh.NoKey):
            lh.HealingClient()


class AsyncioClient(Rules, support.ClientScenario):
    def client(self, d, **settings):
        return self.asyncio(d, **settings)

    def test_many_are_waited_for_at_once(self):
        """One event loop waits for twenty answers side by side."""
        d = self.start(CONFIG.replace('[actions.mark]', '[actions.mark]\nrate_limit = { limit = 100, window = "1h" }'))
        client = lh.AsyncHealingClient(**self.settings(d))

        async def ask_all():
            return await support.asyncio.gather(*(client.plan("mark") for _ in range(20)))

        self.assertEqual(len({a.request_id for a in support.asyncio.run(ask_all())}), 20)

    def test_cancelling_ends_the_waiting(self):
        """A cancelled call is over at once, and leaves no open socket; the action goes on to its end."""
        d = self.make(CONFIG)
        hold = self.hold(d)
        d.start()
        client = lh.AsyncHealingClient(**self.settings(d))
        request = client.sign("hold")

        async def cancel():
            task = support.asyncio.ensure_future(client.ask(request))
            await support.asyncio.get_running_loop().run_in_executor(None, hold.await_start)
            task.cancel()
            with self.assertRaises(support.asyncio.CancelledError):
                await task

        support.asyncio.run(cancel())
        hold.release()
        self.assertTrue(self.client(d).ask(request).success)
        self.assertEqual(self.lines(d), ["ran"])


if __name__ == "__main__":
    daemon.main()
