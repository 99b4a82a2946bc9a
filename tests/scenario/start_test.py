"""When it does not start, and what it says then; and the ways to call it that do not start it."""

import json
import os
import re
import shutil
import subprocess

import daemon
import starting
from starting import BAD_CONFIG

CONFIG = """
[actions.hello]
command = ["/bin/echo", "hello"]
"""


class Start(starting.Starting):
    # --- where it does not start ---

    def test_a_second_daemon_on_the_same_socket(self):
        """A daemon does not take the socket of one that serves; the first is not disturbed."""
        first = self.start(CONFIG)
        second = self.make(CONFIG)
        second.write_config(second.read_config().replace(second.socket_path, first.socket_path))
        self.assertRefusesToStart(second, "another daemon already serves")
        self.assertCode(first.ask("hello"), "ok")

    def test_a_second_daemon_on_the_same_log(self):
        """Two daemons cannot write one log: the second does not start, and the first's chain goes on."""
        first = self.start(CONFIG)
        second = self.make(CONFIG)
        second.write_config(second.read_config().replace(second.log_path, first.log_path))
        self.assertRefusesToStart(second, "audit log|audit.json")
        self.assertCode(first.ask("hello"), "ok")

    def test_no_folder_for_the_log(self):
        """A37: without the log's folder it does not start, names the folder, and leaves no socket."""
        d = self.make(CONFIG)
        os.rmdir(d.log_folder)
        self.assertRefusesToStart(d, re.escape(d.log_folder))
        self.assertFalse(os.path.exists(d.socket_path))

    def test_no_folder_for_the_socket(self):
        """Without the socket's folder it does not start and names it."""
        d = self.make(CONFIG)
        d.write_config(d.read_config().replace(d.socket_path, d.folder + "/missing/s"))
        self.assertRefusesToStart(d, re.escape(d.folder + "/missing"))

    def test_the_socket_s_path_is_a_file(self):
        """A file, folder or symlink in the socket's place is left alone, and it does not start."""
        d = self.make(CONFIG)
        with open(d.socket_path, "w", encoding="ascii") as file:
            file.write("precious")
        self.assertRefusesToStart(d, "is not a socket")
        with open(d.socket_path, encoding="ascii") as file:
            self.assertEqual(file.read(), "precious")
        os.rename(d.socket_path, d.socket_path + ".file")
        os.symlink(d.socket_path + ".file", d.socket_path)
        self.assertRefusesToStart(d, "is not a socket")
        self.assertTrue(os.path.islink(d.socket_path))
        os.unlink(d.socket_path)
        os.mkdir(d.socket_path)
        self.assertRefusesToStart(d, "is not a socket")

    def test_others_can_write_the_socket_s_folder(self):
        """A17: it does not put its socket where others could put theirs instead."""
        d = self.make(CONFIG)
        shared = os.path.join(d.folder, "shared")
        os.mkdir(shared)
        d.write_config(d.read_config().replace(d.socket_path, shared + "/s"))
        for mode in 0o777, 0o775, 0o757:
            os.chmod(shared, mode)
            self.assertRefusesToStart(d, "others can write to the socket's folder")
            self.assertEqual(os.listdir(shared), [])

    @daemon.needs_root
    def test_the_socket_s_folder_belongs_to_another(self):
        """A17: it does not put its socket into another user's folder."""
        d = self.make(CONFIG)
        other = os.path.join(d.folder, "other")
        os.mkdir(other)
        os.chown(other, daemon.NOBODY, daemon.NOBODY)
        d.write_config(d.read_config().replace(d.socket_path, other + "/s"))
        self.assertRefusesToStart(d, "socket's folder")

    def test_others_can_write_the_log_s_folder(self):
        """A log in a folder that others can write is no evidence: it does not start."""
        d = self.make(CONFIG)
        os.chmod(d.log_folder, 0o777)
        self.assertRefusesToStart(d, "others can replace files")

    def test_the_log_is_a_symlink_or_a_fifo(self):
        """A23: a symlink, FIFO or folder in the log's place keeps it from starting, and it does not hang."""
        for make in (lambda p: os.symlink("/dev/null", p), os.mkfifo, os.mkdir):
            d = self.make(CONFIG)
            make(d.log_path)
            self.assertRefusesToStart(d, "audit")

    def test_a_log_with_a_forged_line(self):
        """A last record that is not of the chain is set aside as it is, the log says so, and the daemon starts."""
        d = self.start(CONFIG)
        self.assertCode(d.ask("hello"), "ok")
        self.assertEqual(d.stop(), 0)
        with open(d.log_path, "rb") as file:
            content = file.read()
        forged = content.replace(b'"event":"stop"', b'"event":"sto_"')
        with open(d.log_path, "wb") as file:
            file.write(forged)
        d.start()
        (recovered,) = d.events("recovered")
        with open(recovered["detail"]["kept_as"], "rb") as file:
            self.assertEqual(file.read(), forged.splitlines(keepends=True)[-1])
        self.assertCode(d.ask("hello"), "stale")  # it may have run already; who asks half a minute later is served

    def test_a_log_of_another_key(self):
        """A log that its key does not prove at all keeps it from starting, and is not changed."""
        d, other = self.start(CONFIG), self.start(CONFIG)
        self.assertEqual((d.stop(), other.stop()), (0, 0))
        with open(d.log_path, "rb") as file:
            content = file.read()
        os.rename(d.log_path + ".key", d.log_path + ".own-key")
        shutil.copy(other.log_path + ".key", d.log_path + ".key")
        os.chmod(d.log_path + ".key", 0o600)
        self.assertRefusesToStart(d, "audit verify")
        with open(d.log_path, "rb") as file:
            self.assertEqual(file.read(), content)

    # --- what is wrong with its configuration ---

    def test_a_missing_configuration(self):
        """Without its configuration it ends with 78 and names the file."""
        d = self.make(CONFIG)
        os.unlink(d.config_path)
        self.assertRefusesToStart(d, re.escape(d.config_path), BAD_CONFIG)

    def test_mistakes_are_told_by_line(self):
        """A18, A19: each mistake ends it with 78 and FILE:LINE: what is wrong and what to write instead."""
        good = CONFIG.strip()
        mistakes = {
            "unknown key": (good + "\ncolour = \"red\"", 3),
            "unknown section": (good + "\n[colour]\nred = 1", 3),
            "wrong type": (good + "\ntimeout = 5", 3),
            "no TOML": (good + "\ntimeout = = 5", 3),
            "relative program": (good.replace("/bin/echo", "echo"), 2),
            "program that is not there": (good.replace("/bin/echo", "/bin/nonexistent"), 2),
            "empty command": ('[actions.hello]\ncommand = []', 2),
            "neither built in nor command": ("[actions.hello]\ntimeout = \"1s\"", 1),
            "parameter in a part of an argument": (good.replace('"hello"]', '"x{n}"]') +
                                                   '\nparameters.n = { type = "integer" }', 2),
            "parameter chooses the program": ('[actions.hello]\ncommand = ["{n}"]\n'
                                              'parameters.n = { type = "string", pattern = "a" }', 2),
            "placeholder without parameter": (good.replace('"hello"]', '"{n}"]'), 2),
            "parameter without use": (good + '\nparameters.n = { type = "integer" }', 3),
            "bad pattern": (good.replace('"hello"]', '"{n}"]') + '\nparameters.n = { type = "string", pattern = "[" }',
                            3),
            "duration without unit": (good + '\ntimeout = "5"', 3),
            "limit of zero": (good + "\nrate_limit = { limit = 0 }", 3),
            "unknown user": (good + '\nrun_as = "no-such-user-here"', 3),
            "unknown capability": (good + '\ncapabilities = ["cap_everything"]', 3),
        }
        for name, (text, line) in mistakes.items():
            with self.subTest(name):
                d = self.make(text)
                offset = d.read_config().split(text.split("\n", maxsplit=1)[0])[0].count("\n")
                stderr = self.assertRefusesToStart(d, rf"(?m)^{d.config_path}:{offset + line}: .{{10}}", BAD_CONFIG)
                self.assertFalse(os.path.exists(d.socket_path), stderr)

    def test_empty_lists_of_callers_are_fatal(self):
        """A18: an empty list of users, actions or keys is fatal, and so is an action that does not exist."""
        base = '[callers.c]\nkey = "c"\nusers = [@UID@]\nactions = ["hello"]\n' + CONFIG
        for old, new in (("users = [@UID@]", "users = []"), ('actions = ["hello"]', "actions = []"),
                         ('key = "c"', "key = []"), ('actions = ["hello"]', 'actions = ["helo"]'),
                         ("users = [@UID@]", 'users = ["no-such-user-here"]'), ("users = [@UID@]", "users = [-1]"),
                         ("users = [@UID@]", "users = [4294967295]"), ("users = [@UID@]\n", ""), ('key = "c"\n', "")):
            with self.subTest(new):
                self.assertRefusesToStart(self.make(base.replace(old, new)), r"config\.toml:\d+: ", BAD_CONFIG)

    def test_keys_that_are_none(self):
        """A missing, short, shared, guessable, well-known, empty or readable key is fatal; it is never printed."""
        two = ('[callers.c]\nkey = "c"\nusers = [@UID@]\nactions = ["hello"]\n'
               '[callers.e]\nkey = "e"\nusers = [@UID@]\nactions = ["hello"]\n' + CONFIG)
        for key in "", "short" * 6, "default-dev-key", "a" * 64, "changeme", "line one is long\nand a second line too":
            with self.subTest(key=key):
                d = self.make(two)
                d.add_key("c", key)
                stderr = self.assertRefusesToStart(d, "callers.c", BAD_CONFIG)
                if key:
                    self.assertNotIn(key, stderr.replace(d.config_path, ""))
        d = self.make(two)
        d.add_key("c", d.keys["e"])
        stderr = self.assertRefusesToStart(d, "callers.e", BAD_CONFIG)
        self.assertNotIn(d.keys["e"], stderr)
        d = self.make(two)
        os.unlink(os.path.join(d.key_folder, "c"))
        self.assertRefusesToStart(d, "keygen", BAD_CONFIG)
        for mode in 0o444, 0o604, 0o422:
            d = self.make(two)
            os.chmod(os.path.join(d.key_folder, "c"), mode)
            self.assertRefusesToStart(d, "chmod 0400", BAD_CONFIG)
        d = self.make(two)
        os.rename(os.path.join(d.key_folder, "c"), os.path.join(d.key_folder, "d"))
        os.symlink("d", os.path.join(d.key_folder, "c"))
        self.assertRefusesToStart(d, "symlink", BAD_CONFIG)

    def test_one_key_file_for_two_callers(self):
        """The same key file named for two callers is fatal."""
        self.assertRefusesToStart(self.make('[callers.c]\nkey = "k"\nusers = [@UID@]\nactions = ["hello"]\n'
                                            '[callers.e]\nkey = "k"\nusers = [@UID@]\nactions = ["hello"]\n' + CONFIG),
                                  "shared", BAD_CONFIG)

    def test_a_configuration_that_others_can_write(self):
        """A configuration that others can write, or in a folder that they can, is fatal."""
        d = self.make(CONFIG)
        for mode in 0o666, 0o664, 0o646:
            os.chmod(d.config_path, mode)
            self.assertRefusesToStart(d, "chmod go-w", BAD_CONFIG)
        os.chmod(d.config_path, 0o644)
        os.chmod(d.folder, 0o777)
        self.assertRefusesToStart(d, "chmod go-w", BAD_CONFIG)

    def test_every_mistake_is_told_at_once(self):
        """Several mistakes are told together, in the order of their lines."""
        d = self.make(CONFIG + 'timeout = "x"\ncolour = 1\n[actions.other]\ncommand = ["nowhere"]\n')
        stderr = self.assertRefusesToStart(d, "timeout", BAD_CONFIG)
        lines = [int(n) for n in re.findall(r"(?m)^.*config\.toml:(\d+): ", stderr)]
        self.assertGreaterEqual(len(lines), 3)
        self.assertEqual(lines, sorted(lines))

    # --- other ways to call it ---

    def test_check(self):
        """--check says whether configuration and keys are good, starts nothing and touches nothing."""
        d = self.make(CONFIG)
        before = sorted(os.listdir(d.folder))
        status, stdout, stderr = self.run_it(d, "--check")
        self.assertEqual(status, 0, stderr)
        self.assertIn("good", stdout)
        self.assertEqual((sorted(os.listdir(d.folder)), os.listdir(d.log_folder)), (before, []))
        d.write_config(d.read_config() + "colour = 1\n")
        status, stdout, stderr = self.run_it(d, "--check")
        self.assertEqual((status, stdout), (BAD_CONFIG, ""))
        self.assertRegex(stderr, rf"^{d.config_path}:\d+: ")
        d.configure(CONFIG)
        os.unlink(os.path.join(d.key_folder, "tester"))
        self.assertEqual(self.run_it(d, "--check")[0], BAD_CONFIG)

    def test_check_beside_a_running_daemon(self):
        """--check does not disturb the daemon that runs."""
        d = self.start(CONFIG)
        self.assertEqual(self.run_it(d, "--check")[0], 0)
        self.assertCode(d.ask("hello"), "ok")

    def test_print_capabilities(self):
        """--print-capabilities tells as JSON what each enabled action needs, and together."""
        status, stdout, stderr = self.run_it(self.make(CONFIG + "[actions.kill_process]\n[actions.adjust_swappiness]\n"),
                                             "--print-capabilities")
        self.assertEqual(status, 0, stderr)
        told = json.loads(stdout)
        self.assertEqual(set(told), {"capabilities", "privileges", "actions"})
        self.assertEqual(set(told["actions"]), {"hello", "kill_process", "adjust_swappiness"})
        self.assertEqual(told["actions"]["hello"], [])
        self.assertIn("cap_kill", told["actions"]["kill_process"])
        self.assertEqual(set(told["capabilities"]), {c for names in told["actions"].values() for c in names})
        self.assertEqual(told["privileges"]["hello"],
                         {"command": True, "writes": [], "network": False, "confined": True})
        self.assertEqual(told["privileges"]["adjust_swappiness"],
                         {"command": False, "writes": ["/proc/sys/vm/swappiness"], "network": False, "confined": True})

    def test_few_descriptors(self):
        """Where it may open few descriptors it serves, or refuses to start with the way to mend it; never half."""
        for count in 1024, 64, 16:
            with self.subTest(count=count):
                d = self.make(CONFIG)
                limited = ["prlimit", f"--nofile={count}:{count}", daemon.BINARY, "--config", d.config_path]
                d.process = subprocess.Popen(limited, env=d.environment(), stdin=subprocess.DEVNULL,
                                             stderr=subprocess.PIPE)
                d.watch()
                try:
                    d.await_notification("READY=1")
                except AssertionError:
                    self.assertNotEqual(d.wait(), 0)
                    self.assertRegex(d.journal(), "RLIMIT_NOFILE|LimitNOFILE|descriptors")
                    continue
                self.assertCode(d.ask("hello"), "ok")
                self.assertEqual(d.stop(), 0)

    def test_version_help_and_mistakes(self):
        """--version and --help answer on standard output with 0; what is no option is 2."""
        d = self.make(CONFIG)
        status, stdout, _ = self.run_it(d, "--version")
        self.assertEqual(status, 0)
        self.assertRegex(stdout, r"^luminous-healingd \d+\.\d+\.\d+\n$")
        status, stdout, _ = self.run_it(d, "--help")
        self.assertEqual(status, 0)
        for option in "--config", "--check", "--socket", "--print-capabilities", "--verbose", "--version":
            self.assertIn(option, stdout)
        for wrong in ["--colour"], ["argument"], ["--socket"]:
            self.assertEqual(self.run_it(d, *wrong)[0], 2)

    def test_the_socket_of_the_command_line(self):
        """--socket binds that path instead of the configured one, also after a reload."""
        d = self.make(CONFIG)
        d.socket_path += ".other"
        d.start("--socket", d.socket_path)
        self.assertFalse(os.path.exists(d.folder + "/s"))
        d.reload()
        self.assertCode(d.ask("hello"), "ok")

    def test_the_gate_is_no_way_in(self):
        """Called with --gate by hand, without its channel, it just ends."""
        self.assertNotEqual(self.run_it(self.make(CONFIG), "--gate")[0], 0)

    def test_another_s_socket_in_its_place_is_left_alone(self):
        """At its end it removes the socket that it bound, not one that has taken the path since."""
        d = self.make(CONFIG).start()
        os.rename(d.socket_path, d.socket_path + ".moved")
        with starting.listening(d.socket_path):
            self.assertEqual(d.stop(), 0)
            self.assertTrue(os.path.exists(d.socket_path))

    def test_a_name_in_the_configuration_drives_no_terminal(self):
        """Escape sequences in a caller's name are not on the screen that tells of it."""
        d = self.make(CONFIG + '[callers."x\\u001b]0;x\\u0007\\u009b2J"]\nkey = "a"\n')
        _, out, err = self.run_it(d, "--check")
        self.assertIn("callers.x", err)
        self.assertNotRegex(out + err, r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")

    def test_a_launcher_that_is_no_program(self):
        """Without a program to start commands with the daemon says so and does not start."""
        d = self.make(CONFIG)
        beside = os.path.join(d.folder, "luminous-healing-launcher")
        shutil.copy(daemon.BINARY, d.folder)
        d.binary = os.path.join(d.folder, os.path.basename(daemon.BINARY))
        for spoil, words in ((lambda: None, "install the package again"), (lambda: os.mkdir(beside), "is no program"),
                             (lambda: (os.rmdir(beside), open(beside, "wb").close()), "is no program")):
            spoil()
            done = subprocess.run([d.binary, "--config", d.config_path], capture_output=True, text=True, check=False,
                                  env=d.environment(), stdin=subprocess.DEVNULL)
            self.assertEqual(done.returncode, 1)
            self.assertIn("luminous-healing-launcher", done.stderr)
            self.assertIn(words, done.stderr)

    def test_an_inherited_socket_is_adopted_and_never_unlinked(self):
        """A17: a socket passed as systemd does is served, and is still there when the daemon has ended."""
        d = self.make(CONFIG)
        with starting.listening(d.folder + "/passed") as listener:
            self.spawn_with_socket(d, listener)
            d.await_notification("READY=1")
            self.assertCode(d.ask("hello"), "ok")
            self.assertFalse(os.path.exists(d.folder + "/s"))
            self.assertEqual(d.ask("status")["result"]["socket"], "systemd")
            self.assertEqual(d.stop(), 0)
            self.assertTrue(os.path.exists(d.socket_path))
            waiting = d.connect()  # the queue is systemd's and goes on
            waiting.close()

    def test_the_gate_takes_the_processor_from_nobody(self):
        """The gate runs as SCHED_BATCH (decision 0019) and the executor does not; a policy given to the daemon stays."""
        def policies(**options):
            d = self.start(CONFIG, **options)
            return [os.sched_getscheduler(pid) for pid in (d.confined_gate(), d.pid)]

        self.assertEqual(policies(), [os.SCHED_BATCH, os.SCHED_OTHER])
        given = {"preexec_fn": lambda: os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))}
        self.assertEqual(policies(**given), [os.SCHED_IDLE, os.SCHED_IDLE])

    def test_a_hostile_environment_changes_nothing(self):
        """A01: odd variables and an empty argv[0] do not keep it from working as ever."""
        d = self.make(CONFIG, env={"PATH": "", "IFS": "x", "LANG": "xx_XX.UTF-8", "TZ": ":/etc/shadow",
                                   "LD_LIBRARY_PATH": "", "OPENSSL_CONF": "/dev/null", "LISTEN_FDS": "x"})
        d.process = subprocess.Popen(["", "--config", d.config_path], executable=daemon.BINARY, env=d.environment(),
                                     stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        d.watch()
        d.await_notification("READY=1")
        self.assertCode(d.ask("hello"), "ok")


if __name__ == "__main__":
    daemon.main()
