"""What is not the daemon's answer to this very request is believed by no client: Python, C++ (healctl) and shell.

The daemon is the real one, and has really run the action; a relay spoils its answers on the way.
"""

import json

import support
from support import daemon

import luminous_healing as lh

CONFIG = """
[actions.mark]
command = ["/bin/sh", "-c", "echo ran >> @WORK@/ran; echo marked"]
writes = ["@WORK@"]
rate_limit = { limit = 100, window = "1h" }
"""


def wrong_mac(line):
    """One digit of the MAC is another."""
    at = line.index(b'"mac":"') + 7
    return line[:at] + (b"0" if line[at:at + 1] != b"0" else b"1") + line[at + 1:]


def changed_text(line):
    """The MAC is the true one, the text is not."""
    return line.replace(b"marked", b"Marked")


def added_member(line):
    """A member after those that the MAC covers."""
    return line.replace(b'}}\n', b'},"more":1}\n')


def no_mac(line):
    """A success without proof."""
    at = line.index(b'"mac":"') + 6
    return line[:at] + b"null" + line[at + 66:]


def too_long(line):
    """Valid JSON with the true MAC, in a line longer than a frame."""
    return line[:1] + b" " * support.wire.MAX_FRAME + line[1:]


def endless(_line):
    """No end of the line in sight."""
    return b'{"v":2,' + b" " * 3 * support.wire.MAX_FRAME


def no_json(_line):
    """A line of something else."""
    return b"220 mail ready\n"


def too_deep(_line):
    """JSON that is nested deeper than any stack."""
    return b'{"v":2,"mac":null,"response":' + b"[" * 30000 + b"]" * 30000 + b"}\n"


SPOILED = (wrong_mac, changed_text, added_member, no_mac, too_long, endless, no_json, too_deep)


class Refusal(support.ClientScenario):
    def setUp(self):
        super().setUp()
        self.d = self.start(CONFIG)
        self.spoil = None
        self.proxy = self.relay(self.d, lambda number, line: self.spoil(line))

    def each_client(self):
        """(name, ask): ask() says whether the client reports success, and what it says."""
        for name, client in (("HealingClient", self.blocking), ("AsyncHealingClient", self.asyncio)):
            made = client(self.d, socket_path=self.proxy.path, timeout=2.0, patience=0.5)
            yield name, lambda made=made: self.by_python(made)
        yield "PrivilegedHealingClient", self.by_prototype
        yield "healctl", lambda: self.by_program(self.healctl(
            self.d, "--timeout", "300ms", "--json", "run", "--no-stream", "mark", socket_path=self.proxy.path))
        yield "heal.sh", lambda: self.by_program(self.heal_sh(self.d, "mark", socket_path=self.proxy.path,
                                                              HEAL_TIMEOUT="2"))

    @staticmethod
    def by_python(client):
        try:
            return client.run("mark").success, ""
        except lh.OutcomeUnknown as error:
            return False, f"{type(error).__name__} {error}"

    def by_prototype(self):
        client = lh.PrivilegedHealingClient(self.proxy.path, self.d.keys["tester"], caller="tester", timeout=2.0,
                                            patience=0.5)
        result = support.asyncio.run(client.execute_privileged_action("mark", {}))
        self.assertIs(result.get("fallback_required", False), False)
        return result["success"], result["error"]

    @staticmethod
    def by_program(ran):
        return ran.returncode == 0 or '"success":true' in ran.stdout, f"{ran.returncode} {ran.stderr}"

    def assert_all_refuse(self, spoil, at_once=True):
        """`at_once`: for what it is, and not because the time was up."""
        self.spoil = spoil
        for name, ask in self.each_client():
            before = len(self.lines(self.d))
            with self.subTest(client=name, spoiled=spoil.__doc__):
                success, said = ask()
                self.assertIs(success, False)
                self.assertRegex(said, "InvalidAnswer|Invalid response|^[12] " if at_once else ".")
                self.assertNotIn("in the time given" if at_once else "InvalidAnswer", said)
                self.assertEqual(len(self.lines(self.d)), before + 1, said)

    def test_unspoiled_answers_are_believed(self):
        """Through the same relay every client succeeds: what follows fails for what was spoiled."""
        self.spoil = lambda line: line
        for name, ask in self.each_client():
            with self.subTest(name):
                self.assertEqual(ask()[0], True)

    def test_spoiled_answers_are_refused(self):
        """A bad MAC, changed text, no MAC, too long, no JSON: refused at once, not asked again, run once."""
        for spoil in SPOILED:
            before = len(self.proxy.sent)
            self.assert_all_refuse(spoil)
            self.assertEqual(len(self.proxy.sent) - before, 5, spoil.__doc__)

    def test_what_nobody_proved_drives_no_terminal(self):
        """A refusal without a MAC, with a control character of two bytes: healctl --json shows it escaped."""
        def refuse(line):
            answer = {**support.wire.Answer(line).value, "success": False, "code": "bad_signature", "error": "\u009b31m"}
            return json.dumps({"v": 2, "mac": None, "response": answer}, ensure_ascii=False).encode() + b"\n"

        self.spoil = refuse
        ran = self.healctl(self.d, "--json", "run", "--no-stream", "mark", socket_path=self.proxy.path)
        self.assertIn("\\u009b31m", ran.stdout, ran)
        self.assertNotIn("\u009b", ran.stdout)

    def test_the_answer_to_another_request_is_refused(self):
        """A true answer of this daemon to this caller, but to an earlier request."""
        earlier = []

        def keep(line):
            """kept"""
            earlier.append(line)
            return line

        self.spoil = keep
        self.blocking(self.d, socket_path=self.proxy.path).run("mark")

        def replay(_line):
            """The answer to an earlier request."""
            return earlier[0]

        self.assert_all_refuse(replay)

    def test_an_answer_that_names_another_request_is_refused(self):
        """Its MAC is right for this request, its id is another's: not even somebody with the key may mix them up."""
        def rename(line):
            answer = support.wire.Answer(line)
            raw = json.dumps({**answer.value, "request_id": "another"}, separators=(",", ":")).encode()
            asked = json.loads(self.proxy.sent[-1])["mac"].encode()
            mac = support.wire.mac_of(self.d.keys["tester"], support.wire.RESPONSE, asked, raw)
            return b'{"v":2,"mac":"%s","response":%s}\n' % (mac.encode(), raw)

        self.spoil = rename
        for client in self.blocking, self.asyncio:
            with self.assertRaisesRegex(lh.InvalidAnswer, "another request"):
                client(self.d, socket_path=self.proxy.path).run("mark")

    def test_a_torn_answer_is_refused(self):
        """Half an answer and the end, however often: nobody takes it for one, and the action ran once."""
        def tear(line):
            """Half an answer."""
            return support.Last(line[:len(line) // 2])

        self.assert_all_refuse(tear, at_once=False)

    def test_a_torn_answer_is_not_asked_for_again_by_a_shell(self):
        """heal.sh has no way to repeat a request; it says where to look instead."""
        self.spoil = lambda line: support.Last(line[:-1])
        ran = self.heal_sh(self.d, "mark", socket_path=self.proxy.path)
        self.assertEqual((ran.returncode, ran.stdout), (2, ""))
        (record,) = self.d.events("outcome")
        self.assertIn("healctl audit show --id " + record["request_id"], ran.stderr)

    def test_a_refusal_in_the_place_of_a_lost_answer_is_no_answer(self):
        """After a lost connection, a refusal without proof does not say that nothing ran."""
        refusal = {"request_id": "unknown", "success": False, "output": "", "error": "busy", "duration_ms": 0,
                   "code": "busy", "verdict": None, "audit_seq": None, "retry_after_ms": 1000}

        def change(number, line):
            if number == 1:
                return support.Last()
            return support.Last(json.dumps({"v": 2, "mac": None, "response": refusal}).encode() + b"\n")

        relay = support.Relay(self.folder(), self.d.socket_path, change)
        self.addCleanup(relay.close)
        for code in "busy", "bad_signature":
            refusal["code"] = code
            for client in self.blocking, self.asyncio:
                relay.sent.clear()
                with self.subTest(code=code, client=client.__name__), self.assertRaises(lh.OutcomeUnknown):
                    client(self.d, socket_path=relay.path, patience=0.5).run("mark")
            relay.sent.clear()
            ran = self.healctl(self.d, "--timeout", "300ms", "run", "--no-stream", "mark", socket_path=relay.path)
            self.assertIn("stands in the audit log", ran.stderr)
            self.assertNotEqual(ran.returncode, 0)


if __name__ == "__main__":
    daemon.main()
