"""Values of parameters: numbers that mean many, names that are options, patterns that swallow more than was meant."""

import os
import subprocess

import attack
import daemon

REFUSED = ("parameters_invalid", "parameters_not_allowed")
BUDGET = 'rate_limit = { limit = 100000, window = "1h" }\n'
UNITS = f'[actions.restart_service]\nunits = ["*"]\n{BUDGET}'
SAY = f'[actions.say]\ncommand = ["/bin/echo", "{{text}}"]\n{BUDGET}'

VALID_UNITS = ("nginx", "nginx.service", "getty@tty1", "getty@tty1.service", "a.b.c", "a:b_c-d.service", "0.service",
               "foo\\x2dbar.service", "dev-disk-by\\x2duuid-1.swap", "foo@bar@baz.service", "app.SERVICE",
               "nginx.timer",
               "org.freedesktop.Foo", "a" * 247, "a" * 247 + ".service", "_x", ":x", "\\x2dx.service")
INVALID_UNITS = ("", " ", ".service", "@.service", "@tty1.service", "getty@.service", "getty@", "a b", "a/b",
                 "../a.service", "/etc/passwd", "a\n", "a\nb.service", "a\tb", "café.service", "ngіnx.service",
                 "a\u200b",
                 "a;b", "a$b", "a`b`", "a'b", 'a"b', "a,b", "a+b", "a%i.service", "*", "a*.service", "a?",
                 "[a].service",
                 "~a", "#a", "a=b", "a|b", "a&b", "a\0", "a\0.service", "a" * 248, "a" * 256 + ".service", "a.service ",
                 " a.service", "a.service\n", "ａ.service")


class Parameters(attack.Attack):
    def victim(self):
        process = subprocess.Popen(["/bin/sleep", "1000"], stdin=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def decided(self, d, unit):
        """"ok" if a restart of this unit was allowed, whatever came of it; else the code."""
        answer = d.ask("restart_service", {"service": unit})
        return "ok" if d.events("decision", request_id=answer["request_id"], decision="allow") else answer["code"]

    def test_A05_pids_that_mean_many_or_none_kill_nothing(self):
        """No number of 1 or less, none that becomes another in 32 bits, and nothing but a plain number is killed."""
        d = self.start("[actions.kill_process]\n" + BUDGET)
        victim = self.victim()
        for pid in ("1", "0", "-0", "-1", f"-{victim.pid}", "4294967297", "4294967296", "-4294967295",
                    str(2**32 + victim.pid), str(2**64 + victim.pid), str(2**63), "1e3", f"{victim.pid}.0",
                    f"{victim.pid}e0", f"0{victim.pid}", f"+{victim.pid}", f"0x{victim.pid:x}", f'"{victim.pid}"',
                    '"0x1"',
                    '"-1"', '"*"', "true", "null", f"[{victim.pid}]", f'{{"pid":{victim.pid}}}', "9" * 30, "1E400"):
            with self.subTest(pid=pid):
                request = self.signed(d, '{"id":"%s","action":"kill_process","parameters":{"pid":%s},'
                                      '"timestamp":"@TIME@"}'
                                      % (os.urandom(8).hex(), pid))
                self.assertIn(d.repeat(request)["code"], ("bad_request", *REFUSED))
        for signal in "STOP", "SIGKILL", "9", "-9", "", "0", "KILL ", "kill":
            answer = d.ask("kill_process", {"pid": victim.pid, "signal": signal})
            self.assertIn(answer["code"], REFUSED, signal)
        self.assertEqual(d.events("outcome"), [])
        self.assertIsNone(victim.poll())
        self.assertCode(d.ask("kill_process", {"pid": victim.pid}), "ok")  # this is the one way to end it
        self.assertEqual(victim.wait(), -15)

    def test_A06_values_that_would_be_options_are_refused(self):
        """A value that begins with a dash does not become an argument, whatever the pattern lets through besides."""
        d = self.start(SAY + 'parameters.text = { type = "string", pattern = "[ -~]+" }')
        for text in "-Hevil", "--no-block", "-", "--", "-n", "-e\\x41", "--help", "-1":
            self.assertCode(d.ask("say", {"text": text}), "parameters_invalid")
        self.assertNothingRan(d)
        for text in "a-b", "a --no-block", "x-":  # one argument, and not an option
            self.assertEqual(self.assertCode(d.ask("say", {"text": text}), "ok")["output"], text + "\n")

    def test_A06_numbers_that_would_be_options_are_refused(self):
        """An integer without a configured minimum is not negative: "-5" as an argument would be an option."""
        d = self.start(f'[actions.say]\ncommand = ["/bin/echo", "{{n}}"]\n{BUDGET}'
                       f'parameters.n = {{ type = "integer" }}')
        for number in -1, -5, -(2**63):
            self.assertCode(d.ask("say", {"n": number}), "parameters_invalid")
        self.assertNothingRan(d)

    def test_A06_unit_names_that_would_be_options_are_refused(self):
        """No unit begins with a dash: neither a host nor a flag can be named where a unit is asked for."""
        d = self.start_where_units_are(UNITS)
        for unit in "-Hevil", "--no-block", "-", "-.mount", "-.slice", "-a.service", "--host=evil":
            self.assertEqual(self.decided(d, unit), "parameters_invalid", unit)
        self.assertNothingRan(d)

    def test_A07_valid_unit_names_are_accepted_and_invalid_ones_refused(self):
        """systemd's rules for unit names, and no others: escapes and instances are good, Unicode and templates not."""
        d = self.start_where_units_are(UNITS)
        for unit in INVALID_UNITS:
            self.assertEqual(self.decided(d, unit), "parameters_invalid", unit)
        self.assertNothingRan(d)
        for unit in VALID_UNITS:
            self.assertEqual(self.decided(d, unit), "ok", unit)

    def test_A08_a_pattern_matches_one_whole_value(self):
        """What is before, after or between what a pattern means is no match; nor is a second line."""
        d = self.start(SAY + 'parameters.text = { type = "string", pattern = "app-[a-z]*|x" }')
        for text in ("app-a app-b", "app-a\n", "app-a\nx", "\napp-a", "evil app-a", "app-a/../../x", "app-a;x", "xx",
                     "app",
                     "app-A", "app-ä", "x\n", "app-a\0", "app-a\0evil"):
            self.assertIn(d.ask("say", {"text": text})["code"], REFUSED, text)
        self.assertNothingRan(d)
        for text in "app-", "app-a", "app-abc", "x":
            self.assertCode(d.ask("say", {"text": text}), "ok")

    def test_A08_a_pattern_cannot_close_its_own_group(self):
        """An expression that is one only between our anchors is refused; groups are held to the whole value."""
        d = self.make(SAY + 'parameters.text = { type = "string", pattern = "a|b)|(c|d" }')
        said = subprocess.run([daemon.BINARY, "--check", "--config", d.config_path], capture_output=True, text=True,
                              env=d.environment(), check=False)
        self.assertEqual(said.returncode, 78, said.stderr)
        self.assertRegex(said.stderr, "has no \\(")
        d = self.start(SAY + 'parameters.text = { type = "string", pattern = "(a|b)|(c|d)" }')
        for text in "ax", "xb", "cx", "xd", "a\nx", "ab":
            self.assertIn(d.ask("say", {"text": text})["code"], REFUSED, text)
        self.assertNothingRan(d)

    def test_A08_a_glob_of_units_means_one_unit(self):
        """app-* takes units that begin with app-, and no path, no second unit, no second line, no protected one."""
        d = self.start_where_units_are(f'[actions.restart_service]\nunits = ["app-*", "sys*.service"]\n{BUDGET}')
        for unit in ("app-x.service evil.service", "app-x.service\nevil.service", "app-x/evil.service", "app-x,evil",
                     "app-/../evil.service"):
            self.assertEqual(self.decided(d, unit), "parameters_invalid", unit)
        for unit in ("evil-app-x.service", "app.service", "App-x.service", "systemd-logind.service", "app-x.target",
                     "app-x.slice"):
            self.assertEqual(self.decided(d, unit), "parameters_not_allowed", unit)
        self.assertNothingRan(d)
        for unit in "app-x", "app-x.service", "app-x@1.service", "sysstat.service":
            self.assertEqual(self.decided(d, unit), "ok", unit)


if __name__ == "__main__":
    daemon.main()
