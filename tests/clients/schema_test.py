"""docs/schema against the real bytes: what the clients send, what the daemon answers, what it writes into its log.

Needs python3-jsonschema.
"""

import asyncio
import json
import os
import re

import jsonschema

import support
import vectors_test
from support import daemon

import luminous_healing as lh

CONFIG = """
[callers.tester]
key = "tester"
users = [@UID@]
actions = ["mark", "talk", "fail", "hold", "flood"]
[actions.mark]
command = ["/bin/sh", "-c", "echo ran >> @WORK@/ran; printf 'märked\\\\033[31m'"]
writes = ["@WORK@"]
rate_limit = { limit = 20, window = "1h" }
[actions.talk]
command = ["/bin/sh", "-c", "echo one; echo two"]
[actions.fail]
command = ["/bin/false"]
verify = ["/bin/false"]
undo = ["/bin/true"]
[actions.hold]
command = ["/bin/cat", "@WORK@/hold"]
[actions.flood]
command = ["/usr/bin/head", "-c", "300000", "/dev/urandom"]
[actions.other]
command = ["/bin/true"]
"""


def load(name):
    with open(os.path.join(support.ROOT, "docs", "schema", name + ".json"), encoding="utf-8") as file:
        schema = json.load(file)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


REQUEST, RESPONSE, EVENT, RECORD = (load(name) for name in ("request", "response", "event", "audit-record"))


class Schema(support.ClientScenario):
    def holds(self, validator, line):
        problem = jsonschema.exceptions.best_match(validator.iter_errors(json.loads(line)))
        self.assertIsNone(problem, f"{line!r}: {problem and problem.message}")

    def refuses(self, validator, value):
        self.assertFalse(validator.is_valid(value), value)

    def serve(self, **more):
        """A daemon behind a relay that keeps both directions."""
        d = self.start(CONFIG, **more)
        answers = []
        relay = self.relay(d, lambda number, line: answers.append(line) or line)
        return d, relay, answers

    def assert_all_hold(self, d, relay, answers):
        for frame in relay.sent:
            self.holds(REQUEST, frame)
        for line in answers:
            self.holds(EVENT if b'"event":{' in line else RESPONSE, line)
        with open(d.log_path, encoding="ascii") as log:
            for line in log:
                self.holds(RECORD, line)

    def test_every_client_and_their_answers(self):
        """Requests of Python, C++ and shell, with every option, and what comes back, granted and refused."""
        d, relay, answers = self.serve()
        client = self.blocking(d, socket_path=relay.path)
        other = self.asyncio(d, socket_path=relay.path)
        client.with_options(reason="wärm", deadline=9.5).run("mark")
        other.run("mark")
        client.stream("talk")
        client.plan("mark")
        client.run("flood")
        client.status()
        client.actions()
        for refused in (lambda: client.run("fail"), lambda: client.run("mark", a=1), lambda: client.run("other"),
                        lambda: client.run("nope"), lambda: client.with_options(audience="else").run("mark"),
                        lambda: self.blocking(d, socket_path=relay.path, key="x" * 64).run("mark"),
                        lambda: self.blocking(d, socket_path=relay.path, caller="who").run("mark"),
                        lambda: client.run("a b")):
            with self.assertRaises(lh.Refused):
                refused()
        self.assertEqual(self.heal_sh(d, "mark", socket_path=relay.path).returncode, 0)
        self.assertEqual(self.healctl(d, "run", "--reason", "why", "mark", socket_path=relay.path).returncode, 0)
        self.assertEqual(self.healctl(d, "plan", "mark", socket_path=relay.path).returncode, 0)
        relay.sent = [frame for frame in relay.sent if b"a b" not in frame]  # that one was meant to be wrong
        self.assertGreater(len(relay.sent), 15)
        self.assertTrue(any(b'"kind":"started"' in line for line in answers))
        self.assertTrue(any(b'"output_truncated":true' in line for line in answers))
        self.assert_all_hold(d, relay, answers)

    def test_version_1(self):
        """The prototype's requests and answers."""
        d, relay, answers = self.serve(daemon="legacy_v1 = true")
        for action in "mark", "fail", "other":
            client = lh.PrivilegedHealingClient(relay.path, d.keys["tester"], protocol=1)
            asyncio.run(client.execute_privileged_action(action, {}))
        self.assertTrue(all(b'"signature"' in frame for frame in relay.sent))
        self.assert_all_hold(d, relay, answers)

    def test_the_log_of_an_eventful_life(self):
        """Start, stop, reload, a crash, a lost gate, folded denials, rotation: each record holds."""
        d = self.make(CONFIG, audit='rotate_size = "128KiB"\n')
        hold = self.hold(d)
        d.start()
        d.ask("mark")
        d.reload()
        with d.connect() as connection:
            connection.send(d.request("hold").frame)
            hold.await_start()
            d.kill9()
        hold.release()
        d.start()
        daemon.kill_as(d.gate_pid(), daemon.signal.SIGKILL)
        d.await_journal("the gate was lost")
        before = os.stat(d.log_path).st_ino
        while os.stat(d.log_path).st_ino == before:  # a line of 14 KiB a time
            d.ask("status", {"x" * 5000: "\u2028" * 1500})
            d.ask("nope", {"x" * 5000: "\u2028" * 1500})
        for _ in range(14):
            d.ask("nope")
        self.assertEqual(d.stop(), 0)
        seen = set()
        for name in sorted(os.listdir(d.log_folder)):
            if re.fullmatch(r"audit\.json(\.[0-9T-]+)?", name):
                with open(os.path.join(d.log_folder, name), encoding="ascii") as log:
                    for line in log:
                        self.holds(RECORD, line)
                        seen.add(json.loads(line)["event"])
        d.log_was_harmed = True  # what check_log() looks at begins with the second file
        self.assertLessEqual({"decision", "outcome", "interrupted", "suppressed", "start", "stop", "reload",
                              "gate_lost"}, seen)

    def test_the_vectors_hold(self):
        """The 200 requests as C++ and Python sign them, and as they stand in the file."""
        frames = vectors_test.Vectors.signed_by_cpp(self) + vectors_test.Vectors.signed_by_python(self)
        for frame in frames.splitlines():
            self.holds(REQUEST, frame)

    def test_a_schema_says_no(self):
        """What the daemon would refuse, the schemas refuse: a missing, unknown or wrong member."""
        good = json.loads(wire_frame())
        self.assertTrue(REQUEST.is_valid(good))
        for path, value in ((("v",), 3), (("caller",), 1), (("mac",), "A" * 64), (("more",), 1),
                            (("request", "id"), "a b"), (("request", "timestamp"), "2026-11-21T10:00:00"),
                            (("request", "parameters"), []), (("request", "mode"), "dry"), (("request", "extra"), 1),
                            (("request", "deadline_ms"), 0), (("request", "stream"), "yes")):
            self.refuses(REQUEST, changed(good, path, value))
        response = {"request_id": "a", "success": True, "output": "", "error": None, "duration_ms": 0, "code": "ok",
                    "verdict": None, "audit_seq": None, "retry_after_ms": None}
        good = {"v": 2, "mac": "0" * 64, "response": response}
        self.assertTrue(RESPONSE.is_valid(good))
        for path, value in ((("mac",), None), (("response", "code"), "fine"), (("response", "success"), False),
                            (("response", "verdict"), "good"), (("response", "replayed"), False)):
            self.refuses(RESPONSE, changed(good, path, value))
        self.refuses(RECORD, {})


def wire_frame():
    return support.wire.Request("k", "c", "status", {}).frame


def changed(value, path, to):
    value = json.loads(json.dumps(value))
    inner = value
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = to
    return value


if __name__ == "__main__":
    daemon.main()
