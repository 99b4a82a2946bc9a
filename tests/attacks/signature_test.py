"""What is signed, and how a MAC is held against it."""

import glob
import os
import re

import attack
import daemon
import wire

FLIPS = 0x01, 0x20, 0x80
UNPROVEN = ("bad_request", "bad_signature", "unknown_caller")


class Signature(attack.Attack):
    def setUp(self):
        super().setUp()
        self.d = self.start(attack.MARK)

    def test_A09_changing_any_byte_of_a_signed_request_is_refused(self):
        """The signature covers all that is executed: no byte of the frame can be another; as it was, it runs."""
        request = self.d.request("mark", {}, reason="why", id="signed-1", deadline_ms=60000)
        for place in range(len(request.bare)):
            for flip in FLIPS:
                changed = bytearray(request.bare)
                changed[place] ^= flip
                for answer in self.answers(self.d, bytes(changed)):
                    self.assertIn(answer["code"], UNPROVEN, f"byte {place} ^ {flip:#x}: {answer}")
                    self.assertIsNone(answer.mac)
        self.assertNothingRan(self.d)
        self.assertCode(self.d.repeat(request), "ok")
        self.assertEqual(self.lines(self.d), ["ran"])

    def test_A09_parameters_of_one_signed_request_do_not_fit_another(self):
        """What the prototype left out is covered: a request's MAC is no good for the same with other parameters."""
        d = self.start('[actions.say]\ncommand = ["/bin/echo", "{text}"]\n'
                       'parameters.text = { type = "string", pattern = "[a-z]+" }')
        mine = d.request("say", {"text": "mine"}, id="same", timestamp=wire.timestamp())
        changed = mine.frame.replace(b'"mine"', b'"evil"')
        (answer,) = self.answers(d, changed)
        self.assertCode(answer, "bad_signature")
        self.assertEqual(self.assertCode(d.repeat(mine), "ok")["output"], "mine\n")

    def test_A14_macs_of_another_shape_are_all_refused_alike(self):
        """Upper case, not hex, short, long, empty, of another type: one answer for all of them, and nothing runs."""
        request = self.d.request("mark")
        good = request.mac.encode()
        said = set()
        for mac in (good.upper(), good[:-1], good + b"0", good[:32], good * 2, b"", b"g" * 64, b"0x" + good[2:],
                    b" " + good[1:], good[:-1] + b"\\u0000", b"0" * 64, "é".encode() * 32):
            if mac != good:
                said |= self.refusals(request.frame.replace(b'"' + good + b'"', b'"' + mac + b'"'))
        for value in (b"null", b"0", b"true", b"1e3", b"[]", b"{}", b'["' + good + b'"]'):
            said |= self.refusals(request.frame.replace(b'"' + good + b'"', value))
        self.assertEqual({code for code, _ in said}, {"bad_request", "bad_signature"})
        self.assertEqual(len(said), 2, said)  # one sentence a code: it says nothing of where the MAC went wrong
        self.assertNothingRan(self.d)
        self.assertCode(self.d.repeat(request), "ok")

    def test_A14_macs_are_compared_in_constant_time(self):
        """The one comparison of MACs is OpenSSL's CRYPTO_memcmp, and the daemon is linked with it."""
        with open(os.path.join(daemon.SOURCE, "protocol", "mac.cpp"), encoding="utf-8") as file:
            body = re.search(r"bool Mac::equals\(.*?\n}", file.read(), re.DOTALL)
        self.assertEqual(body[0].split("{")[1].split(), "return CRYPTO_memcmp(bytes.data(), other.bytes.data(), "
                         "bytes.size()) == 0; }".split())
        with open(os.path.join(daemon.SOURCE, "protocol", "mac.h"), encoding="utf-8") as file:
            self.assertNotIn("operator==", file.read())
        for folder in "protocol", "policy", "executor":
            for path in glob.glob(os.path.join(daemon.SOURCE, folder, "*.cpp")):
                with open(path, encoding="utf-8") as file:
                    self.assertNotRegex(file.read(), r"(?i)mac(_hex)?(->|\.)?(bytes|hex\(\))? ?[!=]= (?!nullptr)", path)
        with open(daemon.BINARY, "rb") as file:
            self.assertIn(b"\0CRYPTO_memcmp\0", file.read())

    def refusals(self, data):
        answers = self.answers(self.d, data)
        self.assertEqual(len(answers), 1, data)
        self.assertIsNone(answers[0].mac)
        return {(answer["code"], answer["error"]) for answer in answers}


if __name__ == "__main__":
    daemon.main()
