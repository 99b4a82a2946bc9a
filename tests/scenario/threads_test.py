"""The daemon has one thread in each of its processes: what a thread sanitizer looks for cannot be there."""

import os
import signal
import subprocess

import daemon

ROUNDS = 50


def threads_of(pid):
    """How many threads a process has; nothing when it has ended."""
    try:
        return len(os.listdir(f"/proc/{pid}/task"))
    except FileNotFoundError:
        return None


def is_ours(pid):
    """Does it run the daemon's program, so that it is no command?"""
    try:
        return os.path.basename(os.readlink(f"/proc/{pid}/exe")) == "luminous-healingd"
    except OSError:  # it has ended, or may not be looked at, which no command of ours hides
        return daemon.is_alive(pid)


class Threads(daemon.Scenario):
    def victim(self):
        """A process that ends on KILL only, so that a worker waits for it."""
        process = subprocess.Popen(["/bin/sleep", "1000"],
                                   preexec_fn=lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN))
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def count(self, d, seen):
        for pid in [d.pid, *daemon.descendants_of(d.pid, with_helpers=True)]:
            if is_ours(pid):
                threads = threads_of(pid)
                self.assertIn(threads, (1, None), f"threads of process {pid}")
                seen.add(pid)

    def test_every_process_has_one_thread(self):
        """Executor, keeper, gate and workers have one thread each, at rest and under load."""
        limit = 'rate_limit = { limit = 10000, window = "1h" }'
        d = self.start(f'[actions.kill_process]\n[actions.quick]\ncommand = ["/bin/true"]\n{limit}')
        victim = self.victim()
        seen = set()
        gate = d.confined_gate()
        self.count(d, seen)
        with d.connect() as waiting, d.connect() as loading, d.connect() as refused:
            kill = d.request("kill_process", {"pid": victim.pid}, stream=True)
            waiting.send(kill.frame)
            while "waiting for" not in waiting.answer(kill)["text"]:
                pass
            before = set(daemon.descendants_of(d.pid))
            self.assertEqual(len(before - {gate}), 1, "one worker waits")
            for _ in range(ROUNDS):
                quick, wrong = d.request("quick"), d.request("quick", key="0" * 64)
                loading.send(quick.frame)
                refused.send(wrong.frame)
                self.count(d, seen)
                self.assertCode(loading.response(quick), "ok")
                self.assertCode(refused.response(wrong), "bad_signature")
                self.count(d, seen)
            self.assertLessEqual(before | {d.pid, gate}, seen)
            victim.kill()
            self.assertCode(waiting.stream(kill)[1], "ok")


if __name__ == "__main__":
    daemon.main()
