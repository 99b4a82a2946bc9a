"""A command action that tells what it holds and what it can reach."""

import json
import os
import sys

import daemon

# Prints what a process holds. Run by the interpreter of the tests, so that it needs nothing installed.
PROBE = r"""
import ctypes, json, os, resource, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
def called(function, *arguments):
    return "ok" if function(*arguments) >= 0 else os.strerror(ctypes.get_errno())
def tried(what):
    try:
        what()
        return "ok"
    except OSError as error:
        return error.strerror
def status(name):
    with open("/proc/self/status") as file:
        return next(line.split(":", 1)[1].strip() for line in file if line.startswith(name + ":"))
def fds():
    found = {}
    for fd in range(0, 1024):
        try:
            found[fd] = os.readlink(f"/proc/self/fd/{fd}")
        except OSError:
            pass
    return found
held = fds()
with open("/proc/self/environ", "rb") as file:
    environ = file.read().decode()
print(json.dumps({
    "environ": environ, "fds": held, "argv": sys.argv[1:], "cwd": os.getcwd(), "umask": status("Umask"),
    "uid": os.getresuid(), "gid": os.getresgid(), "groups": os.getgroups(),
    "caps": [status(n) for n in ("CapInh", "CapPrm", "CapEff", "CapAmb")], "nnp": status("NoNewPrivs"),
    "seccomp": status("Seccomp"), "session": os.getsid(0), "pgid": os.getpgid(0), "pid": os.getpid(),
    "terminals": [fd for fd in (0, 1, 2) if os.isatty(fd)],
    "tty": tried(lambda: os.close(os.open("/dev/tty", os.O_RDONLY))),
    "blocked": status("SigBlk"), "ignored": status("SigIgn"),
    "write_work": tried(lambda: open(sys.argv[1] + "/written", "w").close()),
    "write_outside": tried(lambda: open(sys.argv[2] + "/written", "w").close()),
    "append_config": tried(lambda: open(sys.argv[2] + "/config.toml", "a").close()),
    "remove_config": tried(lambda: os.unlink(sys.argv[2] + "/config.toml")),
    "read_key": tried(lambda: open(sys.argv[2] + "/keys/tester").close()),
    "read_log": tried(lambda: open(sys.argv[2] + "/log/audit.json").close()),
    "write_log": tried(lambda: open(sys.argv[2] + "/log/audit.json", "a").close()),
    "write_null": tried(lambda: open("/dev/null", "w").close()),
    "inet": tried(lambda: socket.socket(socket.AF_INET)), "inet6": tried(lambda: socket.socket(socket.AF_INET6)),
    "udp": tried(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)),
    "netlink": tried(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)),
    "packet": tried(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)),
    "unix": tried(lambda: socket.socket(socket.AF_UNIX)),
    "setsid": tried(os.setsid), "setpgid": tried(lambda: os.setpgid(0, 0)),
    "kill_daemon": tried(lambda: os.kill(os.getppid(), 0)),
    "chroot": tried(lambda: os.chroot("/")),
    "limit_daemon": tried(lambda: resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (3, 3))),
    "chmod": tried(lambda: os.chmod(sys.argv[2] + "/config.toml", 0o666)),
    "fchmod": tried(lambda: os.fchmod(os.open(sys.argv[2] + "/config.toml", os.O_RDONLY), 0o4755)),
    "chmod_key": tried(lambda: os.chmod(sys.argv[2] + "/keys/tester", 0o444)),
    "msgget": called(libc.msgget, 0, 0o1600), "semget": called(libc.semget, 0, 1, 0o1600),
    "shmget": called(libc.shmget, 0, 4096, 0o1600), "mq_open": called(libc.mq_open, b"/lh-probe", 0o102, 0o600, None),
    "chown": tried(lambda: os.chown(sys.argv[2] + "/config.toml", -1, 65534)),
    "setxattr": tried(lambda: os.setxattr(sys.argv[2] + "/config.toml", "user.x", b"x")),
}))
"""


class Probe(daemon.Scenario):
    def setUp(self):
        super().setUp()
        self.d = self.make(env={"HOSTILE": "yes", "LUMINOUS_HEALING_SECRET": "s" * 40})
        self.path = self.script(self.d, "probe.py", PROBE)

    def probe(self, settings="", command=None, **members):
        """What a command with these settings reports about itself."""
        command = command or [self.python(), "-I", self.path, self.d.work, self.d.folder]
        self.d.configure(f"[actions.probe]\ncommand = {json.dumps(command)}\n{settings}").start()
        return json.loads(self.assertCode(self.d.ask("probe", **members), "ok")["output"])

    def python(self):
        """An interpreter that the daemon trusts: owned by root, in folders that nobody else can change."""
        for path in "/usr/bin/python3", os.path.realpath(sys.executable):
            if os.access(path, os.X_OK):
                return os.path.realpath(path)
        self.skipTest("there is no interpreter that the daemon would run")
