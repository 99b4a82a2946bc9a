"""What a command action holds, and what it can reach."""

import json
import os
import signal

import daemon
import probe
from probe import PROBE


class Confinement(probe.Probe):
    def test_the_environment_is_path_and_lang(self):
        """A01: a command's environment is exactly PATH and LANG, whatever the daemon's is."""
        names = [entry.split("=")[0] for entry in self.probe()["environ"].split("\0")[:-1]]
        self.assertEqual(sorted(names), ["LANG", "PATH"])

    def test_the_descriptors_are_0_1_and_2(self):
        """A30: a command holds descriptors 0, 1 and 2 and no other; standard input is /dev/null."""
        fds = self.probe()["fds"]
        self.assertEqual(sorted(fds), ["0", "1", "2"])
        self.assertEqual(fds["0"], "/dev/null")
        self.assertEqual(fds["1"], fds["2"])
        self.assertTrue(fds["1"].startswith("pipe:"))

    def test_a_script_holds_itself_and_no_more(self):
        """A #! script as command[0] holds descriptors 0, 1, 2 and the script itself, read-only, and no other."""
        script = self.script(self.d, "direct", f"#!{self.python()}\n" + PROBE)
        fds = self.probe(command=[script, self.d.work, self.d.folder])["fds"]
        more = {fd: path for fd, path in fds.items() if fd not in ("0", "1", "2")}
        self.assertEqual(set(more.values()) - {script}, set())
        self.assertLessEqual(len(more), 2)  # ours, and the interpreter's own

    def test_it_is_bare_of_privilege(self):
        """A30: no capability in any set, no_new_privs, seccomp on, / as folder, umask 077, a group of its own."""
        held = self.probe()
        self.assertEqual(set(held["caps"]), {"0" * 16})
        self.assertEqual((held["nnp"], held["cwd"], held["umask"]), ("1", "/", "0077"))
        self.assertEqual(held["seccomp"], "2")
        self.assertEqual(held["pgid"], held["pid"])
        self.assertEqual(set(held["uid"]), {os.geteuid()})
        self.assertEqual(int(held["blocked"], 16), 0)
        by_python = 1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1  # the probe's own
        self.assertEqual(int(held["ignored"], 16) & ~by_python, 0)

    def test_it_cannot_write_outside_its_writes(self):
        """Without writes a command writes nowhere but /dev/null; not the configuration, not the log."""
        held = self.probe()
        for name in "write_work", "write_outside", "append_config", "remove_config", "write_log":
            self.assertEqual(held[name], "Permission denied", name)
        self.assertEqual(held["write_null"], "ok")

    def test_it_can_write_where_it_may(self):
        """With writes a command writes there and nowhere else."""
        held = self.probe('writes = ["@WORK@"]')
        self.assertEqual(held["write_work"], "ok")
        for name in "write_outside", "append_config", "remove_config", "write_log":
            self.assertEqual(held[name], "Permission denied", name)

    def test_it_cannot_read_keys_or_the_log(self):
        """A command of the daemon's own user reads neither a key nor the log."""
        held = self.probe()
        self.assertEqual((held["read_key"], held["read_log"]), ("Permission denied", "Permission denied"))

    def test_it_cannot_open_an_ip_socket(self):
        """Without network=true there are no sockets but AF_UNIX; with it there are IP sockets."""
        held = self.probe()
        for name in "inet", "inet6", "udp", "netlink", "packet":
            self.assertEqual(held[name], "Operation not permitted", name)
        self.assertEqual(held["unix"], "ok")
        self.assertEqual(self.d.stop(), 0)
        held = self.probe("network = true")
        self.assertEqual((held["inet"], held["udp"]), ("ok", "ok"))

    def test_it_cannot_leave_its_group(self):
        """A33: setsid, setpgid and chroot are refused, so the group that is ended has it all."""
        held = self.probe()
        for name in "setsid", "setpgid", "chroot":
            self.assertEqual(held[name], "Operation not permitted", name)

    def test_it_cannot_signal_the_daemon(self):
        """A command of the daemon's own user cannot signal the daemon, where the kernel can tell (Landlock ABI 6)."""
        held = self.probe()
        if self.d.ask("status")["result"]["landlock_abi"] < 6:
            self.skipTest("this kernel's Landlock cannot tell")
        self.assertEqual(held["kill_daemon"], "Operation not permitted")

    def test_it_cannot_change_what_it_cannot_write(self):
        """A command changes no mode, owner or attribute, also of what its user owns: Landlock does not see those."""
        held = self.probe()
        for name in "chmod", "fchmod", "chmod_key", "chown", "setxattr":
            self.assertEqual(held[name], "Operation not permitted", name)

    def test_it_leaves_no_queue_behind(self):
        """No message queue, semaphore or shared memory of System V or POSIX, which would outlive its process group."""
        held = self.probe()
        for name in "msgget", "semget", "shmget", "mq_open":
            self.assertEqual(held[name], "Operation not permitted", name)

    def test_it_cannot_limit_the_daemon(self):
        """A command of the daemon's own user cannot set limits of the executor, which would end it."""
        self.assertEqual(self.probe()["limit_daemon"], "Operation not permitted")
        self.assertCode(self.d.ask("status"), "ok")

    def test_arguments_arrive_as_they_are(self):
        """A parameter fills exactly one argument: no shell, no splitting, no expansion."""
        nasty = "a b;$(id)`id`*|&<>'\"\\~#{x}"
        command = json.dumps([self.python(), "-I", self.path, self.d.work, self.d.folder, "{value}", "end"])
        self.d.configure(f"[actions.probe]\ncommand = {command}\n"
                         'parameters.value = { type = "string", pattern = ".+" }').start()
        answer = self.assertCode(self.d.ask("probe", {"value": nasty}), "ok")
        self.assertEqual(json.loads(answer["output"])["argv"], [self.d.work, self.d.folder, nasty, "end"])

    def test_verify_and_undo_are_confined_alike(self):
        """verify runs with the same confinement as the command."""
        self.d.configure('[actions.a]\ncommand = ["/bin/true"]\n'
                         'verify = ["/bin/sh", "-c", "echo x > @WORK@/v"]\nundo = ["/bin/sh", "-c", "echo x > @WORK@/u"]'
                         ).start()
        answer = self.assertCode(self.d.ask("a"), "not_healed")
        self.assertIs(answer["result"]["undone"], False)
        self.assertEqual(os.listdir(self.d.work), [])

    def test_a_timeout_kills_the_grandchildren(self):
        """A33: at the timeout a shell, its children and a child that tried setsid are all gone before the answer."""
        hold = self.hold(self.d)
        script = self.script(self.d, "family", f"""#!/bin/sh
trap '' TERM
setsid cat {hold.path} &
(cat {hold.path} & wait) &
cat {hold.path} &
sh -c "trap '' TERM; cat {hold.path}" &
wait; wait; wait; wait
sleep 1000
""")
        self.d.configure(f'[actions.family]\ncommand = ["/bin/sh", "{script}"]\ntimeout = "1s"').start()
        request = self.d.request("family")
        with self.d.connect() as connection:
            connection.send(request.frame)
            hold.await_start()
            family = daemon.descendants_of(self.d.pid)
            self.assertGreaterEqual(len(family), 4)
            self.assertCode(connection.response(request), "timeout")
            gate = self.d.gate_pid()
            for pid in family:
                if pid != gate:
                    self.assertDied(pid)
            self.assertEqual(list(daemon.descendants_of(self.d.pid)), [gate])

    def test_what_a_command_leaves_in_the_background_is_ended(self):
        """A command that ends well and leaves a child in the background leaves nothing; the answer comes after that."""
        hold = self.hold(self.d)
        script = self.script(self.d, "leave", f"#!/bin/sh\ncat {hold.path} &\necho $!\n")
        self.d.configure(f'[actions.leave]\ncommand = ["/bin/sh", "{script}"]').start()
        answer = self.assertCode(self.d.ask("leave"), "ok")
        self.assertDied(int(answer["output"]))

    def test_a_program_changed_after_start_is_not_run(self):
        """A program that others can write, or that is no regular file, is not executed; checked when it is run."""
        script = self.script(self.d, "mine", "#!/bin/sh\necho ran\n")
        self.d.configure(f'[actions.mine]\ncommand = ["{script}"]').start()
        self.assertEqual(self.assertCode(self.d.ask("mine"), "ok")["output"], "ran\n")
        os.chmod(script, 0o777)
        self.assertCode(self.d.ask("mine"), "action_failed")
        os.unlink(script)
        self.assertCode(self.d.ask("mine"), "action_failed")
        os.mkfifo(script, 0o755)
        self.assertCode(self.d.ask("mine"), "action_failed")

    @daemon.needs_root
    def test_a_program_of_another_owner_is_not_run(self):
        """A program that has come to belong to another user since the start is not executed."""
        script = self.script(self.d, "theirs", "#!/bin/sh\necho ran\n")
        self.d.configure(f'[actions.theirs]\ncommand = ["{script}"]').start()
        os.chown(script, daemon.NOBODY, daemon.NOBODY)
        self.assertCode(self.d.ask("theirs"), "action_failed")


if __name__ == "__main__":
    daemon.main()
