"""As root: stepping down, and what processes of other users hold and can do. All of it is skipped without root."""

import os
import pwd
import re
import resource
import signal
import subprocess

import daemon

USER = "nobody"


def proc(pid, name):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        return next(line.split(":", 1)[1].split() for line in file if line.startswith(name + ":"))


def capabilities(pid, name="CapPrm"):
    return int(proc(pid, name)[0], 16)


def few_processes():
    resource.setrlimit(resource.RLIMIT_NPROC, (12, 12))


CAP_KILL = 1 << 5
SHOW = '["/bin/sh", "-c", "id -u; id -g; grep -E \'^Cap|NoNewPrivs\' /proc/self/status"]'


@daemon.needs_root
class Privileges(daemon.Scenario):
    def start_as(self, text, daemon_settings="", user=USER, **options):
        """Steps down to `user`; the tests' caller stays root."""
        return self.start(text, daemon_settings, user=user, **options)

    def test_it_steps_down_to_its_user(self):
        """daemon.user: executor and gate run as that user, with no more capabilities than the actions need."""
        uid = pwd.getpwnam(USER).pw_uid
        d = self.start_as('[actions.a]\ncommand = ["/bin/true"]')
        for pid in d.pid, d.confined_gate():
            self.assertEqual(proc(pid, "Uid"), [str(uid)] * 4)
            for name in "CapPrm", "CapEff", "CapInh", "CapAmb":
                self.assertEqual(capabilities(pid, name), 0, name)
        self.assertEqual(proc(d.gate_pid(), "NoNewPrivs"), ["1"])
        self.assertEqual(proc(d.gate_pid(), "Seccomp"), ["2"])
        self.assertEqual(capabilities(d.gate_pid(), "CapBnd"), 0)
        status = d.ask("status")["result"]
        self.assertEqual((status["uid"], status["capabilities"]), (uid, []))
        self.assertCode(d.ask("a"), "ok")

    def test_nobody_s_process_holds_the_executor_up(self):
        """A35: who stops whatever runs as the user of a command cannot stop who ends that command for the executor."""
        other = pwd.getpwnam("uucp")

        def become_other():
            os.setgroups([])
            os.setresgid(other.pw_gid, other.pw_gid, other.pw_gid)
            os.setresuid(other.pw_uid, other.pw_uid, other.pw_uid)

        d = self.start_as(f'[actions.slow]\ncommand = ["/bin/sleep", "1000"]\nrun_as = "{other.pw_name}"\ntimeout = "1s"')
        stop_all = "import os, signal\nwhile True:\n try: os.kill(-1, signal.SIGSTOP)\n except OSError: pass\n"
        stopper = subprocess.Popen(["/usr/bin/python3", "-c", stop_all], preexec_fn=become_other)
        self.addCleanup(stopper.wait)
        self.addCleanup(stopper.kill)
        for _ in range(3):
            self.assertCode(d.ask("slow"), "timeout")
        self.assertCode(d.ask("status"), "ok")

    def test_what_it_lends_a_launcher_it_takes_back(self):
        """A30: after a command the executor has no inheritable or ambient capability, nor has what it starts next."""
        d = self.start_as(f'[actions.other]\ncommand = {SHOW}\nrun_as = "daemon"\n[actions.own]\ncommand = {SHOW}')
        self.assertNotEqual(capabilities(d.pid), 0)
        for action in "other", "own":
            output = self.assertCode(d.ask(action), "ok")["output"]
            self.assertEqual(set(re.findall(r"Cap(?:Inh|Prm|Eff|Amb):\s*(\w+)", output)), {"0" * 16})
            self.assertEqual([capabilities(d.pid, name) for name in ("CapInh", "CapAmb")], [0, 0])
        os.kill(d.gate_pid(), signal.SIGKILL)
        d.await_journal("the gate was lost")
        self.assertCode(d.ask("own"), "ok")
        self.assertEqual([capabilities(d.confined_gate(), name) for name in ("CapInh", "CapPrm", "CapAmb")], [0, 0, 0])

    def test_without_a_user_it_says_so(self):
        """Started as root without daemon.user it stays uid 0, its capabilities cut, and says so; the gate's uid is no account's."""
        d = self.start('[actions.a]\ncommand = ["/bin/true"]')
        d.await_journal("running as uid 0 with its capabilities cut")
        self.assertEqual(proc(d.pid, "Uid")[0], "0")
        self.assertNotEqual(proc(d.confined_gate(), "Uid")[0], "0")
        self.assertEqual(capabilities(d.gate_pid()), 0)
        users = {str(user.pw_uid) for user in pwd.getpwall()}  # nobody's processes could stop a gate of nobody
        self.assertNotIn(proc(d.gate_pid(), "Uid")[0], users)
        dangerous = 1 << 21 | 1 << 16 | 1 << 19 | 1 << 1 | 1 << 2  # sys_admin sys_module sys_ptrace dac_override/search
        self.assertEqual(capabilities(d.pid) & dangerous, 0)

    def test_the_gate_s_group_is_its_user_s(self):
        """The gate has its user's group and no other."""
        user = next(u for u in pwd.getpwall() if u.pw_uid not in (0, u.pw_gid) and u.pw_uid < 60000)
        d = self.start_as('[actions.a]\ncommand = ["/bin/true"]', user=user.pw_name)
        gate = d.confined_gate()
        self.assertEqual(proc(gate, "Gid"), [str(user.pw_gid)] * 4)
        self.assertIn(proc(gate, "Groups"), ([], [str(user.pw_gid)]))

    def test_a_lost_gate_comes_back_after_stepping_down(self):
        """After stepping down a killed gate is replaced by one of the same user."""
        d = self.start_as('[actions.a]\ncommand = ["/bin/true"]')
        gate = d.gate_pid()
        os.kill(gate, signal.SIGKILL)
        d.await_journal("the gate was lost")
        self.assertCode(d.ask("a"), "ok")
        self.assertEqual(proc(d.gate_pid(), "Uid")[0], str(pwd.getpwnam(USER).pw_uid))

    def test_commands_run_as_the_daemon_s_user(self):
        """A command without run_as runs as the daemon's user with no capability."""
        d = self.start_as(f"[actions.show]\ncommand = {SHOW}\n[actions.kill_process]")
        lines = self.assertCode(d.ask("show"), "ok")["output"].split("\n")
        entry = pwd.getpwnam(USER)
        self.assertEqual(lines[:2], [str(entry.pw_uid), str(entry.pw_gid)])
        held = {line.split()[0]: line.split()[1] for line in lines[2:] if line}
        # Without CAP_SETPCAP the bounding set stays as it is; no_new_privs makes it harmless.
        self.assertEqual({held[n] for n in ("CapInh:", "CapPrm:", "CapEff:", "CapAmb:")}, {"0" * 16})
        self.assertEqual(held["NoNewPrivs:"], "1")

    def test_run_as_root_holds_nothing_but_the_uid(self):
        """run_as root: uid 0 with every capability set empty, also when the daemon is an ordinary user."""
        for user in USER, None:
            d = self.start(f'[actions.show]\ncommand = {SHOW}\nrun_as = "root"', user=user)
            lines = self.assertCode(d.ask("show"), "ok")["output"].split("\n")
            self.assertEqual(lines[:2], ["0", "0"])
            held = {line.split()[0]: line.split()[1] for line in lines[2:] if line}
            self.assertEqual({held[n] for n in ("CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:")}, {"0" * 16})
            self.assertEqual(held["NoNewPrivs:"], "1")

    def test_run_as_another_user(self):
        """run_as another user: that user's uid, gid and groups, no capability."""
        other = next(u for u in pwd.getpwall() if u.pw_uid not in (0, 65534) and u.pw_uid < 60000)
        d = self.start_as(f'[actions.show]\ncommand = {SHOW}\nrun_as = "{other.pw_name}"')
        lines = self.assertCode(d.ask("show"), "ok")["output"].split("\n")
        self.assertEqual(lines[:2], [str(other.pw_uid), str(other.pw_gid)])
        self.assertEqual({line.split()[1] for line in lines[2:7]}, {"0" * 16})

    def test_a_command_gets_the_capabilities_it_lists(self):
        """capabilities: exactly those, effective after exec."""
        d = self.start_as(f'[actions.show]\ncommand = {SHOW}\ncapabilities = ["cap_kill"]')
        lines = self.assertCode(d.ask("show"), "ok")["output"].split("\n")
        held = {line.split()[0]: int(line.split()[1], 16) for line in lines[2:] if line}
        for name in "CapPrm:", "CapEff:", "CapBnd:":
            self.assertEqual(held[name], CAP_KILL, name)

    def test_a_worker_that_nobody_can_kill_is_called_off(self):
        """Of another user, without CAP_KILL, at the process limit: it ends, and the daemon waits for none."""
        d = self.make(user="daemon", preexec_fn=few_processes)
        d.log_was_harmed = True
        d.configure('[actions.quick]\ncommand = ["/bin/true"]\nrun_as = "nobody"').start()
        self.assertCode(d.ask("quick"), "ok")
        while (spare := daemon.spare_of(d.pid)) is None:
            pass  # the alarm of every scenario bounds this
        fill = [subprocess.Popen(["/bin/sleep", "1000"], user="daemon") for _ in range(14)]
        for process in fill:
            self.addCleanup(process.wait)
            self.addCleanup(process.kill)
        os.unlink(d.log_path)
        self.assertCode(d.ask("quick"), "audit_unavailable")
        self.assertDied(spare)
        self.assertCode(d.ask("status"), "ok")

    def test_another_user_s_command_can_be_ended(self):
        """A33: at its timeout a command of another user is ended with its children, though the daemon has no CAP_KILL."""
        for user in USER, None:
            d = self.make(user=user)
            hold = self.hold(d)
            other = next(u for u in pwd.getpwall() if u.pw_uid not in (0, 65534) and u.pw_uid < 60000)
            script = self.script(d, "deaf", f"#!/bin/sh\ntrap '' TERM\ncat {hold.path} &\nwait\nsleep 1000\n")
            d.configure(f'[actions.deaf]\ncommand = ["/bin/sh", "{script}"]\nrun_as = "{other.pw_name}"\n'
                        'timeout = "1s"').start()
            request = d.request("deaf")
            with d.connect() as connection:
                connection.send(request.frame)
                hold.await_start()
                family = [pid for pid in daemon.descendants_of(d.pid) if pid != d.gate_pid()]
                self.assertEqual({proc(pid, "Uid")[0] for pid in family}, {str(other.pw_uid)})
                self.assertCode(connection.response(request), "timeout")
                for pid in family:
                    self.assertDied(pid)
            hold.release()

    def test_kill_process_reaches_other_users_processes(self):
        """kill_process has CAP_KILL, and only its worker uses it."""
        d = self.start_as("[actions.kill_process]")
        victim = subprocess.Popen(["/bin/sleep", "1000"], user=1, group=1, extra_groups=[])
        self.addCleanup(victim.wait)
        self.addCleanup(victim.kill)
        self.assertEqual(capabilities(d.pid), CAP_KILL)
        self.assertCode(d.ask("kill_process", {"pid": victim.pid}), "ok")
        self.assertEqual(victim.wait(), -signal.SIGTERM)

    def test_process_users_bind_kill_process(self):
        """process_users: a process of a user who is not listed is left alone."""
        d = self.start_as(f'[actions.kill_process]\nprocess_users = ["{USER}"]')
        victim = subprocess.Popen(["/bin/sleep", "1000"], user=1, group=1, extra_groups=[])
        self.addCleanup(victim.wait)
        self.addCleanup(victim.kill)
        self.assertCode(d.ask("kill_process", {"pid": victim.pid}), "parameters_not_allowed")
        self.assertIsNone(victim.poll())

    def test_it_reloads_and_stops_after_stepping_down(self):
        """Stepped down it still reloads configuration and keys, and ends in order."""
        d = self.start_as('[actions.a]\ncommand = ["/bin/true"]')
        new = d.add_key("tester")
        d.reload()
        self.assertIs(d.events("reload")[-1]["success"], True)
        self.assertCode(d.ask("a", key=new), "ok")
        self.assertEqual(d.stop(), 0)
        self.assertEqual(d.records()[-1]["event"], "stop")

    def test_keys_are_not_in_memory_that_others_can_read(self):
        """A39: nobody but root can look into the daemon or the gate; no worker and no environment holds a key."""
        d = self.start_as('[actions.a]\ncommand = ["/bin/true"]')
        for pid in d.pid, d.confined_gate():
            self.assertEqual(os.stat(f"/proc/{pid}/environ").st_uid, 0)  # not dumpable: proc(5)
        with open(f"/proc/{d.pid}/environ", "rb") as file:
            self.assertNotIn(d.keys["tester"].encode(), file.read())


if __name__ == "__main__":
    daemon.main()
