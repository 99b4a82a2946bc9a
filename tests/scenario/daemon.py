"""The real daemon in a private folder, and the base of every scenario.

A test waits for events: READY and RELOADING from the notification socket, a process's end from its pidfd, a line in
the daemon's journal (its standard error), a FIFO that a command opens. Nothing here sleeps and looks again.
"""

import contextlib
import ctypes
import json
import os
import re
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

import wire
from processes import (await_end, children_of, descendants_of, ends_within, is_alive,  # noqa: F401
                       kill_as, name_of, spare_of, stands_by, state_of)

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("LUMINOUS_BUILD") or os.path.join(SOURCE, "build", "dev")
BINARY = os.path.join(BUILD, "executor", "luminous-healingd")
LAUNCHER = os.path.join(BUILD, "executor", "luminous-healing-launcher")
PATIENCE = float(os.environ.get("LUMINOUS_PATIENCE", "120"))  # seconds until a hung test is ended; no test measures it

ROOT = os.geteuid() == 0
NOBODY = 65534
SANITIZER = re.compile(r"AddressSanitizer|LeakSanitizer|UndefinedBehaviorSanitizer|runtime error:")
RECORD_MEMBERS = {"timestamp", "request_id", "action", "parameters", "success", "duration_ms", "error", "seq", "event",
                  "boot_id", "host", "config", "chain"}


def _is_sanitized():
    with contextlib.suppress(FileNotFoundError), open(os.path.join(BUILD, "CMakeCache.txt"), encoding="utf-8") as file:
        return "\nLUMINOUS_SANITIZE:BOOL=ON\n" in file.read()
    return False


SANITIZED = _is_sanitized()
needs_root = unittest.skipUnless(ROOT, "needs root: it acts as other users")

PR_SET_CHILD_SUBREAPER = 36
ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # strays come to us, and are seen


class Hung(BaseException):
    """Not an Exception, so that nothing swallows it."""


def _on_alarm(*_):
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)  # what cleans up may hang too
    raise Hung(f"the test has hung for {PATIENCE:.0f} s")


def _reap_orphans(*_):
    """What init does elsewhere. Commands and their children have process groups of their own, our children ours."""
    for pid, (state, _) in children_of(os.getpid()).items():
        with contextlib.suppress(OSError):
            if state == "Z" and os.getpgid(pid) != os.getpgrp():
                os.waitpid(pid, os.WNOHANG)


signal.signal(signal.SIGCHLD, _reap_orphans)


class Daemon:
    """One luminous-healingd with its configuration, keys, log and socket."""

    CALLER = "tester"

    def __init__(self, folder, settings="", user=None, env=None, binary=BINARY, **process):
        self.folder, self.user, self.env = folder, user, env or {}
        self.binary, self.process_options = binary, process  # the options are those of subprocess.Popen
        self.socket_path = os.path.join(folder, "s")
        self.config_path = os.path.join(folder, "config.toml")
        self.key_folder = os.path.join(folder, "keys")
        self.log_folder = os.path.join(folder, "log")
        self.log_path = os.path.join(self.log_folder, "audit.json")
        self.work = os.path.join(folder, "work")
        self.keys = {}
        self.process = None
        self.stderr = []
        self.log_was_harmed = False  # by the test: its first records may be missing
        self.settings = settings
        self._condition = threading.Condition()
        os.chmod(folder, 0o755)
        for path, mode in ((self.key_folder, 0o755), (self.log_folder, 0o750), (self.work, 0o755)):
            os.mkdir(path)
            os.chmod(path, mode)
        if user:
            shutil.chown(self.log_folder, user)
            shutil.chown(self.work, user)
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(os.path.join(folder, "n"))
        os.chmod(os.path.join(folder, "n"), 0o666)

    # --- what it reads ---

    def add_key(self, name, key=None):
        key = secrets.token_hex(32) if key is None else key
        path = os.path.join(self.key_folder, name)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "w", encoding="ascii") as file:
            file.write(key + "\n")
        if self.user:
            shutil.chown(path, self.user)
        self.keys[name] = key
        return key

    def configure(self, text, daemon="", audit=""):
        """Writes config.toml: `text` has the actions and, unless one caller for all of them will do, the callers."""
        parts = [f'[daemon]\nsocket = "{self.socket_path}"\nkey_directory = "{self.key_folder}"\n']
        if self.user:
            parts.append(f'user = "{self.user}"\n')
        parts.append(daemon + "\n" + self.settings + f'\n[audit]\npath = "{self.log_path}"\n{audit}\n')
        if "[callers." not in text:
            actions = re.findall(r"^\[actions\.([\w-]+)\]", text, re.MULTILINE)
            listed = ", ".join(f'"{name}"' for name in actions)
            parts.append(f'[callers.{self.CALLER}]\nkey = "{self.CALLER}"\nusers = [{os.geteuid()}]\n')
            parts.append(f"actions = [{listed}]\n" if actions else 'actions = ["none"]\n[actions.none]\n'
                         'command = ["/bin/true"]\n')
        parts.append(text)
        written = "".join(parts).replace("@WORK@", self.work).replace("@UID@", str(os.geteuid()))
        for keys in re.findall(r"^key = (.*)$", written, re.MULTILINE):
            for name in re.findall(r'"([^"]+)"', keys):
                if name not in self.keys and "/" not in name:  # what a test calls a key may be the machine's /dev/null
                    self.add_key(name)
        self.write_config(written)
        return self

    def write_config(self, text):
        with open(self.config_path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.config_path, 0o644)

    def read_config(self):
        with open(self.config_path, encoding="utf-8") as file:
            return file.read()

    # --- its life ---

    def environment(self):
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "TZ") or "SAN_OPTIONS" in name}
        return {**kept, "NOTIFY_SOCKET": os.path.join(self.folder, "n"), **self.env}

    def spawn(self, *arguments):
        self.process = subprocess.Popen([self.binary, "--config", self.config_path, *arguments],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                        env=self.environment(), **self.process_options)
        return self.watch()

    def watch(self):
        """Begins to read its standard error and to watch for its end."""
        self._pidfd = os.pidfd_open(self.process.pid)
        self._reader = threading.Thread(target=self._read_stderr, args=(self.process.stderr,), daemon=True)
        self._reader.start()
        return self

    def start(self, *arguments):
        self.spawn(*arguments)
        self.await_notification("READY=1")
        return self

    def _read_stderr(self, pipe):
        for line in pipe:
            with self._condition:
                self.stderr.append(line.decode(errors="replace").rstrip("\n"))
                self._condition.notify_all()
        pipe.close()

    def await_notification(self, wanted):
        """The next notification of this kind from the running daemon (sd_notify(3))."""
        while True:
            ready, _, _ = select.select([self._notify, self._pidfd], [], [])
            if self._notify in ready:
                if wanted in self._notify.recv(4096).decode().split("\n"):
                    return
            else:
                raise AssertionError(f"the daemon ended before {wanted}:\n" + self.journal())

    def await_journal(self, text, after=0):
        """A line of standard error with this text, from the line numbered `after` on."""
        with self._condition:
            found = self._condition.wait_for(lambda: any(text in line for line in self.stderr[after:]), PATIENCE)
        if not found:
            raise AssertionError(f"the daemon never said {text!r}:\n" + self.journal())

    def journal(self):
        return "\n".join(self.stderr)

    @property
    def pid(self):
        return self.process.pid

    def signal(self, number):
        self.process.send_signal(number)

    def reload(self):
        """HUP, and waits until it has been dealt with."""
        self.signal(signal.SIGHUP)
        self.await_notification("RELOADING=1")
        self.await_notification("READY=1")

    def terminate(self):
        """TERM, and waits until the daemon has begun to stop."""
        self.signal(signal.SIGTERM)
        self.await_notification("STOPPING=1")

    def wait(self):
        """Its exit status. A daemon that does not end is killed, and that is a failure."""
        ended, _, _ = select.select([self._pidfd], [], [], PATIENCE)
        if not ended:
            self.process.kill()
        status = self.process.wait()
        assert ended, "the daemon did not end:\n" + self.journal()
        self._reader.join()
        os.close(self._pidfd)
        self.process = None
        return status

    def stop(self):
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill9(self):
        """As if by the kernel's out-of-memory killer. Returns when its gate and its workers are gone too."""
        ours = set(children_of(os.getpid()))
        others = set(descendants_of(self.pid, with_helpers=True))
        self.signal(signal.SIGKILL)
        self.process.wait()
        # Forked meanwhile, and ours now. What a fork(2) cut short is still in our process group, and holds the socket.
        others.update(pid for pid, (_, line) in children_of(os.getpid()).items()
                      if pid not in ours and stands_by(pid, line))
        for pid in others:
            await_end(pid)
        self.wait()

    def resident(self):
        """Bytes of memory that the executor has, proc_pid_statm(5)."""
        with open(f"/proc/{self.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    def gate_pid(self):
        gates = [pid for pid, (_, line) in children_of(self.pid).items() if line.endswith("--gate")]
        assert len(gates) == 1, gates
        return gates[0]

    def confined_gate(self):
        """The gate's PID once it has answered: it reads nothing before it is confined."""
        self.ask("status")
        return self.gate_pid()

    # --- talking to it ---

    def connect(self):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(PATIENCE)
        try:
            sock.connect(self.socket_path)
        except OSError:
            sock.close()
            raise
        return wire.Connection(sock)

    def connect_as(self, uid, gid=NOBODY, count=1):
        """Connections made by one process of that user, which has ended since; and its PID. Needs root."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        pid = os.fork()
        if pid == 0:
            try:
                os.setgroups([gid])
                os.setresgid(gid, gid, gid)
                os.setresuid(uid, uid, uid)
                for _ in range(count):
                    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                    sock.connect(self.socket_path)
                    socket.send_fds(theirs, [b"."], [sock.fileno()])
                    sock.close()
                os._exit(0)
            except BaseException as error:  # nothing of the test may go on in the child
                os.write(2, f"connect_as: {error!r}\n".encode())
                os._exit(1)
        theirs.close()
        connections = []
        for _ in range(count):
            _, fds, _, _ = socket.recv_fds(ours, 1, 1)
            for fd in fds:
                sock = socket.socket(fileno=fd)
                sock.settimeout(PATIENCE)
                connections.append(wire.Connection(sock))
        ours.close()
        os.waitpid(pid, 0)
        assert len(connections) == count, "connect_as failed"
        return connections, pid

    def request(self, action, parameters=None, caller=None, key=None, **members):
        caller = caller or self.CALLER
        return wire.Request(key or self.keys[caller], caller, action, parameters, **members)

    def ask(self, action, parameters=None, **members):
        """One request on a connection of its own."""
        with self.connect() as connection:
            return connection.ask(self.request(action, parameters, **members))

    def repeat(self, request):
        with self.connect() as connection:
            return connection.ask(request)

    # --- its log ---

    def records(self, path=None):
        with open(path or self.log_path, "rb") as file:
            content = file.read()
        records = []
        for line in content.split(b"\n")[:-1]:
            assert line.isascii() and all(0x20 <= byte < 0x7F for byte in line), f"not one ASCII line: {line!r}"
            records.append(json.loads(line))
        assert content == b"" or content.endswith(b"\n"), "the last line is torn"
        return records

    def events(self, event=None, **members):
        """The records of one event whose members have these values."""
        return [record for record in self.records() if (event is None or record["event"] == event)
                and all(record.get(name) == value for name, value in members.items())]

    def check_log(self):
        if os.path.islink(self.log_path) or not os.path.isfile(self.log_path):
            return
        records = self.records()
        first = records[0]["seq"] if records and self.log_was_harmed else 1
        seqs = [record["seq"] for record in records]
        assert seqs == list(range(first, first + len(seqs))), f"gaps in seq: {seqs}"
        for record in records:
            missing = RECORD_MEMBERS - set(record)
            assert not missing, f"{missing} missing in {record}"

    def close(self):
        self._notify.close()


class Hold:
    """A FIFO that a command reads to its end: it runs exactly as long as the test holds the other end."""

    def __init__(self, path):
        self.path, self.fd = path, None
        os.mkfifo(path)
        os.chmod(path, 0o666)

    def await_start(self):
        """Returns when the command has opened it."""
        self.fd = os.open(self.path, os.O_WRONLY)
        return self

    def release(self):
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None


class Scenario(unittest.TestCase):
    """Gives each test daemons and looks, after it, at what they left behind."""

    maxDiff = None

    def setUp(self):
        self._daemons = []
        self._holds = []
        self.strays_expected = False
        signal.signal(signal.SIGALRM, _on_alarm)
        signal.setitimer(signal.ITIMER_REAL, PATIENCE)
        self.addCleanup(signal.setitimer, signal.ITIMER_REAL, 0)
        self._known = set(children_of(os.getpid()))
        self.addCleanup(self._look_for_strays)

    def folder(self):
        folder = tempfile.mkdtemp(prefix="lh-", dir="/tmp")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        return folder

    def make(self, text="", daemon="", audit="", **options):
        """A configured daemon, not started."""
        made = Daemon(self.folder(), **options)
        made.configure(text, daemon, audit)
        self._daemons.append(made)
        self.addCleanup(self._end, made)
        return made

    def start(self, text="", daemon="", audit="", **options):
        return self.make(text, daemon, audit, **options).start()

    def script(self, daemon, name, text):
        path = os.path.join(daemon.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o755)
        return path

    def hold(self, daemon, name="hold"):
        held = Hold(os.path.join(daemon.work, name))
        self._holds.append(held)
        return held

    def lines(self, daemon, name="ran"):
        """What commands have written, line by line."""
        try:
            with open(os.path.join(daemon.work, name), encoding="utf-8") as file:
                return file.read().splitlines()
        except FileNotFoundError:
            return []

    def assertCode(self, answer, code):
        self.assertEqual(answer["code"], code, answer)
        self.assertEqual(answer["success"], code == "ok", answer)
        return answer

    def deaf(self):
        """A process that does not hear TERM, so that the worker that sent it waits for its end."""
        process = subprocess.Popen(["/bin/sh", "-c", "trap '' TERM; echo deaf; read x"], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        process.stdout.readline()  # it does not hear TERM by now
        return process

    def assertDied(self, pid):
        self.assertFalse(is_alive(pid), f"process {pid} is still there")

    def _end(self, made):
        for held in self._holds:
            held.release()
        status = 0
        if made.process is not None:  # running, or ended by itself
            with contextlib.suppress(ProcessLookupError):
                made.signal(signal.SIGTERM)
            status = made.wait()
        made.close()
        if SANITIZER.search(made.journal()):
            self.fail("sanitizer report:\n" + made.journal())
        self.assertEqual(status, 0, "the daemon did not end well:\n" + made.journal())
        made.check_log()

    def _look_for_strays(self):
        strays = {}
        for pid, (state, line) in children_of(os.getpid()).items():
            if pid in self._known:
                continue
            if state != "Z":
                strays[pid] = line
                kill_as(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):  # SIGCHLD has come first
                os.waitpid(pid, 0)
        if strays and not self.strays_expected:
            self.fail(f"left behind: {strays}")


def main():
    if not os.access(BINARY, os.X_OK):
        sys.exit(f"there is no {BINARY}; build it, or set LUMINOUS_BUILD to the build folder")
    unittest.main(verbosity=1)
