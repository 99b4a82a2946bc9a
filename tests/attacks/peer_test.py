"""Who is calling: asked of the kernel once, at accept, and denied when it cannot say."""

import contextlib
import ctypes
import errno
import os
import signal
import socket
import subprocess
import sys
import unittest

import attack
import daemon

WITHOUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "without.py")
SO_PEERPIDFD = 77
SYS_CLONE3 = 435
ANYBODY = 'socket_group = "nogroup"'  # other users of these tests have that group, and may connect


def callers(**users):
    """A caller a name, with these users and a right to `mark`."""
    return attack.MARK + "".join(f'[callers.{name}]\nkey = "{name}"\nusers = [{uid}]\nactions = ["mark"]\n'
                                 for name, uid in users.items())


def process_with_pid(pid):
    """A process of ours that has exactly this PID, as if the numbers had come round (clone3(2), set_tid)."""
    wanted = (ctypes.c_int32 * 1)(pid)
    arguments = (ctypes.c_uint64 * 11)()
    arguments[4] = signal.SIGCHLD
    arguments[8], arguments[9] = ctypes.addressof(wanted), 1
    said, says = os.pipe()
    libc = ctypes.PyDLL(None, use_errno=True)  # which keeps Python's lock: the child has no other thread to release it
    made = libc.syscall(SYS_CLONE3, arguments, ctypes.sizeof(arguments))
    if made == 0:
        os.dup2(says, 1)
        os.execvp("setpriv", [*attack.BARE, "/bin/sh", "-c", "echo; exec sleep 1000 >&-"])
    os.close(says)
    with open(said, "rb") as file:
        file.read()  # until it has become another program
    if made < 0:
        raise OSError(ctypes.get_errno(), "clone3")
    return made


class Peer(attack.Attack):
    def start_without(self, option, error, text):
        d = self.make(text)
        d.process = subprocess.Popen([sys.executable, "-I", WITHOUT, str(option), str(error), daemon.BINARY, "--config",
                                      d.config_path], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                     stderr=subprocess.PIPE, env=d.environment())
        d.watch().await_notification("READY=1")
        return d

    def test_A02_a_peer_that_the_kernel_does_not_name_is_denied(self):
        """Whatever keeps the kernel from naming the peer, also an answer that names nobody: no byte is answered."""
        everybody = attack.MARK + ('[callers.tester]\nkey = "tester"\nactions = ["mark"]\n'
                                   f'users = [{", ".join(sorted({"0", str(os.geteuid())}))}]\n')
        for error in errno.ENOPROTOOPT, errno.EPERM, errno.ENOMEM, errno.EINVAL, 0:
            with self.subTest(error=errno.errorcode.get(error, "none")):
                d = self.start_without(socket.SO_PEERCRED, error, everybody)
                with d.connect() as connection:
                    with contextlib.suppress(OSError):  # it may be closed before we have written
                        connection.send(d.request("mark").frame)
                        connection.end_of_requests()
                    self.assertEqual(connection.rest(), b"")
                d.await_journal("a connection was refused")
                self.assertNothingRan(d)
                self.assertEqual(d.stop(), 0)

    def test_A03_the_identity_is_that_of_connect_and_never_looked_up_by_pid(self):
        """Who connected is who asks: without a pidfd nothing is claimed of the program that has the PID now."""
        known = self.start(attack.MARK)  # control: with a pidfd the program is known
        self.assertCode(attack.ask_by_program(known, known.request("mark"), attack.netcat()), "ok")
        self.assertEqual(known.events("decision")[0]["peer"]["exe"], os.path.realpath(attack.netcat()))
        d = self.start_without(SO_PEERPIDFD, errno.ENOPROTOOPT, attack.MARK)
        self.assertCode(attack.ask_by_program(d, d.request("mark"), attack.netcat()), "ok")
        peer = d.events("decision")[0]["peer"]
        self.assertEqual((peer["uid"], peer["exe"], peer["unit"]), (os.geteuid(), "", ""))

    @daemon.needs_root
    def test_A03_a_process_that_took_over_the_pid_of_the_peer_changes_nothing(self):
        """Root's process with the PID of nobody's client, which has ended, does not make its connection root's."""
        d = self.start(callers(theirs=daemon.NOBODY, roots=0), daemon=ANYBODY)
        (connection,), pid = d.connect_as(daemon.NOBODY)
        try:
            taken = process_with_pid(pid)
        except OSError as error:
            if error.errno in (errno.EPERM, errno.ENOSYS, errno.EEXIST):
                raise unittest.SkipTest(f"the PID cannot be had again here: {error}")
            raise
        self.addCleanup(os.waitpid, taken, 0)
        self.addCleanup(os.kill, taken, signal.SIGKILL)
        with connection:
            self.assertCode(connection.ask(d.request("mark", caller="roots")), "peer_not_allowed")
            self.assertCode(connection.ask(d.request("mark", caller="theirs")), "ok")
        for record in d.events("decision"):
            peer = record["peer"]
            self.assertEqual((peer["uid"], peer["pid"], peer["exe"]), (daemon.NOBODY, pid, ""))

    @daemon.needs_root
    def test_A04_uids_above_the_largest_int_are_themselves(self):
        """2^31, 2^32-2 and their neighbours are neither root nor -1: each is allowed exactly where it is listed."""
        uids = 2**31 - 1, 2**31, 2**32 - 3, 2**32 - 2
        d = self.start(callers(roots=0, **{f"u{uid}": uid for uid in uids}), daemon=ANYBODY)
        for uid in uids:
            (connection,), _ = d.connect_as(uid)
            with connection, self.subTest(uid=uid):
                for other in "roots", *(f"u{u}" for u in uids if u != uid):
                    self.assertCode(connection.ask(d.request("mark", caller=other)), "peer_not_allowed")
                self.assertCode(connection.ask(d.request("mark", caller=f"u{uid}")), "ok")
                self.assertEqual(d.events("outcome")[-1]["peer"]["uid"], uid)
        self.assertEqual({r["peer"]["uid"] for r in d.events("decision")}, set(uids))

    def test_A04_a_uid_that_would_wrap_cannot_be_configured(self):
        """No number that becomes root or -1 in 32 bits passes for a uid."""
        for uid in -1, -2, 2**32 - 1, 2**32, 2**32 + 1, 2**63 - 1, '"4294967296"', '"-1"', '"0x0"', '"0"', "0.0":
            with self.subTest(uid=uid):
                d = self.make(callers(odd=uid))
                done = subprocess.run([daemon.BINARY, "--config", d.config_path, "--check"], capture_output=True,
                                      env=d.environment(), text=True, check=False)
                self.assertEqual(done.returncode, 78, done.stderr)
                self.assertRegex(done.stderr, r"(?m)^\S+config\.toml:\d+: .*users")

    def test_A15_a_key_is_worth_nothing_to_another_user(self):
        """Whoever has the key but not the uid is peer_not_allowed in all that he asks, and recorded as himself."""
        d = self.start(callers(mine=os.geteuid(), theirs=1 if os.geteuid() != 1 else 2))
        for request in (d.request("mark", caller="theirs"), d.request("status", caller="theirs"),
                        d.request("mark", caller="theirs", mode="plan")):
            self.assertCode(d.repeat(request), "peer_not_allowed")
        self.assertNothingRan(d)
        denied = d.events("decision", code="peer_not_allowed")
        self.assertEqual({(r["peer"]["uid"], r["peer"]["pid"], r["caller"]) for r in denied},
                         {(os.geteuid(), os.getpid(), "theirs")})
        self.assertCode(d.ask("mark", caller="mine"), "ok")

    @daemon.needs_root
    def test_A15_a_stolen_key_does_not_even_get_the_recorded_answer(self):
        """A thief who repeats the owner's own bytes learns nothing, not even what they were answered."""
        d = self.start(attack.MARK, daemon=ANYBODY)
        request = d.request("mark")
        self.assertCode(d.repeat(request), "ok")
        (connection,), pid = d.connect_as(daemon.NOBODY)
        with connection:
            answer = self.assertCode(connection.ask(request), "peer_not_allowed")
        self.assertNotIn("replayed", answer.value)
        self.assertEqual((d.events("decision")[-1]["peer"]["uid"], d.events("decision")[-1]["peer"]["pid"]),
                         (daemon.NOBODY, pid))
        self.assertEqual(self.lines(d), ["ran"])


if __name__ == "__main__":
    daemon.main()
