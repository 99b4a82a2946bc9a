"""JSON as an enemy writes it: the envelope that the gate reads, and the signed request that the executor reads."""

import attack
import daemon

BODY = '{"id":"@ID@","action":"mark","parameters":{"n":1},"timestamp":"@TIME@"}'
ACTION = """
[actions.mark]
command = ["/bin/sh", "@WORK@/../mark", "{n}", "{text}"]
writes = ["@WORK@"]
parameters.n = { type = "integer" }
parameters.text = { type = "string", pattern = ".*", required = false, default = "x" }
rate_limit = { limit = 100000, window = "1h" }
"""
# Values that no reader may take for one that it understands, or die of.
HOSTILE = {
    "nested too deep": b"[" * 33 + b"]" * 33,
    "nested very deep": b"[" * 30000 + b"]" * 30000,
    "objects nested very deep": b'{"a":' * 9000 + b"1" + b"}" * 9000,
    "not a number": b"NaN", "infinity": b"Infinity", "minus infinity": b"-Infinity", "overflow": b"1e999",
    "many digits": b"9" * 30000, "hexadecimal": b"0x1", "octal": b"01", "a plus": b"+1", "a bare point": b"1.",
    "an exponent without digits": b"1e", "minus nothing": b"-",
    "a lone high surrogate": b'"\\ud800"', "a lone low surrogate": b'"\\udc00"', "a reversed pair": b'"\\udc00\\ud800"',
    "invalid UTF-8": b'"\xff\xfe"', "an overlong slash": b'"\xc0\xaf"', "an encoded surrogate": b'"\xed\xa0\x80"',
    "beyond Unicode": b'"\xf4\x90\x80\x80"', "a cut character": b'"\xe2\x82"', "a raw NUL": b'"a\x00b"',
    "a raw newline": b'"a\nb"', "an unknown escape": b'"\\x41"', "a cut escape": b'"\\u12"', "a single quote": b"'a'",
    "a cut literal": b"tru", "a byte order mark": b"\xef\xbb\xbf1", "a comment": b"1/**/", "nothing": b"",
    "a trailing comma": b"[1,]", "two values": b"1 1",
}


class Json(attack.Attack):
    def setUp(self):
        super().setUp()
        self.d = self.make(ACTION)
        self.script(self.d, "mark", f"echo ran >> {self.d.work}/ran\n")
        self.d.start()
        self.gate = self.d.confined_gate()
        self.count = 0

    def body(self, text):
        self.count += 1
        return self.signed(self.d, text.replace(b"@ID@", b"j%d" % self.count))

    def assertUnharmed(self):
        """Nothing ran, the same processes serve, and a good request is good."""
        self.assertEqual(self.lines(self.d), [])
        self.assertEqual(self.d.events("decision", decision="allow", action="mark"), [])
        self.assertEqual(self.d.gate_pid(), self.gate)
        self.assertEqual(self.d.events("gate_lost"), [])
        self.assertCode(self.d.ask("mark", {"n": 1}), "ok")

    def codes(self, data):
        return [answer["code"] for answer in self.answers(self.d, data)]

    def test_A12_a_member_that_is_there_twice_is_refused_at_every_depth(self):
        """In envelope, request and parameters, equal or not, escaped or not: two readers might take different ones."""
        good = self.d.request("mark", {"n": 1}).bare
        for old, new in ((b'"v":2', b'"v":2,"v":2'), (b'"v":2', b'"v":2,"\\u0076":2'),
                         (b'"caller":"tester"', b'"caller":"tester","caller":"tester"'),
                         (b'"caller":"tester"', b'"caller":"root","c\\u0061ller":"tester"'),
                         (b'"mac":', b'"mac":"' + b"0" * 64 + b'","mac":')):
            self.assertIn(old, good)
            self.assertEqual(self.codes(good.replace(old, new)), ["bad_request"], new)
        self.assertEqual(self.codes(good[:-1] + b',"request":{}}'), ["bad_request"])
        body = BODY.encode()
        for old, new in ((b'"id":"@ID@"', b'"id":"@ID@","id":"@ID@"'),
                         (b'"action":"mark"', b'"action":"no","action":"mark"'),
                         (b'"action":"mark"', b'"\\u0061ction":"no","action":"mark"'),
                         (b'"timestamp":', b'"timestamp":"@TIME@","timestamp":'),
                         (b'"parameters":{"n":1}', b'"parameters":{},"parameters":{"n":1}'),
                         (b'{"n":1}', b'{"n":1,"n":1}'), (b'{"n":1}', b'{"n":2,"\\u006e":1}'),
                         (b'{"n":1}', b'{"n":1,"text":{"a":1,"a":2}}'),
                         (b'{"n":1}', b'{"n":1,"text":[{"a":1,"\\u0061":2}]}'),
                         (b'{"n":1}', b'{"n":1,"text":[[[{"b":{"":1,"":1}}]]]}')):
            self.assertIn(old, body)
            self.assertEqual(self.codes(self.body(body.replace(old, new)).frame), ["bad_request"], new)
        self.assertUnharmed()

    def test_A12_a_member_that_is_not_known_is_refused(self):
        """What one reader ignores another may act on: an unknown member, or one in other letters, is refused."""
        good = self.d.request("mark", {"n": 1}).bare
        for new in b',"x":1}', b',"Caller":"root"}', b',"":0}', b',"request ":{}}':
            self.assertEqual(self.codes(good[:-1] + new), ["bad_request"], new)
        for new in b',"x":1}', b',"Action":"mark"}', b',"__proto__":{}}', b',"parameters\\u0000":{}}':
            self.assertEqual(self.codes(self.body(BODY.encode()[:-1] + new).frame), ["bad_request"], new)
        self.assertUnharmed()

    def test_A13_hostile_values_in_a_signed_request_are_refused(self):
        """Nesting, huge numbers, NaN, surrogates, bad UTF-8, signed with a good key: refused; the executor lives."""
        for name, value in HOSTILE.items():
            for member in b'"text":', b'"n":':
                with self.subTest(name, member=member):
                    frame = self.body(BODY.encode().replace(b'"n":1', (b'"n":1,' if member == b'"text":' else b"") +
                                                            member + value)).frame
                    for code in self.codes(frame):  # what never ends is no frame, and gets no answer
                        self.assertIn(code, ("bad_request", "parameters_invalid", "bad_signature"))
        self.assertUnharmed()

    def test_A13_hostile_values_in_the_envelope_are_refused(self):
        """The same without any key, in each member of the envelope and in place of it: refused, and the gate lives."""
        good = self.d.request("mark", {"n": 1})
        members = (b'"tester"', b'"' + good.mac.encode() + b'"', good.raw, b"2,")
        for name, value in HOSTILE.items():
            for member in members:
                with self.subTest(name, member=member[:10]):
                    for code in self.codes(good.bare.replace(member, value + (b"," if member == b"2," else b""), 1)):
                        self.assertIn(code, ("bad_request", "bad_signature", "unknown_caller"))
            for code in self.codes(value + b"\n"):
                self.assertEqual(code, "bad_request")
        self.assertUnharmed()

    def test_A13_keys_and_strings_as_long_as_a_frame_are_bounded(self):
        """A key, a caller, an id, a value of 64 KiB is refused; so is a frame that is longer than a frame may be."""
        long = b"k" * 65000
        good = self.d.request("mark", {"n": 1}).bare
        self.assertEqual(self.codes(good.replace(b"tester", long)), ["bad_request"])
        self.assertEqual(self.codes(good[:-1] + b',"' + long + b'":1}'), ["bad_request"])
        body = BODY.encode()
        for old, new, code in ((b"@ID@", long, "bad_request"), (b'"n":1', b'"' + long + b'":1', "parameters_invalid"),
                               (b'"mark"', b'"' + long + b'"', "bad_request"),
                               (b'"n":1', b'"n":1,"text":"' + long + b'"', "parameters_invalid")):
            found = self.codes(self.body(body.replace(old, new)).frame)
            self.assertIn(found, ([code], ["action_unknown"]), old)
        for answers in self.codes(b'{"' + b"k" * 65536 + b'":1}'), self.codes(b'{"k":"' + b"v" * 200000):
            self.assertIn(answers, (["bad_request"], []))
        self.assertUnharmed()

    def test_A13_a_nul_in_a_string_ends_nothing(self):
        """An escaped NUL neither cuts a value short nor hides what follows it."""
        for text in b"a\\u0000b", b"\\u0000", b"a\\u0000\\n; evil":
            self.assertEqual(self.codes(self.body(BODY.encode().replace(
                b'"n":1', b'"n":1,"text":"' + text + b'"')).frame), ["parameters_invalid"])
        for old, new in ((b'"mark"', b'"mark\\u0000"'), (b'"mark"', b'"mark\\u0000x"'), (b'"@ID@"', b'"a\\u0000"')):
            (code,) = self.codes(self.body(BODY.encode().replace(old, new)).frame)
            self.assertIn(code, ("bad_request", "action_unknown"))
        self.assertUnharmed()


if __name__ == "__main__":
    daemon.main()
