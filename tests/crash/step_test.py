"""kill -9 at every system call boundary of one full request: of the executor, of its worker, of the gate."""

import contextlib
import itertools
import os
import subprocess
import unittest

import load
import daemon

STEPPER = os.path.join(daemon.BUILD, "tests", "support", "step_and_kill")


class Stepper:
    """step_and_kill, attached."""

    def __init__(self, pid, count):
        self.process = subprocess.Popen([STEPPER, str(pid), str(count)], bufsize=0,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        said = self.process.stdout.readline()
        self.attached = said == b"attached\n"

    def finish(self):
        """(killed, boundaries, calls): ends it. Each call is (name, first argument, result)."""
        out, err = self.process.communicate()
        assert self.process.returncode == 0, err.decode()
        *calls, last = out.decode().splitlines()
        how, boundaries = last.split()
        return how == "killed", int(boundaries), [tuple(line.split()) for line in calls]


class Step(daemon.Scenario):
    def setUp(self):
        super().setUp()
        self.strays_expected = True
        self.d = load.configured(self).start()
        self.d.log_was_harmed = True  # rotated, that is
        self.numbers = itertools.count(1)
        self.answers = {}
        probe = Stepper(self.d.pid, 0)
        if not probe.attached:
            self.skipTest("ptrace is not allowed here: " + probe.process.communicate()[1].decode())
        probe.finish()

    def ask_until_answered(self, request):
        """As a client does that loses its connection: the same bytes again."""
        while True:
            with contextlib.suppress(OSError), contextlib.closing(self.d.connect()) as connection:
                connection.send(request.frame)
                line = connection.line()
                if line.endswith(b"\n"):
                    return daemon.wire.Answer(line, request)
            if self.d.process is not None and not daemon.is_alive(self.d.pid):
                self.revive()

    def revive(self):
        self.d.process.wait()
        self.d.wait()
        self.d.start()

    def warm_up(self):
        """A request before, so that the rules for its worker's files are ready."""
        n = next(self.numbers)
        self.answers[n] = self.d.ask("mark", {"n": n})["code"]

    def cool_down(self):
        """A folder beside what is hidden from workers changes, so that the rules for their files must be made anew. A
        new daemon for each: the one before may have answered what its predecessor died of."""
        self.d.kill9()
        self.d.start()
        self.warm_up()
        os.mkdir(os.path.join(self.d.folder, f"new-{next(self.numbers)}"))

    def victim(self, name):
        """The worker is the spare one, which the request will get: from before its orders to its end."""
        if name == "gate":
            return self.d.gate_pid()
        while name == "worker":  # it is forked when the executor has nothing else to do; setitimer bounds this
            if (spare := daemon.spare_of(self.d.pid)) is not None:
                return spare
        return self.d.pid

    def killed_at(self, count, victim, cold=False):
        """One request under the stepper; its calls and whether the victim was killed at that boundary."""
        daemon.signal.setitimer(daemon.signal.ITIMER_REAL, daemon.PATIENCE)
        if cold:
            self.cool_down()
        else:
            self.warm_up()
        n = next(self.numbers)
        request = self.d.request("mark", {"n": n})
        stepper = Stepper(self.victim(victim), count)
        if not stepper.attached:
            self.fail(stepper.process.communicate()[1].decode())
        self.answers[n] = self.ask_until_answered(request)["code"]
        if count == 0:
            self.d.ask("status")  # what let the first answer leave has been seen to end by then
        killed, boundaries, calls = stepper.finish()
        if killed and victim == "executor" and not daemon.is_alive(self.d.pid):
            self.revive()  # killed after its answer had left
        if killed and victim == "gate":  # one lost again and again is replaced later and later
            self.d.kill9()
            self.d.start()
        self.assertLessEqual(load.ran(self.d).count(n), 1)
        return killed, boundaries, calls

    def every_boundary(self, victim, allowed, cold=False, step=1):
        """Kills at the first boundary, the second, … until a request passes unharmed."""
        killed, count, rounds = True, 1 - step, -1
        while killed:
            count += step
            rounds += 1
            killed, _, calls = self.killed_at(count, victim, cold)
            while victim == "worker" and not killed and "execveat" not in (name for name, _, _ in calls):
                # A test beside this one changed /tmp, so that the spare worker's rules were made anew: it was ended.
                killed, _, calls = self.killed_at(count, victim, cold)
        self.d.kill9()
        self.d.start()
        records = load.check_evidence(self, self.d, [self])
        self.assertLessEqual(set(self.answers.values()), allowed, self.answers)
        print(f"\n{victim}{', rules made anew' if cold else ''}: killed at {rounds} of {count - 1} boundaries; {len(load.ran(self.d))} of {len(self.answers)} ran, "
              f"{sum(r['event'] == 'interrupted' for r in records)} interrupted", flush=True)
        return rounds

    def test_the_executor_killed_at_every_system_call(self):
        """Whatever system call the executor is killed at, the request ran at most once and is accounted for."""
        self.assertGreater(self.every_boundary("executor", {"ok", "interrupted"}), 50)

    def test_the_executor_killed_while_it_makes_the_rules_for_files(self):
        """The same in a request before which a folder has changed, so that the rules for its worker's files are made
        anew. There are some thousand boundaries: all of them with LUMINOUS_ROUNDS of 1000 or more, else about that
        many."""
        _, boundaries, _ = self.killed_at(0, "executor", cold=True)
        step = 1 if load.ROUNDS >= 1000 else max(1, boundaries // load.ROUNDS)
        self.assertGreater(self.every_boundary("executor", {"ok", "interrupted"}, cold=True, step=step),
                           min(50, load.ROUNDS // 2))

    def test_the_worker_killed_at_every_system_call(self):
        """Whatever system call the worker is killed at, its request has one outcome and ran at most once."""
        self.assertGreater(self.every_boundary("worker", {"ok", "action_failed"}), 50)

    def test_the_gate_killed_at_every_system_call(self):
        """Whatever system call the gate is killed at, the request that is sent again runs once and ends well."""
        self.assertGreater(self.every_boundary("gate", {"ok"}), 5)

    def test_the_intent_is_durable_before_the_worker_begins(self):
        """The executor's own calls, in their order: write and fdatasync of the log, between them the worker's orders,
        only then the word to go; write and fdatasync again, only then the answer."""
        log = str(self.log_descriptor())
        killed, _, calls = self.killed_at(0, "executor")
        self.assertFalse(killed)
        order = [(name, fd) for name, fd, result in calls
                 if (name in ("write", "fdatasync") and fd == log) or name in ("sendmsg", "sendto", "sendmmsg")]
        worker = next(fd for name, fd in order if name == "sendmsg")  # other ones are told by it too: the next spare
        names = [name for name, fd in order if name != "sendmsg" or fd == worker]
        begin = names.index("write")  # what came before passed the connection on
        names = names[begin:begin + 8]  # and what comes after is the next request's
        orders = ["sendmsg", "sendmsg"]  # its fence, which the spare one after a first command does not have, and its orders
        self.assertEqual(names, ["write", *orders, "fdatasync", "sendto", "write", "fdatasync", "sendmmsg"], order)
        self.assertTrue(all(int(result) == 0 for name, fd, result in calls if name == "fdatasync"))

    def log_descriptor(self):
        folder = f"/proc/{self.d.pid}/fd"
        return next(int(fd) for fd in os.listdir(folder) if os.readlink(os.path.join(folder, fd)) == self.d.log_path)


if __name__ == "__main__":
    unittest.main(verbosity=1)
