"""Nothing of a signed request can be changed."""

import shutil
import subprocess

import daemon
import wire

CONFIG = """
[actions.mark]
command = ["/bin/sh", "-c", "echo ran >> @WORK@/ran"]
writes = ["@WORK@"]
rate_limit = { limit = 100000, window = "1h" }
"""
FLIPS = 0x01, 0x20, 0x80


class Signature(daemon.Scenario):
    def setUp(self):
        super().setUp()
        self.d = self.start(CONFIG)

    def sent(self, data):
        """The answers to these bytes and then the end of the stream."""
        with self.d.connect() as connection:
            connection.send(data)
            connection.end_of_requests()
            return [wire.Answer(line + b"\n") for line in connection.rest().splitlines()]

    def test_every_byte_counts(self):
        """A09: each byte of a signed request changed in three ways is refused, none executed, the daemon lives on."""
        request = self.d.request("mark", {}, reason="why", id="signed-1")
        frame = request.bare
        for place in range(len(frame)):
            for flip in FLIPS:
                changed = bytearray(frame)
                changed[place] ^= flip
                for answer in self.sent(bytes(changed)):
                    if answer["code"] not in ("bad_request", "bad_signature", "unknown_caller"):
                        self.fail(f"byte {place} ^ {flip:#x}: {answer}")
                    self.assertIsNone(answer.mac)
                    self.assertIs(answer["success"], False)
        self.assertEqual(self.d.events("outcome"), [])
        self.assertEqual(self.d.events("decision", decision="allow"), [])
        self.assertCode(self.d.repeat(request), "ok")  # unchanged it is good, and none of the others has used its id

    def test_every_byte_is_needed(self):
        """A request with any one byte taken out, or one put in, is refused."""
        request = self.d.request("mark", {}, id="signed-2")
        frame = request.bare
        start = frame.index(request.raw)
        for place in range(start, start + len(request.raw)):
            for changed in frame[:place] + frame[place + 1:], frame[:place] + b"0" + frame[place:]:
                for answer in self.sent(changed):
                    self.assertIn(answer["code"], ("bad_request", "bad_signature"), (place, answer))
        self.assertEqual(self.d.events("decision", decision="allow"), [])

    def test_a_mac_does_not_fit_another_request(self):
        """The MAC of one request does not make another good, and no caller's MAC another caller's."""
        one = self.d.request("mark", reason="one")
        two = self.d.request("mark", reason="two")
        (answer,) = self.sent(one.frame.replace(one.mac.encode(), two.mac.encode()))
        self.assertCode(answer, "bad_signature")

    def test_the_prefix_is_part_of_what_is_signed(self):
        """A MAC over the bare request, or under the prefix of a response, is refused."""
        request = self.d.request("mark", reason="one")
        for prefix in b"", wire.RESPONSE, b"luminous-healing/1 request\n", wire.REQUEST.strip():
            mac = wire.mac_of(self.d.keys["tester"], prefix, request.raw)
            (answer,) = self.sent(request.frame.replace(request.mac.encode(), mac.encode()))
            self.assertCode(answer, "bad_signature")

    def test_an_empty_key_opens_nothing(self):
        """A MAC made with an empty key, or with the key's newline, is refused."""
        for key in "", self.d.keys["tester"] + "\n", " " + self.d.keys["tester"]:
            request = wire.Request(key, "tester", "mark")
            self.assertCode(self.d.repeat(request), "bad_signature")

    def test_answers_are_bound_to_their_request(self):
        """A17: the answer to one request does not pass for the answer to another, though id and content be the same."""
        answer = self.d.repeat(self.d.request("mark", reason="one", id="same"))
        other = self.d.request("mark", reason="two", id="same")
        with self.assertRaises(wire.WireError):
            answer.check_mac(other)

    def test_the_shell_can_do_it(self):
        """printf, openssl and nc -U are all a client needs (protocol, version 2)."""
        if not shutil.which("openssl"):
            self.skipTest("there is no openssl here")
        request = self.d.request("status")
        done = subprocess.run(["openssl", "dgst", "-sha256", "-hmac", self.d.keys["tester"]],
                              input=wire.REQUEST + request.raw, stdout=subprocess.PIPE, check=True)
        self.assertEqual(done.stdout.decode().split()[-1], request.mac)


if __name__ == "__main__":
    daemon.main()
