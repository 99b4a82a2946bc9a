"""One full request under valgrind's memcheck: no invalid access, no use of what was never set, no definite leak.

Executor and workers run under it as one daemon, with a gate of their own that does not. The gate runs under it alone,
with this test in the executor's place. Our seccomp filters are left out (tests/support/no_filter.cpp): valgrind makes
system calls of its own, for which the gate is killed, rightly. Valgrind 3.19 does not know Landlock and answers ENOSYS,
as an old kernel does: that is left out too. It does not know pidfd_open(2) either, which this test does for the daemon.
"""

import array
import contextlib
import os
import re
import resource
import socket
import struct
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "scenario"))

import daemon  # noqa: E402
import wire  # noqa: E402

NO_FILTER = os.path.join(daemon.BUILD, "tests", "support", "libno_filter.so")
MEMCHECK = ["valgrind", "--quiet", "--vgdb=no", "--leak-check=full", "--show-leak-kinds=definite",
            "--errors-for-leak-kinds=definite", "--error-exitcode=99", "--child-silent-after-fork=no", "--verbose"]
MISTAKE = re.compile(r"==\d+== (Invalid|Conditional|Use of|Syscall param|Mismatched|Source and destination).*")
SUMMARY = re.compile(r"==(\d+)== ERROR SUMMARY: (\d+) errors")

CHANNEL = 3  # executor/gate.h
HEADER = struct.Struct("=IIQQ5II")  # executor/channel.cpp
CONNECTION, WRITE, PING, REQUEST_V2, PONG = 1, 2, 3, 4, 8
ANSWERS_REQUEST, CLOSE_AFTER = 1, 2


def encoded(kind, connection=0, number=0, *fields):
    lengths = [len(field) for field in fields] + [0] * (5 - len(fields))
    return HEADER.pack(kind, 0, connection, number, *lengths, 0) + b"".join(fields)


def decoded(message):
    kind, _, connection, _, *lengths = HEADER.unpack_from(message)
    fields, at = [], HEADER.size
    for length in lengths[:5]:
        fields.append(message[at:at + length])
        at += length
    return kind, connection, fields


class Pidfds:
    """Opens processes for those who connect (tests/support/no_filter.cpp)."""

    def __init__(self, name):
        self.name = name
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listening.bind("\0" + name)
        self._listening.listen(16)
        self._server = threading.Thread(target=self._serve, daemon=True)
        self._server.start()

    def _serve(self):
        with contextlib.suppress(OSError):  # close()
            while True:
                asking, _ = self._listening.accept()
                with asking, contextlib.suppress(OSError):
                    fd = os.pidfd_open(int(asking.recv(32)))
                    socket.send_fds(asking, [b"."], [fd])
                    os.close(fd)

    def close(self):
        self._listening.shutdown(socket.SHUT_RDWR)
        self._server.join()
        self._listening.close()


def as_workers_are_limited():
    """Valgrind lets nobody lower the hard limit later, which a worker does when it is above this."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))


class CheckedDaemon(daemon.Daemon):
    def spawn(self, *arguments):
        environment = {**self.environment(), "LD_PRELOAD": NO_FILTER}
        self.process = subprocess.Popen([*MEMCHECK, daemon.BINARY, "--config", self.config_path, *arguments],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                        env=environment, preexec_fn=as_workers_are_limited)
        return self.watch()


class Memcheck(daemon.Scenario):
    def check_summaries(self, log, processes):
        """No process under valgrind has made a mistake, and so many have told."""
        self.assertNotRegex(log, MISTAKE)  # also of a process that became a command before it could sum up
        found = dict(SUMMARY.findall(log))
        self.assertGreaterEqual(len(found), processes, log)
        self.assertEqual({errors for errors in found.values()}, {"0"}, log)

    def test_executor_and_workers(self):
        """A request that runs, one that is planned and one that is refused, in executor and workers."""
        made = CheckedDaemon(self.folder())
        pidfds = Pidfds(os.path.basename(made.folder))
        self.addCleanup(pidfds.close)
        made.env["LUMINOUS_PIDFDS"] = pidfds.name
        made.configure('[actions.a]\ncommand = ["/bin/echo", "{n}"]\nparameters.n = { type = "integer" }\n'
                       '[actions.kill_process]\n')
        self._daemons.append(made)
        self.addCleanup(self._end, made)
        made.start()
        answer = self.assertCode(made.ask("a", {"n": 7}, stream=True), "ok")
        self.assertIn("7", answer["output"])
        victim = subprocess.Popen(["/bin/sleep", "1000"])
        self.addCleanup(victim.wait)
        self.addCleanup(victim.kill)
        self.assertCode(made.ask("kill_process", {"pid": victim.pid}, mode="plan"), "ok")
        self.assertCode(made.ask("kill_process", {"pid": victim.pid}), "ok")
        self.assertCode(made.ask("a", {"n": "x"}), "parameters_invalid")
        self.assertCode(made.ask("a", {"n": 1}, key="0" * 64), "bad_signature")
        made.reload()
        self.assertCode(made.ask("status", {"detail": "actions"}), "ok")
        self.assertEqual(made.stop(), 0, made.journal())
        self.check_summaries(made.journal(), 4)  # the executor, its keeper, two workers; a third became its command

    def test_gate(self):
        """The gate: a request to the executor and its answer to the client, a malformed frame, a ping, the end."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours, theirs:
            ours.settimeout(daemon.PATIENCE)
            gate = subprocess.Popen([*MEMCHECK, daemon.BINARY, "--gate"], stdin=subprocess.DEVNULL,
                                    stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, pass_fds=[CHANNEL],
                                    env={"LD_PRELOAD": NO_FILTER, "PATH": os.environ["PATH"]},
                                    preexec_fn=lambda: os.dup2(theirs.fileno(), CHANNEL))
            self.addCleanup(gate.wait)
            theirs.close()
            with contextlib.ExitStack() as stack:
                stack.callback(gate.stderr.close)
                self.converse(ours)
                ours.close()
                log = gate.stderr.read().decode()
        self.assertEqual(gate.wait(), 0, log)
        self.check_summaries(log, 1)

    def converse(self, executor):
        client, end = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        client.settimeout(daemon.PATIENCE)
        with end:
            executor.sendmsg([encoded(CONNECTION, 1, 1000)],
                             [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [end.fileno()]))])
        with wire.Connection(client) as connection:
            request = wire.Request("k" * 64, "tester", "a", {"n": 7})
            connection.send(request.frame)
            kind, number, fields = decoded(executor.recv(1 << 17))
            self.assertEqual((kind, number), (REQUEST_V2, 1))
            self.assertEqual(fields[:3], [b"tester", bytes.fromhex(request.mac), request.raw])
            executor.send(encoded(WRITE, 1, ANSWERS_REQUEST, b"an answer\n"))
            self.assertEqual(connection.line(), b"an answer\n")
            connection.send(b'{"type":"ping"}\n')
            self.assertIn(b"pong", connection.line())
            executor.send(encoded(PING))
            self.assertEqual(decoded(executor.recv(1 << 17))[0], PONG)
            connection.send(b"garbage\n")
            self.assertIn(b"does not begin", decoded(executor.recv(1 << 17))[2][0])
            executor.send(encoded(WRITE, 1, ANSWERS_REQUEST | CLOSE_AFTER, b"refused\n"))
            self.assertEqual(connection.rest(), b"refused\n")


if __name__ == "__main__":
    daemon.main()
