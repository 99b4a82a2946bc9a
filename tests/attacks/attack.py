"""What the attack tests share: the daemon of tests/scenario, helpers of tests/crash, and raw requests."""

import os
import shutil
import subprocess
import sys

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path += [os.path.join(TESTS, "scenario"), os.path.join(TESTS, "crash")]  # behind ours, whose names they have

import daemon  # noqa: E402
import wire  # noqa: E402

# An action that leaves a line in work/ran each time that it runs.
MARK = """
[actions.mark]
command = ["/bin/sh", "-c", "echo ran >> @WORK@/ran"]
writes = ["@WORK@"]
rate_limit = { limit = 100000, window = "1h" }
"""


# Of a process with more capabilities than it has itself the daemon may not see the program, ptrace(2). Here it is
# root's, its capabilities cut: what this is put before has none.
BARE = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if daemon.ROOT else []

# Actions on units are available where systemd and its bus are to be seen, sd_booted(3). On a machine that was booted
# without, the daemon is given a mount namespace with both. There it decides; what it would run finds nobody to ask.
BOOTED = "/run/systemd/system"
AS_IF_BOOTED = """
mount -t tmpfs none /run/systemd && mkdir /run/systemd/system || exit
"$0" -c 'import socket; socket.socket(socket.AF_UNIX).bind("/run/systemd/private")'
exec "$@"
"""


def ask_by_program(d, request, program):
    """The answer to a request that this netcat has sent, which has connected itself."""
    done = subprocess.run([*BARE, program, "-N", "-U", d.socket_path], input=request.frame,
                          capture_output=True, check=True)
    return wire.Answer(done.stdout, request)


def netcat():
    return shutil.which("nc.openbsd") or shutil.which("nc")


class Attack(daemon.Scenario):
    """A scenario whose daemon is attacked: what must not happen is that something runs."""

    def start_where_units_are(self, text):
        """A daemon to which actions on units are available."""
        if os.path.isdir(BOOTED):
            return self.start(text)
        if not daemon.ROOT:
            self.skipTest("needs root, or a machine booted with systemd")
        d = self.make(text)
        d.process = subprocess.Popen(["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", AS_IF_BOOTED,
                                      sys.executable, daemon.BINARY, "--config", d.config_path], env=d.environment(),
                                     stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        d.watch().await_notification("READY=1")
        return d

    def signed(self, d, body, caller=None):
        """A request with exactly these bytes as its value, well signed; @TIME@ is filled in."""
        caller = caller or d.CALLER
        raw = body.encode() if isinstance(body, str) else body
        return wire.Request(d.keys[caller], caller, None, raw=raw.replace(b"@TIME@", wire.timestamp().encode()))

    def answers(self, d, data):
        """The answers to these bytes, and then the end of the stream."""
        with d.connect() as connection:
            connection.send(data)
            connection.end_of_requests()
            return [wire.Answer(line + b"\n") for line in connection.rest().splitlines()]

    def assertNothingRan(self, d):
        """No command left its line, and none was allowed to."""
        self.assertEqual(self.lines(d), [])
        self.assertEqual(d.events("outcome"), [])
        self.assertEqual(d.events("decision", decision="allow"), [])
