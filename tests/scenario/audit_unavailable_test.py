"""No audit, no action: the log taken away in every way, and given back."""

import os

import daemon
import lost_log
from lost_log import CONFIG, WRITABLE_AGAIN


class AuditUnavailable(lost_log.LostLog):
    def setUp(self):
        super().setUp()
        self.d = self.start(CONFIG)
        self.d.log_was_harmed = True

    def test_a_deleted_log(self):
        """A23: the log deleted: the next action is refused; a new file is begun and says what happened."""
        self.assertCode(self.d.ask("mark"), "ok")
        os.unlink(self.d.log_path)
        self.refused_without_running()
        self.recovers()
        self.assertGreater(self.d.records()[0]["seq"], 1)
        self.assertEqual(self.d.records()[0]["event"], "rotate")

    def test_a_confirmation_that_is_not_recorded_is_no_success(self):
        """A run waits for its confirmation, the log is taken away, it is confirmed: that is said to be lost, with no
        place in the log; the outcome of the run is recorded when the log is back."""
        d = self.start("[actions.kill_process]\n" + CONFIG)
        d.log_was_harmed = True
        deaf = self.deaf()
        request = d.request("kill_process", {"pid": deaf.pid}, stream=True)
        with d.connect() as waiting:
            waiting.send(request.frame)
            while "waiting for" not in waiting.answer(request)["text"]:
                pass
            os.unlink(d.log_path)
            confirmed = self.assertCode(d.ask("confirm", {"request_id": request.id}), "audit_unavailable")
            self.assertIsNone(confirmed["audit_seq"])
            self.assertIs(confirmed["success"], False)
            self.recovers(d)
            deaf.kill()
            self.assertCode(waiting.response(request), "ok")
        self.assertEqual([r["action"] for r in d.events("outcome")][-1], "kill_process")

    def test_a_log_replaced_by_a_symlink(self):
        """A23: the log replaced by a symlink: refused, nothing is written through it, until it is gone."""
        aim = os.path.join(self.d.folder, "aim")
        with open(aim, "w", encoding="ascii"):
            pass
        os.rename(self.d.log_path, self.d.log_path + ".moved")
        os.symlink(aim, self.d.log_path)
        self.refused_without_running()
        status = self.d.ask("status")["result"]["audit"]
        self.assertIs(status["available"], False)
        self.assertTrue(status["why"])
        os.unlink(self.d.log_path)
        self.recovers()
        self.assertEqual(os.path.getsize(aim), 0)

    def test_a_log_replaced_by_a_fifo(self):
        """A23: the log replaced by a FIFO: refused, and the daemon does not block on it."""
        os.rename(self.d.log_path, self.d.log_path + ".moved")
        os.mkfifo(self.d.log_path)
        self.refused_without_running()
        self.refused_without_running()
        os.unlink(self.d.log_path)
        self.recovers()

    def test_a_log_replaced_by_a_folder(self):
        """A23: a folder in the place of the log: refused until it is gone."""
        os.rename(self.d.log_path, self.d.log_path + ".moved")
        os.mkdir(self.d.log_path)
        self.refused_without_running()
        os.rmdir(self.d.log_path)
        self.recovers()

    def test_a_log_replaced_by_another_file(self):
        """A23: another file in the place of the log: refused, and what is in it is not appended to."""
        os.rename(self.d.log_path, self.d.log_path + ".moved")
        with open(self.d.log_path, "w", encoding="ascii") as file:
            file.write('{"forged":true}\n')
        os.chmod(self.d.log_path, 0o640)
        self.refused_without_running()
        with open(self.d.log_path, encoding="ascii") as file:
            self.assertEqual(file.read(), '{"forged":true}\n')
        os.unlink(self.d.log_path)
        self.recovers()

    def test_a_log_written_by_somebody_else(self):
        """A23: a line appended by somebody else: refused, the file set aside as evidence, a new one begun."""
        with open(self.d.log_path, "ab") as file:
            file.write(b'{"forged":true}\n')
        self.refused_without_running()
        self.recovers()
        evidence = [name for name in os.listdir(self.d.log_folder) if name.startswith("audit.json.0")]
        self.assertEqual(len(evidence), 1, evidence)
        with open(os.path.join(self.d.log_folder, evidence[0]), "rb") as file:
            self.assertIn(b'{"forged":true}\n', file.read())

    def test_a_log_cut_by_somebody_else(self):
        """A23: a log cut short by somebody else: refused, set aside, and a new one begun."""
        self.assertCode(self.d.ask("mark"), "ok")
        os.truncate(self.d.log_path, os.path.getsize(self.d.log_path) - 10)
        self.refused_without_running()
        self.recovers()

    def test_the_folder_is_replaced(self):
        """A23: the folder moved away and another put in its place: refused until the old one is back."""
        moved = self.d.log_folder + ".moved"
        os.rename(self.d.log_folder, moved)
        self.refused_without_running()
        os.mkdir(self.d.log_folder)
        os.chmod(self.d.log_folder, 0o777)
        self.refused_without_running()
        os.rmdir(self.d.log_folder)
        os.rename(moved, self.d.log_folder)
        self.recovers()

    def test_a_running_action_s_outcome_is_not_lost(self):
        """The log goes while an action runs: the answer says so, and the outcome is recorded when it is back."""
        hold = self.hold(self.d)
        request = self.d.request("hold")
        with self.d.connect() as connection:
            connection.send(request.frame)
            hold.await_start()
            os.rename(self.d.log_path, self.d.log_path + ".moved")
            os.mkdir(self.d.log_path)
            hold.release()
            answer = self.assertCode(connection.response(request), "audit_unavailable")
            self.assertIn("ended with ok", answer["error"])
        os.rmdir(self.d.log_path)
        self.recovers()
        self.assertEqual([r["code"] for r in self.d.events("outcome", request_id=request.id)], ["ok"])

    def test_status_and_denials_go_on(self):
        """Without the log status is answered and denials are denials; actions alone are refused."""
        os.rename(self.d.log_path, self.d.log_path + ".moved")
        os.mkdir(self.d.log_path)
        self.refused_without_running()
        self.assertCode(self.d.ask("status"), "ok")
        self.assertCode(self.d.ask("nonsense"), "action_unknown")
        self.assertCode(self.d.ask("mark", key="k" * 64), "bad_signature")
        os.rmdir(self.d.log_path)
        self.recovers()

    def test_a_refusal_for_want_of_audit_costs_no_budget(self):
        """What was refused for want of the log has not used budget."""
        os.rename(self.d.log_path, self.d.log_path + ".moved")
        os.mkdir(self.d.log_path)
        for _ in range(3):
            self.refused_without_running()
        (action,) = [a for a in self.d.ask("status", {"detail": "actions"})["result"]["actions"] if a["name"] == "mark"]
        self.assertEqual(action["remaining"], 100)
        os.rmdir(self.d.log_path)
        self.recovers()

    @daemon.needs_root
    def test_a_full_disk(self):
        """A23: the disk full beyond the reserve: actions are refused; with space again they run, and it is recorded."""
        d = self.make(CONFIG, audit='reserve = "128KiB"')
        self.mount_tmpfs(d.log_folder, 512 * 1024)
        d.start()
        self.assertCode(d.ask("mark"), "ok")
        filler = os.path.join(d.log_folder, "filler")
        self.fill(filler)
        # Space is in the reserve only: what does not free any is refused, and that is recorded.
        ran = self.lines(d)
        for _ in range(400):
            answer = d.ask("mark", {"much": "x" * 30000}, mode="plan")
            self.assertIn(answer["code"], ("parameters_invalid", "audit_unavailable"))
        self.assertCode(d.ask("mark"), "audit_unavailable")
        self.assertEqual(self.lines(d), ran)
        os.unlink(filler)
        while d.ask("mark")["code"] != "ok":  # the log is tried again when it is written to, and every second
            d.await_journal(WRITABLE_AGAIN)
        self.assertEqual(len(self.lines(d)), len(ran) + 1)
        d.check_log()
        self.assertEqual(d.stop(), 0)

    @daemon.needs_root
    def test_a_command_that_frees_space(self):
        """On a full disk a command with frees_space runs and is recorded, when others are refused; then all run again."""
        d, filler = self.start_on_small_disk(more="""
[actions.make_room]
command = ["/bin/rm", "@CACHE@/filler"]
writes = ["@CACHE@"]
frees_space = true
""")
        self.fill(filler)
        while d.ask("mark")["code"] == "ok":
            pass
        self.assertCode(d.ask("mark"), "audit_unavailable")
        answer = self.assertCode(d.ask("make_room"), "ok")
        self.assertFalse(os.path.exists(filler))
        self.assertEqual([r["event"] for r in d.records() if r["action"] == "make_room"], ["decision", "outcome"])
        self.assertEqual(answer["audit_seq"], d.events("outcome")[-1]["seq"])
        while d.ask("mark")["code"] != "ok":  # the reserve is whole again when the log looks again, every second
            d.await_journal("")
        d.check_log()
        self.assertEqual(d.stop(), 0)

    @daemon.needs_root
    def test_a_disk_without_room_for_the_reserve(self):
        """A full disk at start: the daemon says so in status, and runs no action that frees no space."""
        d = self.make(CONFIG, audit='reserve = "1MiB"')
        self.mount_tmpfs(d.log_folder, 256 * 1024)
        d.start()
        self.assertIn(self.assertCode(d.ask("status"), "ok")["result"]["audit"]["space"][:3], ("low", "non"))
        self.assertCode(d.ask("mark"), "audit_unavailable")
        self.assertEqual(d.stop(), 0)


if __name__ == "__main__":
    daemon.main()
