"""What the log says about those who were refused, and that nobody can write into it by being refused."""

import os
import stat

import daemon
import wire

CONFIG = """
[actions.greet]
command = ["/bin/echo", "hello", "{name}"]
parameters.name = { type = "string", pattern = "[a-z]+" }
rate_limit = { limit = 3, window = "1h" }
"""
# What a terminal, a log reader or a careless viewer would act on.
NASTY = ["a\nb", "a\r\nb", "\x1b[2J\x1b[1;1H", "\x1b]0;title\x07", "\u202egnp.exe", "\u2066x", "\x85next", "a\tb",
         "\x7f", '"}\n{"seq":1', "\\n\\u001b", "\u2028line", "\ud7ff", "\U0001f525", "\x00", "%s%n", "\ufeffbom", "é" * 300]


class Audit(daemon.Scenario):
    def test_denials_are_recorded_with_the_real_peer(self):
        """A21: each denial is recorded with the peer's uid, gid and pid as the kernel has them."""
        d = self.start(CONFIG)
        d.ask("nonsense")
        d.ask("greet", {"name": "A"})
        d.repeat(wire.Request("k" * 64, "stranger", "greet"))
        denied = d.events("decision", decision="deny")
        self.assertEqual([r["code"] for r in denied], ["action_unknown", "parameters_not_allowed", "unknown_caller"])
        for record in denied:
            peer = record["peer"]
            self.assertEqual((peer["uid"], peer["gid"], peer["pid"]), (os.geteuid(), os.getegid(), os.getpid()))
            # Who runs the daemon may not be allowed to look: then it is empty, and never somebody else's.
            self.assertIn(peer["exe"], ("", os.readlink("/proc/self/exe")))
            self.assertIsInstance(peer["unit"], str)

    @daemon.needs_root
    def test_another_user_is_recorded_as_himself(self):
        """A15, A21: another uid with a valid key is refused, and recorded with its own uid and pid, though it has gone."""
        d = self.start(CONFIG, daemon='socket_group = "nogroup"')
        (connection,), pid = d.connect_as(daemon.NOBODY)
        with connection:
            self.assertCode(connection.ask(d.request("greet", {"name": "a"})), "peer_not_allowed")
        (record,) = d.events("decision", decision="deny")
        peer = record["peer"]
        self.assertEqual((peer["uid"], peer["gid"], peer["pid"]), (daemon.NOBODY, daemon.NOBODY, pid))
        self.assertEqual((peer["exe"], peer["unit"]), ("", ""))  # of a process that has ended nothing more is known
        self.assertEqual(d.events("outcome"), [])

    @daemon.needs_root
    def test_a_large_uid_is_itself(self):
        """A04: uid 4294967294 is neither root nor -1, and is allowed only where it is listed."""
        d = self.start('[callers.far]\nkey = "far"\nusers = [4294967294]\nactions = ["a"]\n[callers.near]\nkey = "near"\n'
                       'users = [0]\nactions = ["a"]\n[actions.a]\ncommand = ["/bin/true"]',
                       daemon='socket_group = "nogroup"')
        (connection,), _ = d.connect_as(4294967294)
        with connection:
            self.assertCode(connection.ask(d.request("a", caller="far")), "ok")
            self.assertCode(connection.ask(d.request("a", caller="near")), "peer_not_allowed")
        self.assertEqual({r["peer"]["uid"] for r in d.events("decision")}, {4294967294})

    def test_repeated_denials_are_folded_with_exact_counts(self):
        """A22: of one kind from one peer ten are recorded, the rest counted; the count is recorded at stop."""
        d = self.start(CONFIG)
        with d.connect() as connection:
            for _ in range(37):
                self.assertCode(connection.ask(d.request("nonsense")), "action_unknown")
            for _ in range(12):
                self.assertCode(connection.ask(wire.Request("k" * 64, "stranger", "greet")), "unknown_caller")
            for _ in range(10):
                self.assertCode(connection.ask(d.request("greet", {"name": "A"})), "parameters_not_allowed")
        self.assertEqual(d.events("suppressed"), [])
        self.assertEqual(len(d.events("decision", code="action_unknown")), 10)
        self.assertEqual(d.stop(), 0)
        counts = {r["code"]: (r["count"], r["peer"]["uid"]) for r in d.events("suppressed")}
        self.assertEqual(counts, {"action_unknown": (27, os.geteuid()), "unknown_caller": (2, os.geteuid())})
        for code in "action_unknown", "unknown_caller", "parameters_not_allowed":
            self.assertEqual(len(d.events("decision", code=code)), 10)

    def test_garbage_is_folded_too(self):
        """A22: connections that send garbage cannot fill the log either."""
        d = self.start(CONFIG)
        for _ in range(25):
            with d.connect() as connection:
                connection.send(b"garbage\n")
                self.assertCode(connection.answer(), "bad_request")
        self.assertEqual(d.stop(), 0)
        self.assertEqual(len(d.events("decision", code="bad_request")), 10)
        self.assertEqual([r["count"] for r in d.events("suppressed", code="bad_request")], [15])

    def test_a_folded_denial_says_that_it_has_no_record(self):
        """The answer to a folded denial names no record of its own."""
        d = self.start(CONFIG)
        with d.connect() as connection:
            seqs = [connection.ask(d.request("nonsense"))["audit_seq"] for _ in range(11)]
        self.assertEqual(seqs[:10], [r["seq"] for r in d.events("decision")])
        self.assertIsNone(seqs[10])

    def test_allowed_actions_are_never_folded(self):
        """Every granted request has its own intent and outcome, however many there are."""
        d = self.start('[actions.a]\ncommand = ["/bin/true"]\nrate_limit = { limit = 1000, window = "1h" }')
        with d.connect() as connection:
            for _ in range(30):
                self.assertCode(connection.ask(d.request("a")), "ok")
        self.assertEqual((len(d.events("decision")), len(d.events("outcome"))), (30, 30))

    def test_values_cannot_break_out_of_their_line(self):
        """A20: line breaks, escape sequences and direction marks in any member stay one line of printable ASCII."""
        d = self.start(CONFIG)
        for text in NASTY:
            for request in (d.request("greet", {"name": text}), d.request("greet", {text: "x"}),
                            d.request("greet", {"name": "a"}, reason=text, mode="plan"), d.request(text),
                            d.request("greet", {"name": "a"}, audience=text),
                            wire.Request("k" * 64, text, "greet"), d.request("greet", {"name": "a"}, id=text)):
                with self.subTest(request=request.raw[:80]):
                    answer = d.repeat(request)
                    self.assertNotIn(b"\x1b", answer.line)
                    self.assertNotIn("\u202e".encode(), answer.line)
        self.assertEqual(d.stop(), 0)
        records = d.records()  # checks each line to be printable ASCII and JSON
        self.assertEqual(records[-1]["event"], "stop")
        self.assertEqual(d.events("outcome"), [])

    def test_the_parameters_are_kept_as_they_came(self):
        """What was asked for is in the record, also when it was refused."""
        d = self.start(CONFIG)
        parameters = {"name": "Ünïcode\x1b[0m", "n": [1, {"x": None}], "f": 1.5}
        d.ask("greet", parameters)
        (record,) = d.events("decision")
        self.assertEqual(record["parameters"], parameters)

    def test_secret_parameters_are_recorded_as_digests(self):
        """A parameter marked secret is in the log as a digest only."""
        d = self.start('[actions.login]\ncommand = ["/bin/echo", "{token}"]\n'
                       'parameters.token = { type = "string", pattern = "[a-z]+", secret = true }')
        self.assertCode(d.ask("login", {"token": "mellon"}, mode="plan"), "ok")
        self.assertCode(d.ask("login", {"token": "Mellon"}), "parameters_not_allowed")
        self.assertEqual(d.stop(), 0)
        for record in d.events("decision"):
            self.assertRegex(record["parameters"]["token"], "^sha256:[0-9a-f]{64}$")

    def test_secret_parameters_are_in_no_message(self):
        """Neither why a request was denied nor a plan shows a secret's value, in the log, the answer or the journal."""
        d = self.make()
        hold = self.hold(d)
        script = self.script(d, "login", f"#!/bin/sh\ncat {hold.path}\n")
        d.configure(f'[actions.login]\ncommand = ["/bin/sh", "{script}", "{{token}}"]\n'
                    'parameters.token = { type = "string", pattern = "[a-z]+", secret = true }').start()
        answers = [d.ask("login", {"token": "mellon"}, mode="plan"), d.ask("login", {"token": "melloN"})]
        with d.connect() as connection:
            running = d.request("login", {"token": "mellon"})
            connection.send(running.frame)
            hold.await_start()
            answers.append(self.assertCode(d.ask("login", {"token": "mellon"}), "busy"))
            hold.release()
            answers.append(connection.response(running))
        self.assertEqual(d.stop(), 0)
        with open(d.log_path, encoding="utf-8") as log:
            told = (log.read() + str(answers) + d.journal()).lower()
        self.assertNotIn("mellon", told)

    def test_a_huge_request_is_one_bounded_record(self):
        """A26: the largest request makes a record that the daemon can read back at its next start."""
        d = self.start(CONFIG)
        for text in "\u202e" * 10000, "é" * 10000, "x" * 64000:
            self.assertIn(d.ask("greet", {"name": text})["code"], ("parameters_invalid", "parameters_not_allowed"))
        d.kill9()
        d.start()
        self.assertCode(d.ask("greet", {"name": "a"}), "ok")

    def test_the_socket_is_for_owner_and_group(self):
        """A16: the socket has mode 0660 and, where one is configured, its group."""
        d = self.start(CONFIG)
        self.assertEqual(stat.S_IMODE(os.stat(d.socket_path).st_mode), 0o660)
        self.assertTrue(stat.S_ISSOCK(os.stat(d.socket_path).st_mode))

    @daemon.needs_root
    def test_the_socket_s_group_is_the_configured_one(self):
        """daemon.socket_group owns the socket; who is not in it cannot connect."""
        d = self.start(CONFIG, daemon='socket_group = "nogroup"')
        self.assertEqual(os.stat(d.socket_path).st_gid, daemon.NOBODY)
        self.assertEqual(stat.S_IMODE(os.stat(d.socket_path).st_mode), 0o660)

    def test_the_log_is_for_owner_and_group(self):
        """The log has mode 0640, its chain key is for the owner only."""
        d = self.start(CONFIG)
        self.assertEqual(stat.S_IMODE(os.stat(d.log_path).st_mode), 0o640)
        for name in os.listdir(d.log_folder):
            if name != os.path.basename(d.log_path):
                mode = stat.S_IMODE(os.stat(os.path.join(d.log_folder, name)).st_mode)
                self.assertEqual(mode & 0o077, 0, name)

    def test_the_intent_is_in_the_log_before_the_action_runs(self):
        """When an action runs its intent is already in the file."""
        d = self.make()
        hold = self.hold(d)
        d.configure(f'[actions.hold]\ncommand = ["/bin/cat", "{hold.path}"]').start()
        request = d.request("hold")
        with d.connect() as connection:
            connection.send(request.frame)
            hold.await_start()
            self.assertEqual([r["event"] for r in d.records() if r["request_id"] == request.id], ["decision"])
            hold.release()
            answer = connection.response(request)
            self.assertEqual(d.records()[-1]["seq"], answer["audit_seq"])  # and the outcome before the answer


if __name__ == "__main__":
    daemon.main()
