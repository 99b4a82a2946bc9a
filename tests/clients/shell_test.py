"""Asking from a shell: examples/heal.sh, and healctl sign into nc."""

import json
import os
import shutil

import support
from support import daemon

CONFIG = """
[actions.mark]
command = ["/bin/sh", "-c", "echo ran >> @WORK@/ran; echo marked"]
writes = ["@WORK@"]
[actions.many]
command = ["/bin/echo", "{count}", "{text}"]
parameters.count = { type = "integer", min = 1, max = 9223372036854775807 }
parameters.text = { type = "string", pattern = "[^x]*", max_length = 100 }
[actions.fail]
command = ["/bin/false"]
"""


class Shell(support.ClientScenario):
    def test_it_is_short(self):
        """heal.sh has fewer than 40 lines."""
        with open(support.HEAL_SH, encoding="utf-8") as file:
            self.assertLess(len(file.readlines()), 40)

    def test_an_action_runs(self):
        """The proven response goes to standard output, and the exit status is 0."""
        d = self.start(CONFIG)
        ran = self.heal_sh(d, "mark")
        self.assertEqual((ran.returncode, ran.stderr), (0, ""))
        answer = json.loads(ran.stdout)
        self.assertEqual((answer["code"], answer["output"]), ("ok", "marked\n"))
        self.assertEqual(self.lines(d), ["ran"])

    def test_parameters_arrive_as_written(self):
        """Big integers, quotes, Unicode and line breaks are not touched by the shell."""
        d = self.start(CONFIG)
        text = "a 'b' \"c\" $(id) `id` \\ ö 😀"
        ran = self.heal_sh(d, "many", '{"count":9007199254740993,\n "text":%s}' % json.dumps(text, ensure_ascii=False))
        self.assertEqual(json.loads(ran.stdout)["output"], f"9007199254740993 {text}\n")

    def test_refusals_and_failures_have_an_exit_status(self):
        """1 for any code but ok; a refusal without proof goes to standard error."""
        d = self.start(CONFIG)
        ran = self.heal_sh(d, "fail")
        self.assertEqual((ran.returncode, json.loads(ran.stdout)["code"]), (1, "action_failed"))
        d.add_key("stranger")
        ran = self.run_program(support.HEAL_SH, d.CALLER, self.key_file(d, "stranger"), "mark", env=self.environment(d))
        self.assertEqual((ran.returncode, ran.stdout, json.loads(ran.stderr)["code"]), (1, "", "bad_signature"))

    def test_mistakes_are_told(self):
        """No arguments, no key file, parameters that are none, no daemon: exit status 2 or 1 and a sentence."""
        d = self.start(CONFIG)
        for arguments in ((), (d.CALLER, self.key_file(d), "mark", "[]"), (d.CALLER, self.key_file(d), "mark", "{} {}"),
                          (d.CALLER, self.key_file(d), "mark", "{"), (d.CALLER, d.folder + "/none", "mark")):
            ran = self.run_program(support.HEAL_SH, *arguments, env=self.environment(d))
            self.assertIn(ran.returncode, (1, 2), arguments)
            self.assertTrue(ran.stderr)
        ran = self.heal_sh(d, "mark", socket_path=d.folder + "/none")
        self.assertEqual(ran.returncode, 2)
        self.assertIn("no answer from", ran.stderr)
        self.assertEqual(self.lines(d), [])

    def test_with_socat_too(self):
        """Where there is no nc, socat does."""
        if not shutil.which("socat"):
            self.skipTest("no socat on this machine")
        d = self.start(CONFIG)
        tools = os.path.join(d.folder, "tools")
        os.mkdir(tools)
        for tool in "bash", "jq", "openssl", "socat", "sed", "tr", "date":
            os.symlink(shutil.which(tool), os.path.join(tools, tool))
        ran = self.heal_sh(d, "mark", PATH=tools)
        self.assertEqual((ran.returncode, ran.stderr), (0, ""))

    def test_healctl_refuses_an_option_without_its_value(self):
        """`--reason= word` is refused with what to do, and is not read as `--reason word`, which asks for another thing."""
        d = self.start(CONFIG)
        asked = self.healctl(d, "sign", "--reason=", "true")
        self.assertEqual((asked.returncode, asked.stdout), (2, ""))
        self.assertIn("--reason= has no value", asked.stderr)

    def test_healctl_sign_into_nc(self):
        """healctl sign | nc -U: the answer is the daemon's, for that very request; the same bytes again run nothing."""
        d = self.start(CONFIG)
        frame = self.healctl(d, "sign", "many", "count=7", "text=ä b").stdout
        envelope = json.loads(frame)
        for replayed in None, True:
            answer = self.pipe_to_nc(d, frame)
            value = json.loads(answer)
            raw = answer[answer.index('"response":') + 11:].rstrip()[:-1].encode()
            mac = support.wire.mac_of(d.keys[d.CALLER], support.wire.RESPONSE, envelope["mac"].encode(), raw)
            self.assertEqual(value["mac"], mac)
            self.assertEqual((value["response"]["output"], value["response"].get("replayed")), ("7 ä b\n", replayed))
        self.assertEqual(len(d.events("outcome")), 1)

    def pipe_to_nc(self, d, frame):
        """As a person does it; -N tells the daemon that nothing more comes, and it closes after its answer."""
        return self.run_program("/bin/sh", "-c", 'printf %s "$FRAME" | nc -N -U "$LUMINOUS_HEALING_SOCKET"',
                                env=self.environment(d, FRAME=frame)).stdout


if __name__ == "__main__":
    daemon.main()
