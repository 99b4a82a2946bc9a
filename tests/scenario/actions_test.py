"""What an allowed request does, and how its answer and its records tell it."""

import os
import socket
import subprocess

import daemon
import wire


class Actions(daemon.Scenario):
    def victim(self, *command):
        process = subprocess.Popen(command or ["/bin/sleep", "1000"], stdin=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def test_an_allowed_command_action_runs_and_is_recorded_before_and_after(self):
        """An allowed command runs once; intent and outcome are recorded and the answer names its record."""
        d = self.start("""
[actions.hello]
command = ["/bin/echo", "hello", "{name}"]
parameters.name = { type = "string", pattern = "[a-z]+" }
""")
        answer = self.assertCode(d.ask("hello", {"name": "world"}, id="first"), "ok")
        self.assertEqual(answer["output"], "hello world\n")
        self.assertIsNone(answer["error"])
        self.assertEqual(answer["verdict"], "unverifiable")
        intent, outcome = [r for r in d.records() if r["request_id"] == "first"]
        self.assertEqual((intent["event"], outcome["event"]), ("decision", "outcome"))
        self.assertEqual((intent["decision"], intent["code"], intent["success"]), ("allow", "ok", None))
        self.assertEqual((outcome["code"], outcome["success"], outcome["verdict"]), ("ok", True, "unverifiable"))
        self.assertEqual(answer["audit_seq"], outcome["seq"])
        line = d.read_config().splitlines().index("[callers.tester]") + 1
        for record in intent, outcome:
            self.assertEqual(record["rule"], f"{d.config_path}:{line}")
            self.assertEqual(record["caller"], "tester")
            self.assertEqual(record["parameters"], {"name": "world"})
            self.assertEqual(record["peer"]["uid"], os.geteuid())
            self.assertEqual(record["peer"]["pid"], os.getpid())
            self.assertEqual(record["mode"], "run")
            self.assertEqual(len(record["chain"]), 64)

    def test_the_longest_parameters_reach_the_program(self):
        """A frame full of parameters and all the defaults that a configuration may have reach the command."""
        given, left = [f"g{i}" for i in range(15)], [f"d{i}" for i in range(33)]
        spec = '{ type = "string", pattern = "a*", max_length = 4000'
        d = self.make('[actions.count]\ncommand = [\n"@WORK@/count",\n'
                      + ",\n".join(f'"{{{name}}}"' for name in given + left) + "]\n"
                      + "".join(f"parameters.{name} = {spec} }}\n" for name in given)
                      + "".join(f'parameters.{name} = {spec}, default = "{"a" * 1900}" }}\n' for name in left))
        self.script(d, "work/count", '#!/bin/sh\necho "$*" | wc -c\n')
        d.start()
        answer = self.assertCode(d.ask("count", {name: "a" * 4000 for name in given}), "ok")
        self.assertEqual(answer["output"], f"{15 * 4001 + 33 * 1901}\n")

    def test_kill_process_ends_the_process(self):
        """kill_process ends exactly the process asked for and verifies that it is gone."""
        d = self.start("[actions.kill_process]")
        victim, bystander = self.victim(), self.victim()
        answer = self.assertCode(d.ask("kill_process", {"pid": victim.pid}), "ok")
        self.assertEqual(answer["verdict"], "healed")
        self.assertEqual(answer["result"]["comm"], "sleep")
        self.assertEqual(victim.wait(), -15)
        self.assertTrue(daemon.is_alive(bystander.pid))

    def test_kill_process_refuses_numbers_that_mean_many_or_none(self):
        """A05: pid 1, 0, -1, 2^32+1, 1e3, "0x1", 1.0, true and null kill nothing."""
        d = self.start("[actions.kill_process]\nrate_limit = { limit = 100, window = \"5min\" }")
        for pid in ("1", "0", "-1", "4294967297", "1e3", "1.0", '"0x1"', '"-1"', "true", "null", "[2]", "9" * 30):
            with self.subTest(pid=pid):
                raw = b'{"id":"%s","action":"kill_process","parameters":{"pid":%s},"timestamp":"%s"}' % (
                    os.urandom(8).hex().encode(), pid.encode(), wire.timestamp().encode())
                request = wire.Request(d.keys["tester"], "tester", None, raw=raw)
                self.assertIn(d.repeat(request)["code"], ("parameters_invalid", "bad_request"))
        self.assertCode(d.ask("kill_process", {}), "parameters_invalid")
        self.assertEqual(d.events("outcome"), [])

    def test_kill_process_spares_the_daemon_itself(self):
        """The daemon, its gate and its running workers are never a target."""
        d = self.make()
        hold = self.hold(d)
        d.configure(f'[actions.kill_process]\n[actions.hold]\ncommand = ["/bin/cat", "{hold.path}"]').start()
        with d.connect() as connection:
            request = d.request("hold")
            connection.send(request.frame)
            hold.await_start()
            for pid in [d.pid, *daemon.descendants_of(d.pid)]:
                self.assertCode(d.ask("kill_process", {"pid": pid, "signal": "KILL"}), "parameters_not_allowed")
            hold.release()
            self.assertCode(connection.response(request), "ok")

    def test_a_run_is_confirmed_once(self):
        """A caller that confirms its own run 400 times is told so 399 times, and keeps nobody waiting."""
        d = self.make()
        hold = self.hold(d)
        d.configure(f'[actions.kill_process]\n[actions.hold]\ncommand = ["/bin/cat", "{hold.path}"]').start()
        deaf = self.deaf()
        request = d.request("kill_process", {"pid": deaf.pid}, stream=True)
        with d.connect() as waiting, d.connect() as confirming:
            waiting.send(request.frame)
            while "waiting for" not in waiting.answer(request)["text"]:
                pass
            codes = [confirming.ask(d.request("confirm", {"request_id": request.id}))["code"] for _ in range(400)]
            self.assertEqual(codes, ["ok"] + ["action_failed"] * 399)
            self.assertTrue(daemon.is_alive(deaf.pid))
            deaf.kill()
            self.assertCode(waiting.response(request), "ok")
            command = d.request("hold")
            waiting.send(command.frame)
            hold.await_start()
            self.assertCode(d.ask("confirm", {"request_id": command.id}), "action_failed")  # none hears of it
            hold.release()
            self.assertCode(waiting.response(command), "ok")

    def test_kill_process_guards_must_fit(self):
        """A guard (comm, start_time) that does not fit the process leaves it alone."""
        d = self.start("[actions.kill_process]")
        victim = self.victim()
        for guard in {"comm": "nginx"}, {"start_time": 1}:
            self.assertCode(d.ask("kill_process", {"pid": victim.pid, **guard}), "action_failed")
        self.assertIsNone(victim.poll())

    def test_plan_runs_nothing(self):
        """A plan shows the row filled in, runs nothing, writes no outcome and costs no budget."""
        d = self.start("""
[actions.mark]
command = ["/bin/sh", "-c", "echo ran >> @WORK@/ran", "sh"]
writes = ["@WORK@"]
timeout = "7s"
[actions.kill_process]
""")
        answer = self.assertCode(d.ask("mark", mode="plan"), "ok")
        self.assertIsNone(answer["verdict"])
        plan = answer["result"]
        self.assertEqual(plan["argv"][0], "/bin/sh")
        self.assertEqual((plan["writes"], plan["timeout_ms"], plan["network"]), ([d.work], 7000, False))
        victim = self.victim()
        answer = self.assertCode(d.ask("kill_process", {"pid": victim.pid}, mode="plan"), "ok")
        self.assertEqual(answer["result"]["current"]["comm"], "sleep")
        self.assertIsNone(victim.poll())
        self.assertEqual(self.lines(d), [])
        self.assertEqual(d.events("outcome"), [])
        self.assertEqual({r["mode"] for r in d.events("decision")}, {"plan"})
        actions = d.ask("status", {"detail": "actions"})["result"]["actions"]
        self.assertEqual([a["remaining"] for a in actions], [10, 10])

    def test_a_plan_is_refused_like_a_run(self):
        """A plan goes through the same checks as a run."""
        d = self.start('[actions.a]\ncommand = ["/bin/echo", "{n}"]\n'
                       'parameters.n = { type = "string", pattern = "[a-z]" }')
        self.assertCode(d.ask("b", mode="plan"), "action_unknown")
        self.assertCode(d.ask("a", mode="plan"), "parameters_invalid")
        self.assertCode(d.ask("a", {"n": "A"}, mode="plan"), "parameters_not_allowed")

    def test_status_names_version_and_head_of_the_log(self):
        """status answers every caller with a key and carries the head {seq, chain} of the log, signed."""
        d = self.start("[actions.kill_process]")
        d.ask("kill_process", {"pid": 1})
        answer = self.assertCode(d.ask("status"), "ok")
        self.assertIsNotNone(answer.mac)
        head = answer["result"]["audit"]
        self.assertTrue(head["available"])
        self.assertEqual([r["chain"] for r in d.records() if r["seq"] == head["seq"]], [head["chain"]])
        self.assertEqual(answer["result"]["pid"], d.pid)
        version = subprocess.run([daemon.BINARY, "--version"], stdout=subprocess.PIPE, check=True, text=True).stdout
        self.assertIn(answer["result"]["version"], version)
        self.assertEqual(d.stop(), 0)  # a status is answered before its record is written
        recorded = d.events("decision", action="status")
        self.assertEqual([r["seq"] for r in recorded], [answer["audit_seq"]])

    def test_status_takes_no_other_parameters(self):
        """status refuses parameters that it does not have."""
        d = self.start("[actions.kill_process]")
        self.assertCode(d.ask("status", {"detail": "everything"}), "parameters_invalid")
        self.assertCode(d.ask("status", {"verbose": True}), "parameters_invalid")

    def test_status_lists_what_this_caller_may_do(self):
        """status with detail=actions lists this caller's actions and the budget that remains."""
        d = self.start("""
[callers.one]
key = "one"
users = [@UID@]
actions = ["a"]
[callers.two]
key = "two"
users = [@UID@]
actions = ["b"]
[actions.a]
command = ["/bin/true"]
rate_limit = { limit = 3, window = "1min" }
[actions.b]
command = ["/bin/true"]
""")
        self.assertCode(d.ask("a", caller="one"), "ok")
        (action,) = d.ask("status", {"detail": "actions"}, caller="one")["result"]["actions"]
        self.assertEqual((action["name"], action["remaining"], action["limit"]), ("a", 2, 3))
        self.assertEqual(action["window_ms"], 60000)
        (action,) = d.ask("status", {"detail": "actions"}, caller="two")["result"]["actions"]
        self.assertEqual((action["name"], action["remaining"]), ("b", 10))

    def test_deadline_shortens_the_timeout_and_never_extends_it(self):
        """deadline_ms can only shorten the configured timeout."""
        d = self.make()
        for_long, for_short = self.hold(d, "long"), self.hold(d, "short")
        d.configure(f"""
[actions.long]
command = ["/bin/cat", "{for_long.path}"]
timeout = "1h"
[actions.short]
command = ["/bin/cat", "{for_short.path}"]
timeout = "300ms"
""").start()
        self.assertCode(d.ask("long", deadline_ms=200), "timeout")
        self.assertCode(d.ask("short", deadline_ms=3600000), "timeout")

    def test_deadline_must_be_a_positive_number(self):
        """A deadline of zero, below zero, of text or of more than a day is a bad request."""
        d = self.start('[actions.a]\ncommand = ["/bin/true"]')
        for deadline in 0, -1, 1.5, "1000", 86400001, None, True:
            self.assertCode(d.ask("a", deadline_ms=deadline), "bad_request")
        self.assertEqual(d.events("outcome"), [])

    def test_audience_must_be_this_host(self):
        """A request for another host is refused; one for this host name or machine-id is not."""
        d = self.start('[actions.a]\ncommand = ["/bin/true"]')
        self.assertCode(d.ask("a", audience=socket.gethostname()), "ok")
        if os.path.exists("/etc/machine-id") and os.path.getsize("/etc/machine-id"):
            with open("/etc/machine-id", encoding="ascii") as file:
                self.assertCode(d.ask("a", audience=file.read().strip()), "ok")
        self.assertCode(d.ask("a", audience="not-" + socket.gethostname()), "peer_not_allowed")
        self.assertCode(d.ask("a", audience=""), "peer_not_allowed")

    def test_reason_is_audited(self):
        """The reason is recorded with intent and outcome; one over 512 bytes is a bad request."""
        d = self.start('[actions.a]\ncommand = ["/bin/true"]')
        self.assertCode(d.ask("a", reason="disk at 97 %", id="why"), "ok")
        self.assertEqual([r["reason"] for r in d.records() if r["request_id"] == "why"], ["disk at 97 %"] * 2)
        self.assertCode(d.ask("a", reason="x" * 512), "ok")
        self.assertCode(d.ask("a", reason="x" * 513), "bad_request")

    def test_events_are_numbered_and_signed(self):
        """stream=true brings events with rising sequence and their own MACs before the one response."""
        d = self.make()
        hold = self.hold(d)
        script = self.script(d, "talk", f"#!/bin/sh\necho one\nread x < {hold.path}\necho two\n")
        d.configure(f'[actions.talk]\ncommand = ["/bin/sh", "{script}"]').start()
        request = d.request("talk", stream=True)
        with d.connect() as connection:
            connection.send(request.frame)
            first, second = connection.answer(request), connection.answer(request)
            self.assertEqual((first.kind, first["kind"], first["text"]), ("event", "started", "talk"))
            self.assertEqual((second.kind, second["kind"], second["text"]), ("event", "output", "one\n"))
            hold.await_start().release()
            more, response = connection.stream(request)
            events = [first, second, *more]
        self.assertEqual([e["sequence"] for e in events], list(range(1, len(events) + 1)))
        self.assertEqual("".join(e["text"] for e in events if e["kind"] == "output"), "one\ntwo\n")
        for event in events:
            self.assertEqual(list(event.value), ["request_id", "sequence", "kind", "text"])
        self.assertCode(response, "ok")

    def test_without_stream_there_are_no_events(self):
        """A request that did not ask for events gets its response alone."""
        d = self.start('[actions.a]\ncommand = ["/bin/echo", "x"]')
        request = d.request("a")
        with d.connect() as connection:
            connection.send(request.frame)
            self.assertEqual(connection.answer(request).kind, "response")

    def test_output_is_cut_at_16_kib_and_says_so(self):
        """Output of 16 KiB comes whole; one byte more is cut and marked; a flood does not block the command."""
        d = self.make()
        script = self.script(d, "print", '#!/bin/sh\nhead -c "$1" /dev/zero | tr "\\0" "$2"\n')
        d.configure(f"""
[actions.print]
command = ["/bin/sh", "{script}", "{{bytes}}", "{{what}}"]
parameters.bytes = {{ type = "integer", max = 10000000 }}
parameters.what = {{ type = "string", pattern = '[x"]' }}
""").start()
        answer = self.assertCode(d.ask("print", {"bytes": 16384, "what": "x"}), "ok")
        self.assertEqual(answer["output"], "x" * 16384)
        self.assertNotIn("output_truncated", answer.value)
        answer = self.assertCode(d.ask("print", {"bytes": 16385, "what": "x"}), "ok")
        self.assertEqual((answer["output"], answer["output_truncated"]), ("x" * 16384, True))
        answer = self.assertCode(d.ask("print", {"bytes": 5000000, "what": '"'}), "ok")
        self.assertEqual((answer["output"], answer["output_truncated"]), ('"' * 16384, True))

    def test_output_cannot_drive_a_terminal(self):
        """Control characters and direction marks of a command's output reach neither client nor log."""
        d = self.make()
        script = self.script(d, "evil", "#!/bin/sh\nprintf 'a\\033[2Jb\\007c\\342\\200\\256d\\377e\\n'\n")
        d.configure(f'[actions.evil]\ncommand = ["/bin/sh", "{script}"]').start()
        answer = self.assertCode(d.ask("evil"), "ok")
        self.assertEqual(answer["output"], "a[2Jbcd\N{REPLACEMENT CHARACTER}e\n")
        d.records()  # checks each line to be one line of printable ASCII

    def test_the_verify_command_decides(self):
        """Healed only when verify says so; otherwise not_healed, and undo has run."""
        d = self.start("""
[actions.heal]
command = ["/bin/sh", "-c", "echo run >> @WORK@/ran", "sh"]
verify = ["/usr/bin/test", "-e", "@WORK@/well"]
undo = ["/bin/sh", "-c", "echo undo >> @WORK@/ran", "sh"]
writes = ["@WORK@"]
""")
        answer = self.assertCode(d.ask("heal"), "not_healed")
        self.assertEqual((answer["verdict"], answer["result"]["undone"]), ("unchanged", True))
        self.assertEqual(self.lines(d), ["run", "undo"])
        (outcome,) = d.events("outcome")
        self.assertEqual((outcome["code"], outcome["success"], outcome["verdict"]), ("not_healed", False, "unchanged"))
        with open(os.path.join(d.work, "well"), "w", encoding="ascii"):
            pass
        answer = self.assertCode(d.ask("heal"), "ok")
        self.assertEqual(answer["verdict"], "healed")
        self.assertEqual(self.lines(d), ["run", "undo", "run"])

    def test_a_failed_command_is_undone_and_says_how_it_ended(self):
        """A command that fails is action_failed with its exit status or signal; verify is not asked, undo runs."""
        d = self.make()
        script = self.script(d, "fail", f"#!/bin/sh\necho failing\n[ $1 = exit ] && exit 3\nkill -9 $$\n")
        d.configure(f"""
[actions.fail]
command = ["/bin/sh", "{script}", "{{how}}"]
parameters.how = {{ type = "string", allowed = ["exit", "signal"] }}
verify = ["/bin/sh", "-c", "echo verify >> @WORK@/ran", "sh"]
undo = ["/bin/sh", "-c", "echo undo >> @WORK@/ran", "sh"]
writes = ["@WORK@"]
""").start()
        answer = self.assertCode(d.ask("fail", {"how": "exit"}), "action_failed")
        self.assertEqual((answer["result"]["exit_status"], answer["result"]["undone"]), (3, True))
        self.assertIn("failing", answer["output"])
        answer = self.assertCode(d.ask("fail", {"how": "signal"}), "action_failed")
        self.assertEqual(answer["result"]["signal"], 9)
        self.assertEqual(self.lines(d), ["undo", "undo"])

    def test_a_failing_undo_is_told(self):
        """An undo that fails is told as undone=false, and the action stays failed."""
        d = self.start('[actions.a]\ncommand = ["/bin/false"]\nundo = ["/bin/false"]')
        answer = self.assertCode(d.ask("a"), "action_failed")
        self.assertIs(answer["result"]["undone"], False)

    def test_a_confined_false_action_is_marked(self):
        """confine=false is warned about at start and marked in status."""
        d = self.start('[actions.a]\ncommand = ["/bin/true"]\nconfine = false')
        d.await_journal("without Landlock and seccomp")
        (action,) = d.ask("status", {"detail": "actions"})["result"]["actions"]
        self.assertIs(action["confined"], False)


if __name__ == "__main__":
    daemon.main()
