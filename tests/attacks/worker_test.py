"""What a worker holds, leaves behind, and may be told to run."""

import fcntl
import json
import os
import pty
import shutil
import signal
import subprocess
import tempfile
import termios

import attack
import daemon
import load
import probe
import watch

NONE = "0" * 16
CAP_KILL = f"{1 << 5:016x}"
FLOOD = '[actions.flood]\ncommand = ["/usr/bin/head", "-c", "300000", "/etc/protocols", "/usr/bin/env"]'
TESTER = '[callers.a]\nkey = "a"\nusers = [@UID@]\nactions = ["x"]\n'


def status_of(pid):
    """/proc/PID/status as a dictionary."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        return {name: value.strip() for name, _, value in (line.partition(":") for line in file)}


def links_of(pid):
    """{descriptor: what it leads to}"""
    return {fd: os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}


class Holds(probe.Probe):
    def test_A30_a_command_holds_its_row_and_nothing_else(self):
        """Descriptors 0, 1 and 2, an environment of two names, no capability, no way to key or log."""
        held = self.probe()
        self.assertEqual(sorted(held["fds"]), ["0", "1", "2"])
        self.assertEqual(held["fds"]["0"], "/dev/null")
        self.assertRegex(held["fds"]["1"], "^pipe:")
        names = [entry.split("=")[0] for entry in held["environ"].split("\0") if entry]
        self.assertEqual(sorted(names), ["LANG", "PATH"])
        self.assertEqual(set(held["caps"]), {NONE})
        self.assertEqual((held["nnp"], held["seccomp"], int(held["blocked"], 16)), ("1", "2", 0))
        self.assertEqual((held["read_key"], held["read_log"]), ("Permission denied", "Permission denied"))

    def test_A42_no_terminal_and_no_pager_reaches_a_command(self):
        """Also where the daemon was started from a terminal a command has none, neither as input nor to open."""
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        self.addCleanup(os.close, theirs)
        self.d.env.update(PAGER="/bin/sh", SYSTEMD_PAGER="/bin/sh", LESSOPEN="|/bin/sh", TERM="xterm")
        self.d.process_options.update(start_new_session=True,
                                      preexec_fn=lambda: fcntl.ioctl(theirs, termios.TIOCSCTTY, 0))
        held = self.probe()
        with open(f"/proc/{self.d.pid}/stat", "rb") as file:
            self.assertNotEqual(file.read().rpartition(b")")[2].split()[4], b"0", "the daemon itself has none")
        self.assertEqual(held["terminals"], [])
        self.assertEqual(held["tty"], "No such device or address")
        self.assertNotRegex(held["environ"], "PAGER|TERM|LESS")
        self.assertEqual(self.d.stop(), 0)  # before its terminal goes, which would tell it to reload

    def test_A43_the_umask_is_077_whatever_the_daemon_was_started_with(self):
        """A command's files are its own user's alone, and so is what the daemon creates beside its log."""
        self.d.process_options.update(umask=0)
        held = self.probe('writes = ["@WORK@"]')
        self.assertEqual((held["umask"], held["write_work"]), ("0077", "ok"))
        self.assertEqual(os.stat(os.path.join(self.d.work, "written")).st_mode & 0o777, 0o600)
        modes = {entry.name: entry.stat().st_mode & 0o777 for entry in os.scandir(self.d.log_folder)}
        self.assertEqual(modes.pop("audit.json"), 0o640)
        self.assertEqual(set(modes.values()), {0o600}, modes)


class Workers(attack.Attack):
    @daemon.needs_root
    def test_A30_a_built_in_worker_holds_its_row_and_nothing_else(self):
        """kill_process's worker has CAP_KILL, its target, /dev/null and the executor's ear and mouth; no log, no client."""
        d = self.start("[actions.kill_process]")
        deaf = self.deaf()
        request = d.request("kill_process", {"pid": deaf.pid}, stream=True)
        with d.connect() as connection:
            connection.send(request.frame)
            while "waiting for" not in connection.answer(request)["text"]:
                pass
            (worker,) = set(daemon.descendants_of(d.pid)) - {d.gate_pid()}
            status, links = status_of(worker), links_of(worker)
            self.assertEqual([status[f"Cap{name}"] for name in ("Prm", "Eff")], [CAP_KILL] * 2)
            self.assertEqual([status[f"Cap{name}"] for name in ("Inh", "Amb")], [NONE] * 2)
            self.assertEqual((status["NoNewPrivs"], status["Seccomp"]), ("1", "2"))
            self.assertEqual({links.pop(fd) for fd in ("0", "1", "2")}, {"/dev/null"})
            kinds = sorted(link.partition(":")[0] if link.startswith(("pipe:", "socket:")) else link for link in links.values())
            self.assertEqual(kinds, ["anon_inode:[pidfd]", "pipe", "socket"])  # its target, its report, its orders
            deaf.kill()
            self.assertCode(connection.response(request), "ok")

    def family(self, d, hold):
        """A command whose children and grandchildren ignore TERM, one of them after it tried to leave the group."""
        return self.script(d, "family", f"""#!/bin/sh
trap '' TERM
setsid cat {hold.path} &
(cat {hold.path} & wait) &
sh -c "trap '' TERM; cat {hold.path}" &
wait; wait; wait
sleep 1000
""")

    def start_family(self, timeout):
        d = self.make()
        hold = self.hold(d)
        d.configure(f'[actions.family]\ncommand = ["/bin/sh", "{self.family(d, hold)}"]\ntimeout = "{timeout}"').start()
        connection, request = d.connect(), d.request("family")
        self.addCleanup(connection.close)
        connection.send(request.frame)
        hold.await_start()
        family = set(daemon.descendants_of(d.pid)) - {d.gate_pid()}
        self.assertGreaterEqual(len(family), 3)
        return d, connection, request, family

    def test_A33_at_the_timeout_the_grandchildren_are_gone_before_the_answer(self):
        """A shell that ignores TERM, its children and theirs: none of them lives when the client reads `timeout`."""
        d, connection, request, family = self.start_family("1s")
        self.assertCode(connection.response(request), "timeout")
        for pid in family:
            self.assertDied(pid)
        self.assertEqual(list(daemon.descendants_of(d.pid)), [d.gate_pid()])

    def test_A33_cancelled_means_that_nothing_is_left(self):
        """A second TERM to the daemon ends the whole family; only then the client reads `cancelled`."""
        d, connection, request, family = self.start_family("1h")
        d.terminate()
        d.signal(signal.SIGTERM)
        self.assertCode(connection.response(request), "cancelled")
        for pid in family:
            self.assertDied(pid)
        self.assertEqual(d.wait(), 0)

    def test_A41_no_parameter_chooses_a_program_or_what_an_interpreter_runs(self):
        """A configuration in which a caller's value would be a program, a script or code is refused at start."""
        text = 'parameters.n = { type = "string", pattern = ".+" }\n'
        for command in (["{n}"], ["/bin/{n}"], ["/bin/sh", "{n}"], ["/bin/sh", "-c", "{n}"], ["/usr/bin/env", "{n}"],
                        ["/bin/bash", "-x", "{n}"], ["/usr/bin/python3", "{n}"], ["/usr/bin/nice", "{n}"],
                        ["/usr/bin/xargs", "{n}"], ["/usr/bin/find", "/", "-exec", "{n}", ";"],
                        ["/usr/bin/env", "/bin/sh", "-c", "{n}"], ["/usr/bin/flock", "/run/lock", "{n}"]):
            if not command[0].startswith("{") and "{" not in command[0] and not os.path.exists(command[0]):
                continue
            for role in "command", "verify", "undo":
                used = '' if role == "command" else 'command = ["/bin/echo", "{n}"]\n'
                d = self.make(TESTER + f"[actions.x]\n{used}{role} = {json.dumps(command)}\n" + text)
                self.assertEqual(d.spawn("--check").wait(), 78, f"{role} {command}: {d.journal()}")
        self.assertEqual(d.spawn().wait(), 78, d.journal())

    def test_A41_a_path_in_a_parameter_is_text_and_nothing_more(self):
        """A value that is the path of a program is passed as one argument, or refused; the program is not run."""
        d = self.make()
        evil = self.script(d, "evil", f"#!/bin/sh\necho evil >{d.work}/ran\n")
        d.configure('[actions.kill_process]\n[actions.clear_system_cache]\n'
                    '[actions.say]\ncommand = ["/bin/echo", "{text}"]\n'
                    'writes = ["@WORK@"]\nparameters.text = { type = "string", pattern = ".+" }').start()
        for value in evil, f"$({evil})", f"`{evil}`", f"; {evil}", f"|{evil}":
            self.assertEqual(self.assertCode(d.ask("say", {"text": value}), "ok")["output"], value + "\n")
        for action, name in (("kill_process", "pid"), ("kill_process", "signal"), ("clear_system_cache", "level"),
                             ("clear_system_cache", "script"), ("say", "command")):
            answer = d.ask(action, {"pid": os.getpid(), name: evil} if action == "kill_process" else {name: evil})
            self.assertIn(answer["code"], ("parameters_invalid", "parameters_not_allowed", "unavailable"), answer)
        self.assertEqual(self.lines(d), [])

    @daemon.needs_root
    def test_A43_the_daemon_creates_nothing_where_files_are_shared(self):
        """With /tmp, /var/tmp and /dev/shm to itself the daemon leaves them empty, and never creates a name in them."""
        program = os.open(daemon.BINARY, os.O_RDONLY)  # by descriptor: what is built below /tmp is out of its sight there
        self.addCleanup(os.close, program)
        d = self.make(FLOOD, binary=f"/proc/self/fd/{program}", preexec_fn=watch.have_own_shared_folders,
                      pass_fds=(program,))
        d.start()
        folders = [f"/proc/{d.pid}/root{folder}" for folder in watch.SHARED]
        self.assertEqual([os.listdir(folder) for folder in folders], [[]] * len(folders))
        created = watch.Watch(*folders)
        self.addCleanup(created.close)
        self.assertCode(d.ask("flood"), "ok")
        self.assertCode(d.ask("flood", mode="plan"), "ok")
        d.reload()
        self.assertEqual(created.created(), [])
        with open(os.path.join(folders[0], "seen"), "w", encoding="ascii"):
            self.assertEqual(created.created(), ["seen"])  # it does see what is created

    def folder(self):
        """Not below /tmp, of which the daemon may have its own."""
        folder = tempfile.mkdtemp(prefix="lh-", dir="/run" if daemon.ROOT else "/tmp")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        return folder

    def test_A43_healctl_creates_nothing_where_files_are_shared(self):
        """An answer of any size goes to standard output, and through no file."""
        shared = os.path.join(self.folder(), "shared")
        os.mkdir(shared, 0o700)
        created = watch.Watch(shared)
        self.addCleanup(created.close)
        d = self.start(FLOOD)
        done = subprocess.run([load.HEALCTL, "--socket", d.socket_path, "--caller", d.CALLER, "--key-file",
                               os.path.join(d.key_folder, d.CALLER), "run", "flood"], capture_output=True, cwd=shared,
                              env={**os.environ, **dict.fromkeys(("TMPDIR", "TMP", "TEMP", "HOME"), shared)},
                              check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertGreater(len(done.stdout), 10000)
        self.assertEqual(created.created(), [])


if __name__ == "__main__":
    daemon.main()
