"""The worker that waits without orders: when it is there, what it holds, and that nobody depends on it."""

import os
import resource
import signal

import daemon
import lost_log

CONFIG = """
[actions.mark]
command = ["/bin/sh", "-c", "echo $$"]
rate_limit = { limit = 100000, window = "5min" }
[actions.hold]
command = ["/bin/cat", "{hold}"]
[actions.write]
command = ["/bin/sh", "-c", "echo $$ > {written} && cat {written}"]
writes = ["{written}"]
rate_limit = { limit = 100000, window = "5min" }
[actions.free]
command = ["/bin/sh", "-c", "grep ^Seccomp: /proc/$$/status"]
confine = false
[actions.policy]
command = ["/bin/sh", "-c", "cut -d ' ' -f 41 /proc/$$/stat"]
"""


def filters(pid):
    """How many system call filters a process has."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Seccomp_filters:"))


class Spare(lost_log.LostLog):
    def setUp(self):
        super().setUp()
        self.d = self.make()
        self.holding = self.hold(self.d)
        self.written = os.path.join(self.d.work, "written")
        with open(self.written, "wb"):
            pass
        self.d.configure(CONFIG.replace("{hold}", self.holding.path).replace("{written}", self.written)).start()

    def spare(self):
        """Forked as soon as the executor has nothing else to do."""
        while (pid := daemon.spare_of(self.d.pid)) is None:
            pass  # the alarm of every scenario bounds this
        return pid

    def is_fenced(self, spare):
        """Once it has read all that it was sent: whoever is answered now is so after that was sent."""
        self.d.ask("status")
        while daemon.state_of(spare) != "S":
            pass
        return filters(spare) > filters(self.d.pid)

    def fenced_spare(self):
        """Tests beside this one change /tmp, and rules that were made before that are nobody's: then once more."""
        self.mark()
        while not self.is_fenced(self.spare()):
            self.mark()
        return self.spare()

    def mark(self):
        """The process that the command was."""
        return int(self.assertCode(self.d.ask("mark"), "ok")["output"])

    def test_a_daemon_that_has_run_nothing_has_no_spare_worker(self):
        """None before the first action, also none for a status or a refusal."""
        self.d.ask("status")
        self.assertCode(self.d.ask("nothing"), "action_unknown")
        self.assertIsNone(daemon.spare_of(self.d.pid))

    def test_the_next_action_is_the_spare_workers(self):
        """The worker that waited becomes the next command, and another takes its place."""
        self.mark()
        waiting = self.spare()
        self.assertEqual(self.mark(), waiting)
        self.assertNotEqual(self.spare(), waiting)

    def test_a_spare_worker_is_fenced_in_for_the_command_that_repeats(self):
        """After two commands with the same rules it has their filter before it has orders, and becomes the third; a
        command with other rules gets another worker, with its own. Where they take turns it has none beforehand."""
        self.mark()
        self.assertFalse(self.is_fenced(self.spare()))
        while self.fenced_spare() != self.mark():
            pass  # as there
        waiting = self.fenced_spare()
        self.assertNotEqual(int(self.assertCode(self.d.ask("write"), "ok")["output"]), waiting)
        self.assertFalse(daemon.is_alive(waiting))
        waiting = self.spare()
        self.assertFalse(self.is_fenced(waiting))
        self.assertEqual(self.mark(), waiting)
        self.assertFalse(self.is_fenced(self.spare()))

    def test_a_command_that_is_not_confined_gets_no_fence_of_another(self):
        """The spare worker with a filter is not for it; the one after it without a filter is not for the others."""
        with open("/proc/self/status", encoding="ascii") as file:
            ours = next(line for line in file if line.startswith("Seccomp:"))
        for _ in range(2):
            self.mark()
            self.mark()
            for _ in range(2):
                self.assertEqual(self.assertCode(self.d.ask("free"), "ok")["output"], ours)

    def test_the_spare_worker_takes_the_processor_from_nobody(self):
        """It waits as SCHED_BATCH (decision 0019); what it becomes is scheduled as the daemon is."""
        usual = os.sched_getscheduler(self.d.pid)
        for _ in range(2):  # on the spot, and from a spare one
            self.assertEqual(self.assertCode(self.d.ask("policy"), "ok")["output"], f"{usual}\n")
            waiting = self.spare()
            while os.sched_getscheduler(waiting) != os.SCHED_BATCH:
                pass  # it has only just begun; the alarm bounds this too

    def test_two_at_once_need_no_second_spare_worker(self):
        """While the spare worker runs one action, another begins beside it."""
        self.mark()
        waiting = self.spare()
        request = self.d.request("hold")
        with self.d.connect() as connection:
            connection.send(request.frame)
            self.holding.await_start()
            self.assertTrue(daemon.is_alive(waiting))
            self.mark()
            self.holding.release()
            self.assertCode(connection.response(request), "ok")

    def test_a_killed_spare_worker_is_replaced(self):
        """kill -9 of the one that waits: the next action does not notice."""
        self.mark()
        waiting = self.spare()
        os.kill(waiting, signal.SIGKILL)
        daemon.await_end(waiting)
        self.assertNotEqual(self.mark(), waiting)
        self.assertEqual(len(self.d.events("outcome")), 2)

    def test_a_reload_sends_the_spare_worker_home(self):
        """What was forked with the old configuration never runs an action of the new one."""
        self.mark()
        waiting = self.spare()
        self.d.configure('[actions.mark]\ncommand = ["/bin/echo", "new"]')
        self.d.reload()
        daemon.await_end(waiting)
        self.assertEqual(self.assertCode(self.d.ask("mark"), "ok")["output"], "new\n")

    def test_the_spare_worker_goes_home(self):
        """Ten seconds after the last action a daemon is as it was before the first."""
        self.mark()
        daemon.await_end(self.spare())
        self.d.ask("status")
        self.assertIsNone(daemon.spare_of(self.d.pid))

    def test_the_spare_worker_holds_nothing_but_its_ends(self):
        """No connection, no log, no channel: nowhere as input and output, its report, and where its orders come from."""
        self.mark()
        folder = f"/proc/{self.spare()}/fd"
        links = {int(fd): os.readlink(os.path.join(folder, fd)).partition(":")[0] for fd in os.listdir(folder)}
        self.assertEqual(links, {0: "/dev/null", 1: "/dev/null", 2: "/dev/null", 3: "pipe", 4: "socket"})

    def test_a_worker_whose_intent_cannot_be_recorded_is_called_off(self):
        """It had its orders, and nothing ran; it is gone when the refusal is there."""
        self.mark()
        waiting = self.spare()
        os.unlink(self.d.log_path)
        self.d.log_was_harmed = True
        self.refused_without_running()
        self.assertFalse(daemon.is_alive(waiting))
        self.recovers()

    def test_a_worker_without_descriptors_uses_none_of_the_executors(self):
        """With as few descriptors as there are: the action runs or fails, and the daemon answers as before."""
        self.d.ask("status")
        opened = [int(fd) for fd in os.listdir(f"/proc/{self.d.pid}/fd")]
        soft, hard = resource.prlimit(self.d.pid, resource.RLIMIT_NOFILE)
        gate = self.d.gate_pid()
        with self.d.connect() as connection:
            for limit in range(max(opened) + 2, max(opened) + 16):
                resource.prlimit(self.d.pid, resource.RLIMIT_NOFILE, (limit, hard))
                answer = connection.ask(self.d.request("mark"))
                self.assertIn(answer["code"], ("ok", "action_failed", "audit_unavailable"), answer)
                self.d.ask("status")
                resource.prlimit(self.d.pid, resource.RLIMIT_NOFILE, (soft, hard))
                self.d.reload()  # the next worker is forked anew
        self.assertEqual(self.d.gate_pid(), gate)

    def test_a_killed_executor_leaves_no_spare_worker(self):
        """It ends with the executor's end of its orders."""
        self.mark()
        waiting = self.spare()
        os.kill(self.d.pid, signal.SIGKILL)
        daemon.await_end(waiting)
        self.d.kill9()
        self.d.start()


if __name__ == "__main__":
    daemon.main()
