"""Every code of the protocol that a single daemon can give at once, and how each refusal is recorded."""

import json
import os

import daemon
import wire

CONFIG = """
[callers.one]
key = "one"
users = [@UID@]
actions = ["greet", "hold", "fail", "sick", "restart_service", "rollback_generation", "clean_nix_store", "set_cpu_governor"]
[callers.two]
key = "two"
users = [@UID@]
actions = ["other"]
[callers.foreign]
key = "foreign"
users = [4294967294]
actions = ["greet"]
[actions.greet]
command = ["/bin/echo", "hello", "{name}"]
parameters.name = { type = "string", pattern = "[a-z]+" }
rate_limit = { limit = 2, window = "1h" }
[actions.other]
command = ["/bin/true"]
[actions.hold]
command = ["/bin/cat", "@WORK@/hold"]
timeout = "500ms"
[actions.fail]
command = ["/bin/false"]
[actions.sick]
command = ["/bin/true"]
verify = ["/bin/false"]
[actions.restart_service]
units = ["lh-scenario.service"]
[actions.rollback_generation]
[actions.clean_nix_store]
[actions.set_cpu_governor]
"""


class Codes(daemon.Scenario):
    def setUp(self):
        super().setUp()
        self.d = self.start(CONFIG)

    def refused(self, answer, code, proven=True):
        """Refused with this code, without effect, and recorded as such."""
        self.assertCode(answer, code)
        self.assertIsNone(answer["verdict"])
        if proven:
            self.assertIsNotNone(answer.mac)
            self.assertGreater(len(answer["error"].split()), 2, "not a sentence to act on: " + answer["error"])
        else:
            self.assertIsNone(answer.mac)
            self.assertEqual(answer["error"], code)
        (record,) = [r for r in self.d.records() if r["seq"] == answer["audit_seq"]]
        self.assertEqual((record["event"], record["decision"], record["code"]), ("decision", "deny", code))
        self.assertEqual((record["peer"]["uid"], record["peer"]["pid"]), (os.geteuid(), os.getpid()))
        self.assertIs(record["success"], False)
        self.assertEqual(self.d.events("outcome"), [])
        return record

    def ask(self, action, parameters=None, caller="one", **members):
        return self.d.ask(action, parameters, caller=caller, **members)

    def raw(self, line, request=None):
        with self.d.connect() as connection:
            connection.send(line)
            connection.end_of_requests()
            return connection.answer(request)

    def test_ok(self):
        """ok: an allowed action that succeeded."""
        self.assertCode(self.ask("greet", {"name": "a"}), "ok")

    def test_bad_request_of_an_unproven_peer_tells_no_more_than_the_code(self):
        """bad_request: bytes that are no request; the answer has no MAC and no detail, the record has it."""
        record = self.refused(self.raw(b'{"v":2,"caller":"one"}\n'), "bad_request", proven=False)
        self.assertIn("mac", record["error"])

    def test_bad_request_for_unknown_and_duplicated_members(self):
        """A12: an unknown or duplicated member anywhere in envelope or request is bad_request."""
        good = self.d.request("greet", {"name": "a"}, caller="one")
        plain = good.bare.decode()
        for line in (plain[:-1] + ',"x":1}', plain[:-1] + ',"caller":"one"}', plain.replace('"v":2', '"v":2,"v":2')):
            self.assertCode(self.raw(line.encode()), "bad_request")
        key = self.d.keys["one"]
        body = good.raw.decode()
        for raw in (body[:-1] + ',"x":1}', body[:-1] + ',"action":"greet"}',
                    body.replace('{"name":"a"}', '{"name":"a","name":"a"}'),
                    body.replace('"name":"a"', '"name":"a","x":{"y":1,"y":2}')):
            self.assertCode(self.d.repeat(wire.Request(key, "one", None, raw=raw.encode())), "bad_request")
        self.assertEqual(self.d.events("decision", decision="allow"), [])

    def test_bad_request_for_hostile_json(self):
        """A13: nesting, NaN, lone surrogates, invalid UTF-8, huge numbers and raw NUL are refused, signed or not."""
        key = self.d.keys["one"]
        stamp = wire.timestamp().encode()
        values = [b"[" * 40 + b"]" * 40, b"NaN", b'"\\ud800"', b'"\xff\xfe"', b'"a\x00b"', b"1" * 400, b"1e999", b"",
                  b"'a'", b"tru", b"-", b'"\n"', b"{", b"\xef\xbb\xbf1"]
        for number, value in enumerate(values):
            with self.subTest(value=value[:20]):
                raw = b'{"id":"h%d","action":"greet","parameters":{"name":%s},"timestamp":"%s"}' % (
                    number, value, stamp)
                request = wire.Request(key, "one", None, raw=raw)
                with self.d.connect() as connection:
                    connection.send(request.frame)
                    connection.end_of_requests()
                    line = connection.line()
                if line:  # an object that never ends is no frame, and gets no answer
                    self.assertIn(wire.Answer(line, request)["code"], ("bad_request", "parameters_invalid"))
        self.assertEqual(self.d.events("outcome"), [])
        self.assertCode(self.ask("greet", {"name": "a"}), "ok")

    def test_bad_request_for_ids_and_timestamps_out_of_form(self):
        """bad_request: an id or timestamp that is not in the form the protocol has."""
        for identifier in "a b", "ä", "a" * 129, "a\n", "../x", "a/b":
            self.assertCode(self.ask("greet", {"name": "a"}, id=identifier), "bad_request")
        for stamp in "2026-11-21T10:00:00", "yesterday", "2026-13-01T00:00:00Z", "1700000000":
            self.assertCode(self.ask("greet", {"name": "a"}, timestamp=stamp), "bad_request")
        for identifier in "a" * 128, "A-Z.z_0:9":
            self.assertCode(self.ask("greet", {"name": "a"}, id=identifier), "ok")

    def test_bad_request_for_a_mode_or_stream_that_is_none(self):
        """bad_request: mode is run or plan, stream a boolean, reason and audience text, parameters an object."""
        for members in ({"mode": "dry"}, {"mode": None}, {"stream": "yes"}, {"reason": 1}, {"audience": []}):
            self.refused(self.ask("greet", {"name": "a"}, **members), "bad_request")
        self.refused(self.ask("greet", ["a"]), "bad_request")

    def test_a_missing_parameters_member_is_an_empty_object(self):
        """A request without parameters is one with an empty object."""
        self.assertCode(self.d.ask("other", caller="two"), "ok")

    def test_unknown_caller(self):
        """unknown_caller: nobody of that name is configured."""
        request = wire.Request("0123456789abcdef" * 4, "nobody", "greet", {"name": "a"})
        record = self.refused(self.d.repeat(request), "unknown_caller", proven=False)
        self.assertIn("nobody", record["error"])
        self.assertNotIn("caller", record)

    def test_bad_signature(self):
        """bad_signature: the MAC was made with another key, also with another caller's."""
        for key in "0123456789abcdef" * 4, self.d.keys["two"]:
            request = wire.Request(key, "one", "greet", {"name": "a"})
            record = self.refused(self.d.repeat(request), "bad_signature", proven=False)
            self.assertNotIn("caller", record)

    def test_macs_of_a_wrong_shape(self):
        """A14: upper-case, short, long, non-hex and non-string macs are refused."""
        request = self.d.request("greet", {"name": "a"}, caller="one")
        good = b'"' + request.mac.encode() + b'"'
        for mac in (good.upper(), good[:-3] + b'"', good[:-1] + b'00"', b'"' + b"g" * 64 + b'"', b"0", b"null", b'""',
                    b"[" + good + b"]", good[:-2] + b'\\u0000"'):
            with self.subTest(mac=mac):
                self.refused(self.raw(request.frame.replace(good, mac)), "bad_request", proven=False)

    def test_stale_in_both_directions(self):
        """stale: a timestamp more than the allowed skew before or after the daemon's clock."""
        for offset in -31, 33, -86400, 86400, 10 * 365 * 86400:
            answer = self.ask("greet", {"name": "a"}, timestamp=wire.timestamp(offset))
            self.refused(answer, "stale")
        for offset in -25, 25:
            self.assertCode(self.ask("greet", {"name": "a"}, timestamp=wire.timestamp(offset)), "ok")

    def test_a_zone_is_part_of_the_timestamp(self):
        """The same instant written in another zone is fresh; another instant with the same digits is stale."""
        now = wire.timestamp()
        self.assertCode(self.ask("greet", {"name": "a"}, timestamp=now.replace("Z", "+00:00")), "ok")
        self.assertCode(self.ask("greet", {"name": "a"}, timestamp=now.replace("Z", "+05:30")), "stale")

    def test_id_reused(self):
        """id_reused: the same id with other bytes, whatever became of the first."""
        self.assertCode(self.ask("nonsense", id="twice"), "action_unknown")
        self.refused(self.ask("greet", {"name": "a"}, id="twice"), "id_reused")

    def test_peer_not_allowed(self):
        """A15: a valid key in the hands of a user who may not use it is peer_not_allowed."""
        record = self.refused(self.ask("greet", {"name": "a"}, caller="foreign"), "peer_not_allowed")
        self.assertEqual(record["caller"], "foreign")
        self.refused(self.ask("status", caller="foreign"), "peer_not_allowed")

    def test_action_unknown(self):
        """action_unknown: what is not listed in the configuration does not exist, built in or not."""
        self.refused(self.ask("format_disk"), "action_unknown")
        self.refused(self.ask("kill_process", {"pid": 2}), "action_unknown")
        self.refused(self.ask("Greet", {"name": "a"}), "action_unknown")
        for name in "greet ", "greet\n", "../greet", "gre\0et", "greet\0", "greet\x1b[2J":  # out of form, which may be said first
            self.assertIn(self.ask(name, {"name": "a"})["code"], ("action_unknown", "bad_request"))
        self.assertEqual(self.d.events("outcome"), [])

    def test_action_not_allowed(self):
        """action_not_allowed: the action is enabled, but not for this caller."""
        self.refused(self.ask("greet", {"name": "a"}, caller="two"), "action_not_allowed")

    def test_parameters_invalid(self):
        """parameters_invalid: missing, unknown, of another type, empty, or beginning with a dash (A06)."""
        for parameters in ({}, {"name": "a", "more": 1}, {"name": 1}, {"name": None}, {"name": ""}, {"name": "-x"},
                           {"Name": "a"}, {"name": ["a"]}):
            self.refused(self.ask("greet", parameters), "parameters_invalid")

    def test_parameters_not_allowed(self):
        """A08: parameters_not_allowed: a value that the pattern does not match as a whole."""
        for name in "A", "a1", "a b", "a\n", "a;id", "$(id)", "a" * 20 + "!":
            record = self.refused(self.ask("greet", {"name": name}), "parameters_not_allowed")
            self.assertIn(f"{self.d.config_path}:", record["rule"])

    def test_rate_limited(self):
        """rate_limited: over the action's budget, with the time after which it may be asked again."""
        for _ in range(2):
            self.assertCode(self.ask("greet", {"name": "a"}), "ok")
        answer = self.assertCode(self.ask("greet", {"name": "a"}), "rate_limited")
        self.assertTrue(0 < answer["retry_after_ms"] <= 3600000, answer)

    def test_busy(self):
        """busy: one run per target at a time."""
        hold = self.hold(self.d)
        request = self.d.request("hold", caller="one")
        with self.d.connect() as connection:
            connection.send(request.frame)
            hold.await_start()
            answer = self.ask("hold")
            self.refused(answer, "busy")
            self.assertGreater(answer["retry_after_ms"], 0)
            hold.release()
            self.assertCode(connection.response(request), "ok")

    def test_unavailable(self):
        """unavailable: an enabled action that cannot work on this machine says why, here and in status."""
        actions = self.ask("status", {"detail": "actions"})["result"]["actions"]
        lacking = [a for a in actions if a["unavailable"]]
        if not lacking:
            self.skipTest("every action works on this machine")
        parameters = {"restart_service": {"service": "lh-scenario"}, "set_cpu_governor": {"governor": "powersave"}}
        for action in lacking:
            answer = self.ask(action["name"], parameters.get(action["name"], {}))
            self.refused(answer, "unavailable")
            self.assertIn(action["unavailable"], answer["error"])

    def test_timeout(self):
        """timeout: what does not end in time is ended, and that is recorded."""
        self.hold(self.d)
        self.assertCode(self.ask("hold"), "timeout")
        self.assertEqual([r["code"] for r in self.d.events("outcome")], ["timeout"])

    def test_action_failed(self):
        """action_failed: the command ended with another status than 0."""
        self.assertCode(self.ask("fail"), "action_failed")
        self.assertEqual([r["code"] for r in self.d.events("outcome")], ["action_failed"])

    def test_not_healed(self):
        """not_healed: it ran, but verify does not find the machine healed (A40)."""
        answer = self.assertCode(self.ask("sick"), "not_healed")
        self.assertEqual(answer["verdict"], "unchanged")

    def test_no_key_is_ever_told(self):
        """A39: no answer, record or journal line holds a key or a piece of one."""
        self.ask("greet", {"name": "a"})
        self.ask("status")
        self.ask("status", {"detail": "actions"})
        with open(self.d.log_path, encoding="ascii") as file:
            told = file.read() + self.d.journal() + json.dumps(self.ask("status").value)
        for key in self.d.keys.values():
            self.assertNotIn(key[:16], told)


if __name__ == "__main__":
    daemon.main()
