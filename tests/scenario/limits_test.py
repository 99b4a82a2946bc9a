"""Limits on connections and probes."""

import contextlib
import json
import os
import resource
import subprocess

import daemon

PING = b'{"type":"ping"}\n'
PROBE = b'{"id":"test","action":"status","parameters":{},"timestamp":"2025-01-01T00:00:00"}'


class Limits(daemon.Scenario):
    def setUp(self):
        super().setUp()
        if daemon.ROOT:  # root is exempt from the limit per uid: others connect for it
            self.d = self.start('[callers.tester]\nkey = "tester"\nusers = [0, 65534]\nactions = ["a"]\n'
                                '[actions.a]\ncommand = ["/bin/true"]', daemon='socket_group = "nogroup"')
        else:
            self.d = self.start('[actions.a]\ncommand = ["/bin/true"]')
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)

    def connect_many(self, count):
        """Connections of a user who is not root."""
        made = self.d.connect_as(daemon.NOBODY, count=count)[0] if daemon.ROOT else [
            self.d.connect() for _ in range(count)]
        for connection in made:
            self.stack.enter_context(connection)
        return made

    def test_the_33rd_connection_of_a_uid_is_busy(self):
        """32 connections of one uid are served; the 33rd gets one busy answer and is closed, and that is recorded."""
        first = self.connect_many(32)
        for connection in first:
            self.assertCode(connection.ask(self.d.request("status")), "ok")
        (late,) = self.connect_many(1)
        answer = late.answer()
        self.assertCode(answer, "busy")
        self.assertEqual(late.rest(), b"")
        uid = daemon.NOBODY if daemon.ROOT else os.geteuid()
        self.assertEqual([r["peer"]["uid"] for r in self.d.events("decision", code="busy")], [uid])
        for connection in first:
            self.assertCode(connection.ask(self.d.request("status")), "ok")

    def test_a_closed_connection_makes_room(self):
        """Closing one of 32 connections makes room for another."""
        first = self.connect_many(32)
        first[0].end_of_requests()
        self.assertEqual(first[0].rest(), b"")  # the daemon has closed its end
        # The executor hears of it from the gate; until then a newcomer may be told to come again.
        for _ in range(1000):
            (late,) = self.connect_many(1)
            late.send(PING)
            if b"pong" in late.line():
                return
        self.fail("no room was made")

    @daemon.needs_root
    def test_another_uid_is_not_affected(self):
        """A uid that has used up its connections does not keep others out; root has no limit of its own."""
        self.connect_many(32)
        for _ in range(40):
            connection = self.stack.enter_context(self.d.connect())
            self.assertCode(connection.ask(self.d.request("status")), "ok")

    @daemon.needs_root
    def test_many_uids_together_do_not_lock_out_another(self):
        """When eight uids hold what they get, there is room left for a ninth and for root."""
        for uid in range(60001, 60009):
            for connection in self.d.connect_as(uid, count=32)[0]:
                self.stack.enter_context(connection)
        (late,) = self.d.connect_as(60009)[0]
        self.stack.enter_context(late)
        self.assertCode(late.ask(self.d.request("status")), "peer_not_allowed")
        self.assertCode(self.d.ask("status"), "ok")

    @daemon.needs_root
    def test_who_is_not_in_the_group_reaches_nothing(self):
        """A uid outside of the socket's group is refused by the kernel; the daemon does not hear of it."""
        program = f'import socket; socket.socket(socket.AF_UNIX).connect("{self.d.socket_path}")'
        tried = subprocess.run(["/usr/bin/python3", "-c", program], user=60010, group=60010, extra_groups=[], cwd="/",
                               stderr=subprocess.PIPE, check=False)
        self.assertIn(b"PermissionError", tried.stderr)
        self.assertEqual(self.d.events("decision"), [])

    @daemon.needs_root
    def test_the_257th_connection_is_busy(self):
        """256 connections in all, root included; the next gets busy."""
        for _ in range(256):
            self.stack.enter_context(self.d.connect())
        late = self.stack.enter_context(self.d.connect())
        self.assertCode(late.answer(), "busy")
        self.assertEqual(late.rest(), b"")

    def test_idle_connections_hurt_nobody(self):
        """Idle connections stay open and usable while others are served."""
        idle = self.connect_many(26)  # with the five below still no more than 32, though the closed ones linger
        for _ in range(5):
            self.assertCode(self.d.ask("a"), "ok")
        for connection in idle:
            self.assertCode(connection.ask(self.d.request("status")), "ok")

    def test_the_17th_action_at_a_time_is_busy(self):
        """There is a limit of concurrent workers overall: beyond it the answer is busy, and the others end well."""
        d = self.make()
        holds = [self.hold(d, f"hold{n}") for n in range(20)]
        script = self.script(d, "wait", f"#!/bin/sh\nexec cat {d.work}/hold$1\n")
        d.configure(f"""
[actions.wait]
command = ["/bin/sh", "{script}", "{{n}}"]
parameters.n = {{ type = "integer", max = 100 }}
rate_limit = {{ limit = 100, window = "5min" }}
""").start()
        requests = {f"n{n}": d.request("wait", {"n": n}, id=f"n{n}") for n in range(20)}
        with d.connect() as connection:
            connection.send(b"".join(r.frame for r in requests.values()))
            for _ in range(4):
                answer = connection.answer()
                answer.check_mac(requests.pop(answer["request_id"]))
                self.assertCode(answer, "busy")
                self.assertGreater(answer["retry_after_ms"], 0)
            for identifier in list(requests):
                holds[int(identifier[1:])].await_start().release()
            for _ in range(16):
                answer = connection.answer()
                answer.check_mac(requests.pop(answer["request_id"]))
                self.assertCode(answer, "ok")
            self.assertCode(connection.ask(d.request("status")), "ok")

    def test_ping(self):
        """An unsigned ping is answered with name and version, and not audited."""
        with self.d.connect() as connection:
            connection.send(PING * 2)
            for _ in range(2):
                pong = json.loads(connection.line())
                self.assertEqual(set(pong), {"type", "service", "version"})
                self.assertEqual((pong["type"], pong["service"]), ("pong", "luminous-healing"))
            self.assertCode(connection.ask(self.d.request("status")), "ok")
        self.assertEqual(self.d.stop(), 0)
        self.assertEqual([r["action"] for r in self.d.events("decision")], ["status"])

    def test_a_ping_has_no_other_members(self):
        """What is a little more than a ping is a bad request."""
        for line in b'{"type":"ping","x":1}', b'{"type":"pong"}', b'{"type":"ping","type":"ping"}':
            with self.d.connect() as connection:
                connection.send(line)
                self.assertCode(connection.answer(), "bad_request")

    def test_the_unsigned_status_probe(self):
        """The prototype's unsigned status answers in its shape, with success and no more than the version."""
        with self.d.connect() as connection:
            connection.send(PROBE)
            answer = json.loads(connection.rest())
        self.assertEqual(list(answer), ["request_id", "success", "output", "error", "duration_ms"])
        self.assertEqual((answer["request_id"], answer["success"], answer["error"]), ("test", True, None))
        self.assertEqual(self.d.events("decision"), [])

    def test_an_unsigned_probe_of_anything_else_is_refused(self):
        """Only the status probe is answered unsigned: other actions, parameters or members are bad requests."""
        for line in (PROBE.replace(b'"status"', b'"a"'), PROBE.replace(b"{}", b'{"detail":"actions"}'),
                     PROBE[:-1] + b',"x":1}'):
            with self.subTest(line=line), self.d.connect() as connection:
                connection.send(line)
                self.assertIn(b"bad_request" if b'"v"' in line else b"", connection.rest())
        self.assertEqual(self.d.events("decision", decision="allow"), [])
        self.assertEqual({r["code"] for r in self.d.events("decision")}, {"bad_request"})

    def test_probes_share_a_budget_per_uid(self):
        """Unsigned probes of one uid have a small budget; beyond it the connection closes, signed requests go on."""
        with self.d.connect() as connection:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.send(PING * 5000)
            answered = connection.rest().count(b"pong")
        self.assertTrue(1 <= answered < 1000, f"{answered} answered")
        with self.d.connect() as connection:
            connection.send(PROBE)
            self.assertEqual(connection.rest(), b"")
        self.assertCode(self.d.ask("a"), "ok")

    def test_running_out_of_descriptors_does_not_end_it(self):
        """A36: without a descriptor to accept with some connections are refused; with descriptors again all are served."""
        limit = resource.prlimit(self.d.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(self.d.pid, resource.RLIMIT_NOFILE, (4, limit[1]))
        unlucky = self.stack.enter_context(self.d.connect())
        self.d.await_journal("accept: ")
        resource.prlimit(self.d.pid, resource.RLIMIT_NOFILE, limit)
        with contextlib.suppress(BrokenPipeError):
            unlucky.send(PING)
        self.assertIn(unlucky.line()[:15], (b"", b'{"type":"pong",'))  # sent away, or taken in the end
        self.assertCode(self.d.ask("a"), "ok")


if __name__ == "__main__":
    daemon.main()
