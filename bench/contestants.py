"""What is measured: our daemon as tests start it, the floors, and other programs that do one of our jobs.

A contestant is a function that gives the command of a round: a program that times operations, in turns with others
(bench/turns.h), and prints a line of JSON (bench/times.h). Configurations and keys are written here; nothing is left on
the machine."""

import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import uuid

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "scenario"))

import daemon  # noqa: E402

LOAD = os.path.join(daemon.BUILD, "bench", "bench_load")
FLOORS = os.path.join(daemon.BUILD, "bench", "bench_floors")
LIMIT = 'rate_limit = { limit = 100000, window = "1h" }\n'
OTHER_USER = "nobody"
DONE = {"expect": '"success":true'}
FOLDED = '"audit_seq":null'  # in the answer to a refusal that was counted and not recorded
PROTOTYPE_UIDS = range(20000, 20600)  # clients of as many users: ten refusals of one user are recorded in a minute


def run_json(command):
    """The lines of JSON that a measuring program prints."""
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise SystemExit(f"bench: {' '.join(command)} ended with {done.returncode}")
    return [json.loads(line) for line in done.stdout.splitlines()]


class Served:
    """A daemon of its own, and the clients that ask it."""

    def __init__(self, where, text, daemon_text="", audit="", callers=None, key=None):
        self.folder = tempfile.mkdtemp(prefix="d", dir=where)
        self.d = daemon.Daemon(self.folder)
        if key:
            self.d.add_key(*key)
        self.d.configure(text, daemon_text, audit)
        self.callers = os.path.join(self.folder, "callers")
        with open(self.callers, "w", encoding="ascii") as file:
            file.writelines(f"{name} {self.d.keys[name]}\n" for name in callers or self.d.keys)
        self.sent = 0

    def start(self):
        self.d.start()
        return self

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.d.stop()
        self.d.close()
        shutil.rmtree(self.folder)

    def load(self, mode, action, count, socket=None, warm_up=None, **options):
        """The command that asks this daemon, or whoever listens at `socket`, with requests of this daemon's callers.
        Each has requests of its own."""
        warm_up = count // 10 + 1 if warm_up is None else warm_up
        command = [LOAD, mode, f"--socket={socket or self.d.socket_path}", f"--callers={self.callers}",
                   f"--action={action}", f"--count={count}", f"--warm-up={warm_up}", f"--skip={self.sent}"]
        command += [f"--{name.replace('_', '-')}" + ("" if value is True else f"={value}")
                    for name, value in options.items()]
        self.sent += count + warm_up
        return command

    def latency(self, *arguments, **options):
        return self.load("latency", *arguments, **options)

    def throughput(self, *arguments, **options):
        """Runs it: many clients need the machine for themselves."""
        return run_json(self.load("throughput", *arguments, warm_up=0, **options))[0]

    def answer_to(self, action, parameters=None, caller=None):
        """The bytes of a real answer, for the relay to give."""
        with self.d.connect() as connection:
            return connection.ask(self.d.request(action, parameters, caller=caller, id=uuid.uuid4().hex)).line

    def record(self, **members):
        """The bytes of the newest such record."""
        wanted = self.d.events(**members)[-1]["seq"]
        with open(self.d.log_path, "rb") as file:
            return next(line for line in file if json.loads(line)["seq"] == wanted)


class Relay:
    """bench_floors relay: the two plain processes of bench/relay.h. With a file of callers the server reads, checks and
    signs; with a record it makes that durable before it answers; with a step too ("fork", a program, or what is to be
    done as a worker of ours would do it) it does that and makes the record durable once more."""

    def __init__(self, where, answer, record=None, step=(), callers=None):
        self.folder = tempfile.mkdtemp(prefix="r", dir=where)
        self.socket = os.path.join(self.folder, "s")
        self.answer = os.path.join(self.folder, "answer")
        with open(self.answer, "wb") as file:
            file.write(answer)
        self.work = (["signing", callers] if callers else []) + (
            [os.path.join(self.folder, "log"), record, *step] if record else [])
        self.process = None

    def __enter__(self):
        self.process = subprocess.Popen([FLOORS, "relay", self.socket, self.answer, *self.work],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == b"ready\n", "the relay did not start"
        return self

    def __exit__(self, *_):
        self.process.stdin.close()  # its end
        self.process.wait()
        self.process.stdout.close()
        shutil.rmtree(self.folder)


# --- configurations ---

def actions_config(uid=0):
    """One caller that may run /bin/true as another user, and kill processes."""
    return (f'[callers.tester]\nkey = "tester"\nusers = [{uid}]\nactions = ["true", "kill_process"]\n'
            f'[actions.true]\ncommand = ["/bin/true"]\nrun_as = "{OTHER_USER}"\n{LIMIT}'
            f'[actions.kill_process]\n{LIMIT}')


def many_callers_config(count):
    """Callers that may use "mine" and not "other": what bench/frames.cpp asks as denials."""
    callers = "".join(f'[callers.c{i}]\nkey = "c{i}"\nusers = [0]\nactions = ["mine"]\n' for i in range(count))
    return (callers + '[callers.owner]\nkey = "owner"\nusers = [0]\nactions = ["other"]\n'
            f'[actions.mine]\ncommand = ["/bin/true"]\n{LIMIT}[actions.other]\ncommand = ["/bin/true"]\n{LIMIT}')


def growing_config(count):
    """As many callers as actions, each caller with one of its own."""
    return "".join(f'[callers.c{i}]\nkey = "c{i}"\nusers = [0]\nactions = ["a{i}"]\n'
                   f'[actions.a{i}]\ncommand = ["/bin/true"]\n{LIMIT}' for i in range(count))


def prototype_config():
    users = ",\n".join(str(uid) for uid in PROTOTYPE_UIDS)
    return (f'[callers.tester]\nkey = "tester"\nusers = [{users}]\nactions = ["adjust_swappiness"]\n'
            f'[actions.adjust_swappiness]\n{LIMIT}')


# --- other programs ---

def spawn(count, *command):
    return [FLOORS, "spawn", str(count), *command]


class Peers:
    """sudo, doas and s6-sudo, each running /bin/true as another user for a caller that is root already: no password, no
    prompt. sudo has Debian's own configuration; doas has the one rule it needs; s6 has a server that is that user and
    runs the command for everybody who connects, without a look at who it is and without a log."""

    def __init__(self, where):
        self.folder = tempfile.mkdtemp(prefix="p", dir=where)
        self.socket = os.path.join(self.folder, "s6", "s")
        self.server = None
        self.missing = [name for name in ("sudo", "doas", "s6-sudo") if shutil.which(name) is None]

    def __enter__(self):
        for name in ("upper", "work", "s6"):
            os.mkdir(os.path.join(self.folder, name))
        os.chmod(self.folder, 0o755)
        with open(os.open(os.path.join(self.folder, "upper", "doas.conf"), os.O_WRONLY | os.O_CREAT, 0o644), "w",
                  encoding="ascii") as file:
            file.write(f"permit nopass root as {OTHER_USER} cmd /bin/true\n")
        if "s6-sudo" not in self.missing:
            user = pwd.getpwnam(OTHER_USER)
            os.chown(os.path.dirname(self.socket), user.pw_uid, user.pw_gid)
            self.server = subprocess.Popen(["s6-setuidgid", OTHER_USER, "s6-ipcserver", "-1", self.socket, "s6-sudod",
                                            "/bin/true"], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
            assert self.server.stdout.readline() == b"\n", "s6-ipcserver did not start"
        return self

    def __exit__(self, *_):
        if self.server:
            self.server.terminate()
            self.server.wait()
            self.server.stdout.close()
        shutil.rmtree(self.folder)

    def contestants(self, count):
        """The rule for doas lies over /etc in a mount namespace of its own: the machine's /etc is not touched."""
        over_etc = (f"lowerdir=/etc,upperdir={self.folder}/upper,workdir={self.folder}/work")
        inside = f'mount -t overlay overlay -o {over_etc} /etc && exec "$@"'
        doas = ["unshare", "--mount", "sh", "-c", inside, "-", *spawn(count, "doas", "-u", OTHER_USER, "/bin/true")]
        every = {"sudo": lambda: spawn(count, "sudo", "-n", "-u", OTHER_USER, "/bin/true"),
                 "doas": lambda: doas,
                 "s6-sudo": lambda: spawn(count, "s6-sudo", self.socket)}
        return {name: measure for name, measure in every.items() if name not in self.missing}
