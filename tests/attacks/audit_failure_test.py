"""A log that fails: nothing runs unrecorded, and a full disk does not stop what would free it."""

import errno
import os

import attack  # noqa: F401: it knows where the others are
import bad_disk
import daemon
import load
import lost_log


class LostLog(lost_log.LostLog):
    def test_A23_a_log_deleted_or_replaced_stops_every_action(self):
        """While the log is deleted, a symlink, a FIFO, a folder or another file nothing runs; later it is told."""
        self.d = self.start(lost_log.CONFIG)
        self.d.log_was_harmed = True
        aim = os.path.join(self.d.folder, "aim")
        for make in (lambda path: None, lambda path: os.symlink(aim, path), os.mkfifo, os.mkdir, self.write_forged):
            said = len(self.d.stderr)
            self.put_in_its_place(make)
            self.refused_without_running()
            self.assertFalse(os.path.exists(aim), "written through a symlink")
            if os.path.lexists(self.d.log_path):
                self.refused_without_running()
                (os.rmdir if os.path.isdir(self.d.log_path) else os.unlink)(self.d.log_path)
            self.recovers(after=said)

    def write_forged(self, path):
        with open(path, "w", encoding="ascii") as file:
            file.write('{"forged":true}\n')

    def test_A23_an_action_whose_outcome_cannot_be_recorded_is_not_a_success(self):
        """The log goes while an action runs: its answer is no success, its outcome is recorded when it is back."""
        self.d = self.start(lost_log.CONFIG)
        hold, request = self.hold(self.d), self.d.request("hold")
        with self.d.connect() as connection:
            connection.send(request.frame)
            hold.await_start()
            self.d.log_was_harmed = True
            self.put_in_its_place(os.mkdir)
            hold.release()
            self.assertCode(connection.response(request), "audit_unavailable")
        os.rmdir(self.d.log_path)
        self.recovers()
        self.assertEqual([r["code"] for r in self.d.events("outcome", request_id=request.id)], ["ok"])

    @daemon.needs_root
    def test_A24_on_a_full_disk_what_frees_space_runs_and_is_recorded(self):
        """At 100 % full others are refused; what frees space runs, its intent and outcome recorded."""
        d, filler = self.start_on_small_disk(more="""
[actions.make_room]
command = ["/bin/rm", "@CACHE@/filler"]
writes = ["@CACHE@"]
frees_space = true
""")
        self.fill(filler)
        with self.assertRaises(OSError) as full, open(filler + "2", "wb", buffering=0) as file:
            file.write(b"x")
        self.assertEqual(full.exception.errno, errno.ENOSPC)
        while d.ask("mark")["code"] == "ok":  # the disk is full, but the log has yet to meet its end
            pass
        ran = self.lines(d)
        self.assertCode(d.ask("mark"), "audit_unavailable")
        self.assertEqual(self.lines(d), ran)
        self.assertCode(d.ask("make_room", id="room"), "ok")
        self.assertFalse(os.path.exists(filler))
        self.assertEqual([(r["event"], r["code"]) for r in d.events(request_id="room")],
                         [("decision", "ok"), ("outcome", "ok")])
        d.check_log()
        self.assertEqual(d.stop(), 0)


class BadDisk(bad_disk.BadDisk):
    def test_A23_a_disk_that_fails_stops_every_action(self):
        """ENOSPC, EIO and EROFS at the write or the sync of an intent: refused, not run, and the daemon goes on."""
        d = self.start_on_bad_disk()
        for error in errno.ENOSPC, errno.EIO, errno.EROFS:
            for place in 1, 2:  # the write and the fdatasync of the intent
                self.fail_at(place, error, bad_disk.ALL)
                n, answer = self.ask()
                self.assertCode(answer, "audit_unavailable")
                self.assertNotIn(n, load.ran(d), errno.errorcode[error])
                self.heal()
                n, answer = self.ask()
                self.assertCode(answer, "ok")
                self.assertIn(n, load.ran(d))


if __name__ == "__main__":
    daemon.main()
