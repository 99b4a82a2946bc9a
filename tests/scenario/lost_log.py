"""A log that is taken away, in whatever way: what must hold while it is gone, and when it is back."""

import contextlib
import ctypes
import os

import daemon

CONFIG = """
[actions.mark]
command = ["/bin/sh", "-c", "echo ran >> @WORK@/ran"]
writes = ["@WORK@"]
rate_limit = { limit = 100, window = "1h" }
[actions.hold]
command = ["/bin/cat", "@WORK@/hold"]
"""
WRITABLE_AGAIN = "can be written again"


class LostLog(daemon.Scenario):
    def refused_without_running(self, d=None):
        d = d or self.d
        before = self.lines(d)
        answer = self.assertCode(d.ask("mark"), "audit_unavailable")
        self.assertIsNone(answer["audit_seq"])
        self.assertEqual(self.lines(d), before)

    def recovers(self, d=None, after=0):
        """Actions run again, and the log says that it was away."""
        d = d or self.d
        d.await_journal(WRITABLE_AGAIN, after)
        self.assertCode(d.ask("mark"), "ok")
        self.assertGreaterEqual(len(d.events("recovered")), 1)
        self.assertIs(d.ask("status")["result"]["audit"]["available"], True)

    def put_in_its_place(self, make):
        """The log is moved away, and `make` puts something else where it was."""
        os.rename(self.d.log_path, self.d.log_path + ".moved")
        make(self.d.log_path)

    def mount_tmpfs(self, path, size):
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mount(b"lh-scenario", path.encode(), b"tmpfs", 0, f"size={size},mode=0750".encode()) != 0:
            self.skipTest("tmpfs cannot be mounted here: " + os.strerror(ctypes.get_errno()))
        self.addCleanup(libc.umount2, path.encode(), 2)

    def start_on_small_disk(self, audit='reserve = "128KiB"', more=""):
        """A daemon with a small disk of its own for log and cache; `more` has actions, with @CACHE@ in them."""
        d = self.make()
        disk = os.path.join(d.folder, "disk")
        d.log_folder, cache = os.path.join(disk, "log"), os.path.join(disk, "cache")
        d.log_path = os.path.join(d.log_folder, "audit.json")
        os.mkdir(disk)
        self.mount_tmpfs(disk, 512 * 1024)
        os.mkdir(d.log_folder, 0o750)
        os.mkdir(cache)
        d.configure(CONFIG + more.replace("@CACHE@", cache), audit=audit).start()
        return d, os.path.join(cache, "filler")

    def fill(self, filler):
        """Not a byte is left but in the reserve."""
        with open(filler, "wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"x" * 4096)
