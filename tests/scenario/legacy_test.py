"""Version 1: the prototype's clients."""

import datetime
import hashlib
import hmac
import json
import socket
import uuid

import daemon

CONFIG = """
[callers.legacy]
key = "legacy"
users = [@UID@]
actions = ["mark", "hello", "hold", "fail"]
[callers.foreign]
key = "foreign"
users = [4294967294]
actions = ["mark"]
[actions.mark]
command = ["/bin/sh", "-c", "echo ran >> @WORK@/ran; echo marked"]
writes = ["@WORK@"]
rate_limit = { limit = 2, window = "1h" }
[actions.hello]
command = ["/bin/echo", "hello", "{name}"]
parameters.name = { type = "string", pattern = "[a-z]+" }
[actions.hold]
command = ["/bin/cat", "@WORK@/hold"]
[actions.fail]
command = ["/bin/false"]
[actions.other]
command = ["/bin/true"]
"""
MEMBERS = ["request_id", "success", "output", "error", "duration_ms"]


def naive(offset_s=0):
    return (datetime.datetime.now() + datetime.timedelta(seconds=offset_s)).isoformat()


def sign(key, identifier, action, timestamp):
    return hmac.new(key.encode(), f"{identifier}:{action}:{timestamp}".encode(), hashlib.sha256).hexdigest()


class Legacy(daemon.Scenario):
    def setUp(self):
        super().setUp()
        self.d = self.start(CONFIG, daemon="legacy_v1 = true")

    def request(self, action, parameters=None, key=None, **members):
        body = {"id": str(uuid.uuid4()), "action": action, "parameters": parameters or {}, "timestamp": naive()}
        body.update(members)
        key = key or self.d.keys["legacy"]
        return {"signature": sign(key, body["id"], action, body["timestamp"]), **body}

    def call(self, request, d=None):
        """As the prototype's client does it: one write, no newline, one read of 65,536 bytes."""
        data = request if isinstance(request, bytes) else json.dumps(request).encode()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(daemon.PATIENCE)
            sock.connect((d or self.d).socket_path)
            sock.sendall(data)
            answer = sock.recv(65536)
            try:
                self.assertEqual(sock.recv(1), b"", "the connection does not close")
            except ConnectionResetError:
                pass
        answer = json.loads(answer.decode())
        self.assertEqual(list(answer), MEMBERS)
        self.assertIsInstance(answer["duration_ms"], int)
        return answer

    def refused(self, request, error, **members):
        answer = self.call(request)
        self.assertEqual((answer["success"], answer["error"]), (False, error))
        for name, value in members.items():
            self.assertEqual(answer[name], value)
        self.assertEqual(self.d.events("outcome"), [])

    def test_the_published_vector(self):
        """The signature is the one of the prototype's published vector."""
        self.assertEqual(sign("default-dev-key", "test", "clear_system_cache", "2025-01-01T00:00:00"),
                         "444156c5c9c6213c911821da7a07aab21e3a3131fc172b1811955459ba62c8e0")

    def test_a_prototype_client_is_served(self):
        """One object without newline, one read: exactly five members come back and the connection closes."""
        request = self.request("hello", {"name": "world"})
        answer = self.call(request)
        self.assertEqual((answer["request_id"], answer["success"], answer["error"]), (request["id"], True, None))
        self.assertEqual(answer["output"], "hello world\n")
        (outcome,) = self.d.events("outcome", request_id=request["id"])
        self.assertEqual(outcome["caller"], "legacy")

    def test_a_running_action_is_waited_for(self):
        """The answer comes when the action has ended."""
        hold = self.hold(self.d)
        request = self.request("hold")
        with self.d.connect() as connection:
            connection.send(json.dumps(request).encode())
            hold.await_start()
            hold.release()
            self.assertIs(json.loads(connection.rest())["success"], True)

    def test_it_is_warned_about(self):
        """That version 1 does not sign the parameters is said at start."""
        self.d.await_journal("does not cover the parameters")
        self.assertIs(self.d.ask("status", caller="legacy")["result"]["legacy_v1"], True)

    def test_switched_off_it_is_refused(self):
        """Without legacy_v1 the same request is refused and runs nothing; so by default."""
        d = self.start(CONFIG)
        answer = self.call(self.request("mark", key=d.keys["legacy"]), d)
        self.assertEqual((answer["success"], answer["error"]), (False, "Invalid request format"))
        self.assertEqual([r["code"] for r in d.events("decision")], ["bad_request"])
        self.assertEqual(self.lines(d), [])

    def test_a_failing_action(self):
        """A failed action has success false and an error."""
        answer = self.call(self.request("fail"))
        self.assertIs(answer["success"], False)
        self.assertIn("exit status 1", answer["error"])

    def test_ids_are_single_use(self):
        """A10: the same request again runs nothing and gets the recorded answer; its id with another time is refused."""
        request = self.request("mark")
        first = self.call(request)
        self.assertIs(first["success"], True)
        self.assertEqual(self.call(request), first)
        later = self.request("mark", id=request["id"], timestamp=naive(1))
        self.assertIs(self.call(later)["success"], False)
        self.assertEqual(self.lines(self.d), ["ran"])

    def test_changed_parameters_cannot_run_a_second_time(self):
        """The unsigned parameters cannot be changed for a second run: the id is used."""
        request = self.request("hello", {"name": "one"})
        self.assertEqual(self.call(request)["output"], "hello one\n")
        self.call({**request, "parameters": {"name": "two"}})
        self.assertEqual(len(self.d.events("outcome")), 1)

    def test_stale_requests_are_refused(self):
        """A timestamp out of the allowed skew is refused, in both directions."""
        for offset in -60, 60, -3600 * 24:
            self.assertIs(self.call(self.request("mark", timestamp=naive(offset)))["success"], False)
        self.assertEqual({r["code"] for r in self.d.events("decision")}, {"stale"})
        self.assertEqual(self.lines(self.d), [])

    def test_invalid_signature(self):
        """A wrong signature gets the prototype's words."""
        self.refused(self.request("mark", key="x" * 40), "Invalid signature")
        self.refused({**self.request("mark"), "signature": "0" * 64}, "Invalid signature")

    def test_action_not_allowed(self):
        """An action that is not this caller's, or not there, gets the prototype's words."""
        self.refused(self.request("other"), "Action other not allowed")
        self.refused(self.request("rm_rf"), "Action rm_rf not allowed")

    def test_rate_limit(self):
        """Over its budget it gets the prototype's words."""
        for _ in range(2):
            self.assertIs(self.call(self.request("mark"))["success"], True)
        answer = self.call(self.request("mark"))
        self.assertEqual((answer["success"], answer["error"]), (False, "Rate limit exceeded"))

    def test_the_peer_counts(self):
        """A version 1 key in the hands of another user is refused."""
        answer = self.call(self.request("mark", key=self.d.keys["foreign"]))
        self.assertIs(answer["success"], False)
        self.assertEqual([r["code"] for r in self.d.events("decision")], ["peer_not_allowed"])

    def test_invalid_format(self):
        """A version 1 request in bad form gets the prototype's words and the id unknown, in its shape."""
        good = self.request("mark")
        for name in "action", "timestamp", "id", "parameters":
            broken = {key: value for key, value in good.items() if key != name}
            self.refused(broken, "Invalid request format", request_id="unknown")
        self.refused({**good, "signature": "short"}, "Invalid request format", request_id="unknown")
        self.refused({**good, "extra": 1}, "Invalid request format", request_id="unknown")

    def test_a_timestamp_with_a_zone_is_not_version_1(self):
        """Version 1 has naive local time; a zone is a bad format."""
        stamp = datetime.datetime.now(datetime.timezone.utc).isoformat()
        self.refused(self.request("mark", timestamp=stamp), "Invalid request format", request_id="unknown")

    def test_version_2_is_served_beside_it(self):
        """With legacy_v1 on, version 2 is served as ever."""
        self.assertCode(self.d.ask("hello", {"name": "two"}, caller="legacy"), "ok")


if __name__ == "__main__":
    daemon.main()
