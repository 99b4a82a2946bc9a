"""What an action does to its target, to its own daemon, and what it says about it afterwards."""

import ctypes
import os
import re
import signal
import subprocess

import attack
import daemon
import load

CLONE3 = 435
CLONE_ARGS = 11  # words of struct clone_args (clone(2))


def start_time(pid):
    with open(f"/proc/{pid}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[19])


def spawn_as(pid, *command):
    """A process with exactly this number (clone3(2), set_tid). Needs root."""
    wanted = ctypes.c_int(pid)
    arguments = (ctypes.c_uint64 * CLONE_ARGS)()
    arguments[4] = signal.SIGCHLD
    arguments[8], arguments[9] = ctypes.addressof(wanted), 1
    libc = ctypes.CDLL(None, use_errno=True)
    made = libc.syscall(CLONE3, ctypes.byref(arguments), ctypes.sizeof(arguments))
    if made == 0:
        try:
            os.execv(command[0], command)
        finally:
            os._exit(127)
    if made < 0:
        raise OSError(ctypes.get_errno(), f"clone3 with the number {pid}")
    return made


class Target(attack.Attack):
    def victim(self, *command):
        made = subprocess.Popen(command or ["/bin/sleep", "1000"], stdout=subprocess.PIPE)
        self.addCleanup(made.communicate)
        self.addCleanup(made.kill)
        return made

    @daemon.needs_root
    def test_A29_a_process_that_has_the_number_of_another_by_now_is_spared(self):
        """A number that another process has by now: the start time given along with it spares that one."""
        d = self.start("[actions.kill_process]")
        meant = self.victim()
        pid, since = meant.pid, start_time(meant.pid)
        self.assertCode(d.ask("kill_process", {"pid": pid, "start_time": since}, mode="plan"), "ok")
        meant.kill()
        meant.wait()
        while start_time(self.victim().pid) == since:  # in clock ticks, of which two processes may share one
            pass
        try:
            self.assertEqual(spawn_as(pid, "/bin/sleep", "1000"), pid)
        except OSError as error:
            self.skipTest(str(error))
        self.addCleanup(os.waitpid, pid, 0)
        self.addCleanup(os.kill, pid, signal.SIGKILL)
        meant_before = {"pid": pid, "start_time": since, "signal": "KILL"}
        answer = self.assertCode(d.ask("kill_process", meant_before), "action_failed")
        self.assertIn("not the one that was meant", answer["error"])
        self.assertTrue(daemon.is_alive(pid))
        self.assertCode(d.ask("kill_process", {"pid": pid, "start_time": start_time(pid), "signal": "KILL"}), "ok")

    def test_A29_between_check_and_signal_the_process_is_held_not_its_number(self):
        """The action itself: what takes the number between its check and its signal is spared (tests/unit/actions)."""
        self.run_unit_tests("actions", "A29: *", 2)

    def run_unit_tests(self, name, cases, least):
        """Those test cases of a unit test program, of which there must be so many."""
        program = os.path.join(daemon.BUILD, "tests", "unit-" + name)
        done = subprocess.run([program, "--test-case=" + cases], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        found = re.search(r"test cases: +(\d+) \| +(\d+) passed", done.stdout)
        self.assertIsNotNone(found, done.stdout)
        self.assertGreaterEqual(int(found[2]), least, done.stdout)

    def test_A31_an_action_that_kills_its_own_daemon_is_recorded_and_never_run_again(self):
        """Killed by its own action: the next daemon records that, says so when asked, and runs nothing."""
        d = self.make()
        script = self.script(d, "suicide", f"""#!/bin/sh
echo ran >>{d.work}/ran
kill -KILL $PPID
read x <{d.work}/never
""")
        os.mkfifo(os.path.join(d.work, "never"))
        d.configure(f'[actions.suicide]\ncommand = ["/bin/sh", "{script}"]\nconfine = false').start()
        request = d.request("suicide")
        with d.connect() as connection:
            connection.send(request.frame)
            self.assertEqual(connection.rest(), b"")
        self.assertEqual(d.wait(), -signal.SIGKILL)
        d.start()
        self.assertEqual([r["request_id"] for r in d.events("interrupted")], [request.id])
        self.assertCode(d.repeat(request), "interrupted")
        self.assertEqual(self.lines(d), ["ran"])

    def test_A31_an_action_that_stops_its_own_daemon_ends_well_before_it(self):
        """As when a switch restarts the daemon: TERM from its own action neither cuts that short nor waits for ever."""
        d = self.make()
        hold = self.hold(d)
        script = self.script(d, "restart", f"#!/bin/sh\nkill -TERM $PPID\ncat {hold.path}\necho done\n")
        d.configure(f'[actions.restart]\ncommand = ["/bin/sh", "{script}"]\nconfine = false').start()
        request = d.request("restart")
        with d.connect() as connection:
            connection.send(request.frame)
            d.await_notification("STOPPING=1")
            hold.await_start().release()
            self.assertEqual(self.assertCode(connection.response(request), "ok")["output"], "done\n")
        self.assertEqual(d.wait(), 0)
        self.assertEqual([r["event"] for r in d.records()], ["start", "decision", "outcome", "stop"])

    def test_A32_garbage_collection_keeps_what_a_rollback_needs(self):
        """The current, running, booted, newest and young are kept (tests/unit/actions); the lab has the rest."""
        self.run_unit_tests("actions", "A32: *", 2)

    def healctl(self, d, *words):
        done = subprocess.run([load.HEALCTL, "--socket", d.socket_path, "--caller", d.CALLER, "--key-file",
                               os.path.join(d.key_folder, d.CALLER), "run", *words], capture_output=True, check=False)
        return done.returncode

    def test_A40_success_is_what_verify_saw_and_exit_codes_tell(self):
        """What ends well and heals nothing is not_healed; only what verify saw is ok; healctl's status differs."""
        d = self.start("""
[actions.heal]
command = ["/bin/echo", "success: all is well"]
verify = ["/usr/bin/test", "-e", "@WORK@/well"]
[actions.fail]
command = ["/bin/sh", "-c", "echo success; exit 1", "x"]
undo = ["/bin/true"]
""")
        answer = self.assertCode(d.ask("heal"), "not_healed")
        self.assertEqual(answer["verdict"], "unchanged")
        self.assertEqual([(r["success"], r["code"]) for r in d.events("outcome")], [(False, "not_healed")])
        self.assertEqual(self.healctl(d, "heal"), 6)
        answer = self.assertCode(d.ask("fail"), "action_failed")
        self.assertIs(answer["result"]["undone"], True)  # an undo that ends well makes no success of it
        self.assertEqual(self.healctl(d, "fail"), 5)
        with open(os.path.join(d.work, "well"), "w", encoding="ascii"):
            pass
        self.assertEqual(self.assertCode(d.ask("heal"), "ok")["verdict"], "healed")
        self.assertEqual(self.healctl(d, "heal"), 0)

    def test_A40_a_process_that_lives_on_was_not_killed(self):
        """kill_process of what ignores TERM is not_healed, and HUP that ends what should live on is worse."""
        d = self.start('[actions.kill_process]\ntimeout = "5s"')
        deaf = self.victim("/bin/sh", "-c", "trap '' TERM; echo deaf; exec sleep 1000")
        deaf.stdout.readline()
        answer = self.assertCode(d.ask("kill_process", {"pid": deaf.pid}), "not_healed")
        self.assertEqual(answer["verdict"], "unchanged")
        self.assertIsNone(deaf.poll())
        answer = self.assertCode(d.ask("kill_process", {"pid": self.victim().pid, "signal": "HUP"}), "not_healed")
        self.assertEqual(answer["verdict"], "worse")


if __name__ == "__main__":
    daemon.main()
