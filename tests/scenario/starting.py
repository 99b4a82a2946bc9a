"""Starts that fail, and starts with a socket that somebody else has bound."""

import os
import socket
import subprocess
import sys

import daemon

BAD_CONFIG = 78  # EX_CONFIG

# What systemd does before it executes a service, sd_listen_fds(3).
PASS_ON = ('import os, sys\nos.dup2(int(sys.argv[1]), 3)\nos.environ.update(LISTEN_FDS="1", '
           'LISTEN_PID=str(os.getpid()))\nos.execv(sys.argv[2], sys.argv[2:])')


def listening(path, mode=0o660):
    """A listening socket as a socket unit makes it."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    if not path.startswith("\0"):
        os.chmod(path, mode)
    listener.listen(8)
    return listener


class Starting(daemon.Scenario):
    def run_it(self, d, *arguments):
        """Runs it to its end: (exit status, standard output, standard error)."""
        done = subprocess.run([daemon.BINARY, "--config", d.config_path, *arguments], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=d.environment(), text=True,
                              check=False)
        self.assertNotRegex(done.stderr, daemon.SANITIZER)
        return done.returncode, done.stdout, done.stderr

    def assertRefusesToStart(self, d, says, status=1):
        """It ends by itself with this status and one clear message, and has left neither socket nor process."""
        seen = len(d.stderr)
        d.spawn()
        found = self.assertEndsBeforeReady(d)
        stderr = "\n".join(d.stderr[seen:])
        self.assertEqual(found, status, stderr)
        self.assertRegex(stderr, says)
        self.assertNotRegex(stderr, daemon.SANITIZER)
        return stderr

    def assertEndsBeforeReady(self, d):
        """Its exit status."""
        try:
            d.await_notification("READY=1")
        except AssertionError:  # it has ended
            return d.wait()
        d.stop()
        return self.fail("it started:\n" + d.journal())

    def spawn_with_socket(self, d, listener):
        """Executes the daemon with this socket, as systemd does."""
        d.socket_path = listener.getsockname()
        d.process = subprocess.Popen([sys.executable, "-I", "-c", PASS_ON, str(listener.fileno()), daemon.BINARY,
                                      "--config", d.config_path], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                     env=d.environment(), pass_fds=[listener.fileno()])
        d.watch()
