"""The socket: who can reach it, who can put another in its place, and what a client believes of what answers there."""

import os
import socket
import stat
import subprocess
import sys
import threading

import attack
import daemon
import starting
import wire

sys.path.append(os.path.join(daemon.SOURCE, "clients", "python", "src"))

import luminous_healing  # noqa: E402

HEALCTL = os.path.join(daemon.BUILD, "healctl", "healctl")


class Impostor:
    """Answers in the daemon's place, on its path, with what `forge` makes of each request's frame."""

    def __init__(self, path, forge):
        self._forge = forge
        self.asked = 0
        self._listener = starting.listening(path)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client, client.makefile("rb") as frames:
                for frame in frames:
                    self.asked += 1
                    client.sendall(self._forge(frame))

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()


class Socket(attack.Attack, starting.Starting):
    def assertStopsWithSocket(self, d, listener, says):
        """Given this socket it does not start, and the socket is as it was."""
        path = listener.getsockname()
        self.spawn_with_socket(d, listener)
        self.assertNotEqual(self.assertEndsBeforeReady(d), 0)
        self.assertRegex(d.journal(), says)
        if isinstance(path, str):
            self.assertTrue(os.path.exists(path))

    def test_A16_the_socket_is_for_owner_and_group(self):
        """Its own socket is 0660 whatever the umask, and belongs to the configured group."""
        old = os.umask(0)
        try:
            d = self.start(attack.MARK, daemon='socket_group = "nogroup"' if daemon.ROOT else "")
        finally:
            os.umask(old)
        found = os.stat(d.socket_path)
        self.assertEqual((stat.S_IMODE(found.st_mode), found.st_uid), (0o660, os.geteuid()))
        if daemon.ROOT:
            self.assertEqual(found.st_gid, daemon.NOBODY)

    @daemon.needs_root
    def test_A16_membership_of_the_group_opens_the_socket_and_nothing_else(self):
        """Who may connect has no right yet: without a key, and with a key that is not his, nothing is granted."""
        d = self.start(attack.MARK, daemon='socket_group = "nogroup"')
        (connection,), _ = d.connect_as(daemon.NOBODY)
        with connection:
            for request, code in ((wire.Request("", "tester", "mark"), "bad_signature"),
                                  (wire.Request("k" * 64, "nobody", "mark"), "unknown_caller"),
                                  (d.request("mark"), "peer_not_allowed"), (d.request("status"), "peer_not_allowed")):
                self.assertCode(connection.ask(request), code)
        self.assertNothingRan(d)
        with self.assertRaises(AssertionError):  # and who is not in the group does not come that far
            d.connect_as(daemon.NOBODY, gid=daemon.NOBODY - 1)

    def test_A16_a_socket_that_everybody_can_open_is_not_served(self):
        """A passed socket that is open to all, by its mode or for want of a path, keeps the daemon from starting."""
        d = self.make(attack.MARK)
        for mode in 0o666, 0o662, 0o777:
            with starting.listening(f"{d.folder}/open{mode:o}", mode) as listener:
                self.assertStopsWithSocket(d, listener, "SocketMode=0660")
        with starting.listening("\0" + d.folder) as listener:
            self.assertStopsWithSocket(d, listener, "not a path")
        with starting.listening(d.folder + "/closed") as listener:
            self.spawn_with_socket(d, listener)
            d.await_notification("READY=1")
            self.assertCode(d.ask("mark"), "ok")

    def test_A16_a_folder_that_others_can_write_holds_no_socket(self):
        """Bound or passed: where others could put their own socket in its place the daemon does not start."""
        d = self.make(attack.MARK)
        shared = os.path.join(d.folder, "shared")
        os.mkdir(shared)
        good = d.read_config()
        for mode in 0o777, 0o775, 0o757:
            os.chmod(shared, mode)
            d.write_config(good.replace(d.folder + "/s", shared + "/s"))
            self.assertRefusesToStart(d, "others can write to the socket's folder")
            d.write_config(good)
            with starting.listening(f"{shared}/passed{mode:o}") as listener:
                self.assertStopsWithSocket(d, listener, "others can write to the socket's folder")

    @daemon.needs_root
    def test_A16_a_socket_or_folder_of_another_user_is_not_served(self):
        """Its owner could open it to all: another user's socket, or one in another user's folder, is refused."""
        d = self.make(attack.MARK)
        with starting.listening(d.folder + "/theirs") as listener:
            os.chown(d.folder + "/theirs", daemon.NOBODY, -1)
            self.assertStopsWithSocket(d, listener, f"belongs to uid {daemon.NOBODY}")
        other = os.path.join(d.folder, "other")
        os.mkdir(other)
        with starting.listening(other + "/s") as listener:
            os.chown(other, daemon.NOBODY, daemon.NOBODY)
            self.assertStopsWithSocket(d, listener, "socket's folder")

    def test_A17_an_inherited_socket_is_never_unlinked(self):
        """A socket that systemd passed is there after an orderly stop and after kill -9, with its queue."""
        d = self.make(attack.MARK)
        with starting.listening(d.folder + "/passed") as listener:
            identity = os.stat(d.folder + "/passed").st_ino
            for end in d.stop, d.kill9:
                self.spawn_with_socket(d, listener)
                d.await_notification("READY=1")
                self.assertCode(d.ask("mark"), "ok")
                end()
                self.assertEqual(os.stat(d.socket_path).st_ino, identity)
            request = d.request("mark")
            with d.connect() as waiting:
                waiting.send(request.frame)
                self.spawn_with_socket(d, listener)
                self.assertCode(waiting.response(request), "ok")

    def test_A17_what_is_in_the_way_is_not_removed(self):
        """A served socket, a file and a symlink in the socket's place are left alone; the daemon does not start."""
        first = self.start(attack.MARK)
        second = self.make(attack.MARK)
        good = second.read_config()
        second.write_config(good.replace(second.socket_path, first.socket_path))
        self.assertRefusesToStart(second, "another daemon already serves")
        self.assertCode(first.ask("mark"), "ok")
        second.write_config(good)
        os.symlink(first.socket_path, second.socket_path)
        self.assertRefusesToStart(second, "is not a socket")
        self.assertTrue(os.path.islink(second.socket_path))
        os.unlink(second.socket_path)
        with open(second.socket_path, "w", encoding="ascii") as file:
            file.write("precious")
        self.assertRefusesToStart(second, "is not a socket")
        self.assertTrue(os.path.isfile(second.socket_path))

    def test_A17_an_impostor_in_the_place_of_the_socket_is_exposed(self):
        """Whoever rebinds the path has no key: no forged, unsigned or second-hand success is believed by a client."""
        d = self.start(attack.MARK)
        genuine = d.repeat(d.request("mark", id="genuine"))
        self.assertEqual(d.stop(), 0)
        key_file = os.path.join(d.folder, "client-key")
        with open(os.open(key_file, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as file:
            file.write(d.keys["tester"] + "\n")

        def told(frame, mac):
            identifier = frame.partition(b'"id":"')[2].partition(b'"')[0]
            return b'{"v":2,"mac":%s,"response":%s}\n' % (mac, genuine.raw.replace(b"genuine", identifier))

        forgeries = {
            "without a MAC": lambda frame: told(frame, b"null"),
            "with a MAC of its own": lambda frame: told(frame, b'"' + wire.mac_of(
                "k" * 64, wire.RESPONSE, b"0" * 64, genuine.raw).encode() + b'"'),
            "with the request's MAC": lambda frame: told(frame, b'"' + frame.partition(b'"mac":"')[2][:64] + b'"'),
            "with another answer's MAC": lambda frame: told(frame, b'"' + genuine.mac.encode() + b'"'),
            "the answer to another request": lambda frame: genuine.line,
        }
        for name, forge in forgeries.items():
            with self.subTest(name):
                impostor = Impostor(d.socket_path, forge)
                try:
                    done = subprocess.run([HEALCTL, "--socket", d.socket_path, "--caller", "tester",
                                           "--key-file", key_file,
                                           "--timeout", "30s", "run", "mark", "--no-stream"], stdin=subprocess.DEVNULL,
                                          capture_output=True, text=True, check=False)
                    self.assertNotEqual(done.returncode, 0, done.stdout)
                    self.assertRegex(done.stderr, "MAC|another request")
                    client = luminous_healing.HealingClient(socket_path=d.socket_path, caller="tester",
                                                            key=d.keys["tester"], timeout=30)
                    with self.assertRaises(luminous_healing.InvalidAnswer):
                        client.run("mark")
                finally:
                    impostor.close()
                    os.unlink(d.socket_path)
                self.assertGreaterEqual(impostor.asked, 2)
        self.assertEqual(self.lines(d), ["ran"])


if __name__ == "__main__":
    daemon.main()
