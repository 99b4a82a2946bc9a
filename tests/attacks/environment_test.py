"""What is around a privileged program when it starts: its arguments, its environment, who executed it."""

import os
import subprocess
import sys

import attack
import daemon

HEALCTL = os.path.join(daemon.BUILD, "healctl", "healctl")
HOSTILE = {"PATH": "/tmp/evil:.", "IFS": "x", "ENV": "/tmp/evil", "BASH_ENV": "/tmp/evil", "LANG": "xx_XX.UTF-8",
           "LC_ALL": "\x1b[2J", "TZ": ":/etc/shadow", "GCONV_PATH": "/tmp/evil", "CHARSET": "//EVIL",
           "SHELL": "/tmp/evil", "TMPDIR": "/tmp/evil", "HOME": "/tmp/evil", "OPENSSL_CONF": "/tmp/evil",
           "LOCPATH": "/tmp/evil",
           "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/tmp/evil", "LISTEN_FDS": "x", "LISTEN_PID": "x", "TERM": "%s%n",
           "COLUMNS": "-1", "PYTHONPATH": "/tmp/evil", "PERL5LIB": "/tmp/evil", "HOSTILE": "yes"}
# A program without any argument, not even its own name, as pkexec did not expect it.
NO_ARGUMENTS = """
import ctypes, os, sys
environment = (ctypes.c_char_p * 3)(b"GCONV_PATH=./evil", b"PATH=evil", None)
ctypes.CDLL(None).execve(sys.argv[1].encode(), (ctypes.c_char_p * 1)(None), environment)
os._exit(99)
"""


class Environment(attack.Attack):
    def test_A01_hostile_environment_and_argv_reach_no_worker(self):
        """With hostile variables and an empty argv[0] it serves as ever; a command's environment is PATH and LANG."""
        d = self.make('[actions.show]\ncommand = ["/usr/bin/env"]\n[actions.kill_process]', env=HOSTILE)
        d.process = subprocess.Popen(["", "--config", d.config_path], executable=daemon.BINARY, env=d.environment(),
                                     stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        d.watch().await_notification("READY=1")
        output = self.assertCode(d.ask("show"), "ok")["output"]
        names = [line.split("=")[0] for line in output.splitlines()]
        self.assertEqual(sorted(names), ["LANG", "PATH"], output)
        self.assertNotIn("evil", output)
        self.assertIn("LANG=C.UTF-8", output.splitlines())
        victim = subprocess.Popen(["/bin/sleep", "1000"], stdin=subprocess.DEVNULL)
        self.addCleanup(victim.wait)
        self.addCleanup(victim.kill)
        self.assertCode(d.ask("kill_process", {"pid": victim.pid}), "ok")  # a built-in action does as before
        self.assertEqual(victim.wait(), -15)
        self.assertNotIn("\x1b", d.journal())

    def test_A01_neither_standard_descriptors_that_are_closed_nor_others_that_are_open_matter(self):
        """Started without 0, 1 and 2, nothing else gets these numbers; what its starter left open is closed."""
        d = self.make('[actions.a]\ncommand = ["/bin/true"]')
        ours, left_open = os.pipe()
        self.addCleanup(os.close, ours)
        d.process = subprocess.Popen(["/bin/sh", "-c", 'exec "$@" 0<&- 1>&- 2>&-', "sh", daemon.BINARY, "--verbose",
                                      "--config", d.config_path], stderr=subprocess.PIPE, env=d.environment(),
                                     pass_fds=(left_open,))
        os.close(left_open)
        d.watch().await_notification("READY=1")
        self.assertCode(d.ask("a"), "ok")
        self.assertEqual(d.events("gate_lost"), [])
        for pid in d.pid, d.gate_pid():
            self.assertEqual([os.readlink(f"/proc/{pid}/fd/{fd}") for fd in range(3)], ["/dev/null"] * 3)
        self.assertEqual(os.read(ours, 1), b"")  # nobody has its other end any more

    def test_A01_a_client_without_standard_output_writes_nothing_to_the_daemon(self):
        """healctl started without 0, 1 and 2 ends well, and what it would have printed goes into no connection."""
        d = self.make('[actions.a]\ncommand = ["/bin/true"]').start()
        key = os.path.join(d.key_folder, d.CALLER)
        subprocess.run(["/bin/sh", "-c", 'exec "$@" 0<&- 1>&- 2>&-', "sh", HEALCTL, "--socket", d.socket_path, "--caller",
                        d.CALLER, "--key-file", key, "run", "a"], check=True)
        self.assertEqual([r["code"] for r in d.events("decision")], ["ok"])

    def test_A01_programs_without_any_argument_end_in_order(self):
        """Executed with argc 0 daemon and client say what is wrong and end; variables are not taken for arguments."""
        for program in daemon.BINARY, HEALCTL:
            done = subprocess.run([sys.executable, "-I", "-c", NO_ARGUMENTS, program], capture_output=True, text=True,
                                  stdin=subprocess.DEVNULL, check=False)
            self.assertIn(done.returncode, (1, 2, 78), f"{program}: {done.returncode} {done.stderr}")
            self.assertNotRegex(done.stderr, daemon.SANITIZER)
            self.assertNotIn("evil", done.stderr + done.stdout)
            self.assertTrue(done.stderr.strip(), program)

    def test_A01_a_command_is_called_by_its_own_name(self):
        """argv[0] of a command is the configured program, whatever the request says."""
        d = self.make()
        script = self.script(d, "name", '#!/bin/sh\ntr "\\0" "\\n" < /proc/$$/cmdline\n')
        d.configure(f'[actions.name]\ncommand = ["/bin/sh", "{script}", "{{x}}"]\n'
                    'parameters.x = { type = "string", pattern = ".+" }').start()
        output = self.assertCode(d.ask("name", {"x": "argv0 '$0' ; evil"}), "ok")["output"]
        self.assertEqual(output.splitlines(), ["/bin/sh", script, "argv0 '$0' ; evil"])


if __name__ == "__main__":
    daemon.main()
