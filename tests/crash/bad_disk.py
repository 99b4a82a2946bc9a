"""A daemon whose disk fails when a test says so (tests/support/disk_faults)."""

import contextlib
import errno
import itertools
import os

import load
import daemon

PRELOAD = os.path.join(daemon.BUILD, "tests", "support", "libdisk_faults.so")
WRITABLE_AGAIN = "can be written again"
KINDS = {"ENOSPC": errno.ENOSPC, "EIO": errno.EIO, "EROFS, as after a remount": errno.EROFS, "short write": "short"}
ALL = 0  # from there on, until the disk is well again


class BadDisk(daemon.Scenario):
    def start_on_bad_disk(self, audit=load.AUDIT):
        d = load.configured(self, audit=audit)
        d.log_was_harmed = True  # rotated, that is
        self.d, self.plan, self.seen = d, os.path.join(d.folder, "faults"), os.path.join(d.folder, "seen")
        d.env.update(LD_PRELOAD=PRELOAD, LUMINOUS_FAULTS=self.plan, LUMINOUS_FAULTS_SEEN=self.seen,
                     LUMINOUS_FAULTS_BELOW=d.log_folder, ASAN_OPTIONS="verify_asan_link_order=0")
        self.numbers = itertools.count(1)
        self.answers = {}
        self.fail_at(0, 0)
        d.start()
        if not self.operations(lambda: self.ask()):
            self.skipTest("the daemon was built so that its system calls cannot be replaced")
        return d

    def fail_at(self, number, error, times=1):
        """The number counts from here."""
        draft = self.plan + ".new"
        with open(draft, "w", encoding="ascii") as file:
            file.write(f"{number} {error} {times}\n")
        os.rename(draft, self.plan)

    def operations(self, do):
        """The names of what `do` makes the daemon do to its log's folder."""
        self.fail_at(0, 0)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.seen)
        do()
        with contextlib.suppress(FileNotFoundError), open(self.seen, encoding="ascii") as file:
            return [line.split()[1] for line in file.read().splitlines()]
        return []

    def ask(self, **members):
        """(number, answer) of one request to run."""
        n = next(self.numbers)
        answer = self.d.ask("mark", {"n": n}, **members)
        self.answers[n] = answer["code"]
        return n, answer

    def heal(self):
        """The disk is well again; waits until the daemon says so, if it had lost the log."""
        self.fail_at(0, 0)
        said = len(self.d.stderr)
        if self.d.ask("status")["result"]["audit"]["available"] is False:
            self.d.await_journal(WRITABLE_AGAIN, said)
