"""Where a key could be found by somebody else, and is not."""

import os
import resource
import subprocess
import sys
import unittest

import attack
import daemon

sys.path.append(os.path.join(attack.TESTS, "system"))
import memory_search  # noqa: E402

HOLD = '[actions.hold]\ncommand = ["/bin/cat", "@WORK@/hold"]\n[actions.kill_process]'
SECRET_MEMORY = {"lo", "dd", "wf"}  # locked, not dumped, wiped in a fork: proc(5), VmFlags


def may_dump_core():
    """In a new process."""
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))


class Secret(attack.Attack):
    def setUp(self):
        super().setUp()
        self.d = self.make(HOLD)
        self.key = self.d.keys[self.d.CALLER].encode()
        self.forms = dict(memory_search.forms(self.key))

    def run_hold(self):
        """With an action that runs until the test ends; the PIDs of all that belongs to the daemon."""
        hold, request = self.hold(self.d), self.d.request("hold")
        connection = self.d.connect()
        self.addCleanup(connection.close)
        connection.send(request.frame)
        hold.await_start()
        return [self.d.pid, *daemon.descendants_of(self.d.pid, with_helpers=True)]

    def assertNoKeyIn(self, content, where):
        for form, wanted in self.forms.items():
            self.assertNotIn(wanted, content, f"{form} in {where}")

    @daemon.needs_root
    def test_A39_no_key_in_log_journal_environment_or_command_line(self):
        """Neither what the daemon writes nor what /proc tells of its processes has the key, in whatever form."""
        self.d.start("--verbose")
        pids = self.run_hold()
        for answer in self.d.ask("status"), self.d.ask("hold", key="k" * 64), self.d.ask("nonsense"):
            self.assertNoKeyIn(answer.line, "an answer")
        for pid in pids:
            for name in "environ", "cmdline":
                with open(f"/proc/{pid}/{name}", "rb") as file:
                    self.assertNoKeyIn(file.read(), f"{name} of {pid}")
        for name in os.listdir(self.d.log_folder):
            with open(os.path.join(self.d.log_folder, name), "rb") as file:
                self.assertNoKeyIn(file.read(), name)
        self.assertNoKeyIn(self.d.journal().encode(), "the journal")

    @daemon.needs_root
    @unittest.skipIf(daemon.SANITIZED, "a sanitizer maps more memory than can be searched")
    def test_A39_no_key_in_the_memory_of_gate_keeper_or_worker(self):
        """The key lies in the executor alone, there only in memory that is locked, never dumped and wiped in a fork."""
        self.d.start()
        executor, *others = self.run_hold()
        self.assertGreaterEqual(len(others), 3)  # gate, keeper, command
        found = memory_search.found_in(executor, self.key)
        self.assertTrue(found, "the search does not find the key where it must be")
        for form, mappings in found.items():
            for flags in mappings:
                self.assertEqual(SECRET_MEMORY - set(flags), set(), f"{form} in ordinary memory")
        for pid in others:
            self.assertEqual(memory_search.found_in(pid, self.key), {}, f"in process {pid}")

    @daemon.needs_root
    @unittest.skipIf(daemon.SANITIZED, "a sanitizer maps more memory than can be searched")
    def test_A39_no_key_in_the_memory_of_a_built_in_worker(self):
        """A worker that is a fork of the executor, and never executed anything, has not inherited the key."""
        self.d.start()
        deaf = self.deaf()
        request = self.d.request("kill_process", {"pid": deaf.pid}, stream=True)
        with self.d.connect() as connection:
            connection.send(request.frame)
            while "waiting for" not in connection.answer(request)["text"]:
                pass
            (worker,) = set(daemon.descendants_of(self.d.pid)) - {self.d.gate_pid()}
            self.assertEqual(memory_search.found_in(worker, self.key), {})
            deaf.kill()
            self.assertCode(connection.response(request), "ok")

    def test_A39_an_executor_that_dies_leaves_no_core(self):
        """ABRT with every core dump allowed: the executor leaves none, where an ordinary process does."""
        self.d.process_options.update(preexec_fn=may_dump_core, cwd=self.d.work)
        ordinary = subprocess.Popen(["/bin/sleep", "1000"], preexec_fn=may_dump_core, cwd=self.d.work)
        ordinary.send_signal(6)
        self.dumps_core(ordinary.pid)  # for whoever reads this: what the machine does otherwise
        ordinary.wait()
        for name in os.listdir(self.d.work):
            os.unlink(os.path.join(self.d.work, name))
        self.d.start()
        self.assertCode(self.d.ask("status"), "ok")
        self.d.signal(6)
        self.assertIs(self.dumps_core(self.d.pid), False)
        self.d.kill9()
        self.assertEqual(os.listdir(self.d.work), [])

    def dumps_core(self, pid):
        """Waits for its end, and leaves it to be waited for."""
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT).si_code == os.CLD_DUMPED


if __name__ == "__main__":
    daemon.main()
