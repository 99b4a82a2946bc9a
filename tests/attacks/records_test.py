"""What whoever is refused can write into the log, what of him is in it, and how much."""

import os
import re
import shutil
import subprocess

import attack
import daemon
import wire

HEALCTL = os.path.join(daemon.BUILD, "healctl", "healctl")
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]")
# What a terminal, a viewer or a reader of lines would act on.
NASTY = ('x\n{"seq":1,"event":"decision","decision":"allow"}', "a\r\nFORGED", "\nFORGED", "\x1b[2J\x1b[1;1H",
         "\x1b]0;title\x07",
         "\x9b31m", "\u202egnp.exe", "\u2066x", "\x85FORGED", "a\tb", "\x7f", "\u2028FORGED", "\x00", "%s%n", '"},{',
         "\\n",
         "\b\b\b\b", "é" * 300, "\U0001f525", "\ufeff")
LIMITED = """
[actions.say]
command = ["/bin/echo", "{text}"]
parameters.text = { type = "string", pattern = "[a-z]*" }
rate_limit = { limit = 2, window = "1h" }
[actions.secret]
command = ["/bin/true"]
[callers.tester]
key = "tester"
users = [@UID@]
actions = ["say"]
[callers.theirs]
key = "theirs"
users = [4294967294]
actions = ["say"]
"""


class Records(attack.Attack):
    def shown(self, d):
        """All that healctl audit show says to a person who is not at a terminal, and to one who is."""
        done = subprocess.run([HEALCTL, "audit", "show", d.log_folder], capture_output=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.decode()

    def test_A20_no_value_breaks_out_of_its_line(self):
        """Newlines, escapes and direction marks in any member: log, journal and viewer show printable lines."""
        d = self.start(LIMITED)
        count = 0
        for text in NASTY:
            for request in (d.request("say", {"text": text}), d.request("say", {text: "x"}), d.request(text),
                            d.request("say", {"text": "a"}, reason=text),
                            d.request("say", {"text": "a"}, audience=text),
                            d.request("say", {"text": "a"}, id=text), d.request("say", {"text": "A"}, mode=text),
                            wire.Request("k" * 64, text, "say")):
                answer = d.repeat(request)
                count += 1
                self.assertIsNone(CONTROL.search(answer["error"] or ""), answer)
                if count % 4 == 0:  # folded otherwise
                    d.kill9()
                    d.start()
        self.assertEqual(d.stop(), 0)
        self.assertGreater(len(d.records()), count // 2)  # which holds each line to be JSON in printable ASCII
        self.assertEqual([r["seq"] for r in d.records()], list(range(1, len(d.records()) + 1)))
        for said in d.stderr + self.shown(d).splitlines():
            self.assertIsNone(CONTROL.search(said), repr(said))
            self.assertFalse(said.startswith(("FORGED", "{")), repr(said))

    def test_A20_what_a_command_prints_breaks_out_of_nothing(self):
        """Output that drives terminals and forges lines is printable in the answer, the record and the viewer."""
        d = self.make()
        script = self.script(d, "noise", "#!/bin/sh\n"
                             "printf '\\033[2J\\nFORGED\\r\\007\\302\\233x\\377\\376 \\342\\200\\256'\n")
        d.configure(f'[actions.noise]\ncommand = ["/bin/sh", "{script}"]').start()
        answer = self.assertCode(d.ask("noise"), "ok")
        self.assertIsNone(CONTROL.search(answer["output"].replace("\n", "")), answer)
        self.assertIn("FORGED", answer["output"])
        self.assertEqual(d.stop(), 0)
        for said in d.stderr + self.shown(d).splitlines():
            self.assertIsNone(CONTROL.search(said), repr(said))
            self.assertFalse(said.startswith("FORGED"), repr(said))

    def test_A20_the_name_of_a_program_breaks_out_of_nothing(self):
        """The peer's program may be called anything; its path in the record is one printable line."""
        d = self.start(LIMITED)
        path = os.path.join(d.folder, 'nc\n{"seq":1}\x1b[2J')
        shutil.copy(attack.netcat(), path)
        self.assertCode(attack.ask_by_program(d, d.request("say", {"text": "a"}), path), "ok")
        exe = d.events("decision")[0]["peer"]["exe"]
        self.assertIn(os.path.basename(d.folder), exe)
        self.assertIsNone(CONTROL.search(exe), repr(exe))

    def test_A21_each_kind_of_denial_is_recorded_with_the_real_peer(self):
        """Every refusal has a record: its code, and uid, gid and pid from the kernel; a claimed name is no caller."""
        d = self.start(LIMITED)
        replayed = d.request("say", {"text": "-"})
        asked = [
            ("bad_request", b"garbage\n"), ("bad_request", b'{"v":2}\n'),
            ("bad_request", b'{"v":3,"caller":"tester"}\n'),
            ("unknown_caller", wire.Request("k" * 64, "stranger", "say").frame),
            ("bad_signature", d.request("say", {"text": "a"}, key="k" * 64).frame),
            ("bad_request", self.signed(d, '{"id":"x","action":"say"}').frame),
            ("peer_not_allowed", d.request("say", {"text": "a"}, caller="theirs").frame),
            ("stale", d.request("say", {"text": "a"}, timestamp=wire.timestamp(-3600)).frame),
            ("peer_not_allowed", d.request("say", {"text": "a"}, audience="elsewhere").frame),
            ("action_unknown", d.request("kill_process", {"pid": 1}).frame),
            ("action_not_allowed", d.request("secret").frame),
            ("parameters_invalid", d.request("say", {"n": 1}).frame),
            ("parameters_invalid", replayed.frame),
            ("id_reused", d.request("say", {"text": "b"}, id=replayed.id).frame),
            ("ok", d.request("say", {"text": "a"}).frame), ("ok", d.request("say", {"text": "b"}).frame),
            ("rate_limited", d.request("say", {"text": "c"}).frame),
        ]
        for code, data in asked:
            self.assertEqual([answer["code"] for answer in self.answers(d, data)], [code], data)
        denied = d.events("decision", decision="deny")
        self.assertEqual([r["code"] for r in denied], [code for code, _ in asked if code != "ok"])
        for record in denied:
            peer = record["peer"]
            self.assertEqual((peer["uid"], peer["gid"], peer["pid"]), (os.geteuid(), os.getegid(), os.getpid()))
            self.assertIs(record["success"], False)
            self.assertTrue(record["error"])
        claimed = [r for r in denied if r["code"] in ("unknown_caller", "bad_signature")]
        self.assertEqual([r.get("caller") for r in claimed], [None, None])  # a claim is no caller

    @daemon.needs_root
    def test_A21_a_denied_user_is_recorded_as_himself(self):
        """Another user's attempts with somebody's name, and with his key, stand under his own uid and pid."""
        d = self.start(LIMITED, daemon='socket_group = "nogroup"')
        (connection,), pid = d.connect_as(daemon.NOBODY)
        with connection:
            self.assertCode(connection.ask(d.request("say", {"text": "a"}, key="k" * 64)), "bad_signature")
            self.assertCode(connection.ask(d.request("say", {"text": "a"})), "peer_not_allowed")
        self.assertEqual([(r["peer"]["uid"], r["peer"]["gid"], r["peer"]["pid"]) for r in d.events("decision")],
                         [(daemon.NOBODY, daemon.NOBODY, pid)] * 2)

    def test_A22_a_flood_of_refusals_is_folded_with_exact_counts(self):
        """Thousands of refusals of several kinds leave ten records each and one exact count; the log stays small."""
        d = self.start(LIMITED)
        size = os.path.getsize(d.log_path)
        sent = {"bad_signature": 1500, "unknown_caller": 700, "bad_request": 120, "action_unknown": 211}
        makers = {
            # Each with other bytes, so that nothing but their kind is alike.
            "bad_signature": lambda n: d.request("say", {"text": f"x{n}"}, key=f"{n:064}").frame,
            "unknown_caller": lambda n: wire.Request("k" * 64, f"stranger{n}", f"action{n}").frame,
            "bad_request": lambda n: b'{"v":2,"n":%d}\n' % n,
            "action_unknown": lambda n: d.request(f"action{n}").frame,
        }
        for code, count in sent.items():
            at_a_time = 1 if code == "bad_request" else 25  # what is no request ends its connection
            for start in range(0, count, at_a_time):
                numbers = range(start, min(start + at_a_time, count))
                answers = self.answers(d, b"".join(makers[code](n) for n in numbers))
                self.assertEqual([answer["code"] for answer in answers], [code] * len(numbers))
        self.assertLess(os.path.getsize(d.log_path) - size, 64 * 1024)
        self.assertEqual(d.stop(), 0)
        for code, count in sent.items():
            single = len(d.events("decision", code=code))
            folded = sum(r["count"] for r in d.events("suppressed", code=code))
            # A window may have ended meanwhile: then there are ten records more, and another count.
            self.assertEqual(single + folded, count, code)
            self.assertLessEqual(single, 10 * (1 + len(d.events("suppressed", code=code))), code)
        self.assertEqual({r["peer"]["uid"] for r in d.events("suppressed")}, {os.geteuid()})

    def test_A22_a_refused_value_of_any_size_makes_a_bounded_record(self):
        """Who sends as much as fits into a frame gets no more than his ten records of bounded length."""
        d = self.start(LIMITED)
        size = os.path.getsize(d.log_path)
        for n in range(40):
            self.assertEqual(self.answers(d, d.request("say", {"text": "\x01" * 9000 + str(n), "y": "z" * 2000}).frame)
                             [0]["code"], "parameters_invalid")
        grown = os.path.getsize(d.log_path) - size
        self.assertLess(grown, 11 * 128 * 1024)
        self.assertEqual(len(d.events("decision")), 10)


if __name__ == "__main__":
    daemon.main()
