"""A new configuration, good or bad, and new keys."""

import os
import shutil
import signal

import daemon

CONFIG = """
[actions.one]
command = ["/bin/echo", "one"]
"""


class Reload(daemon.Scenario):
    def test_a_good_configuration_takes_over(self):
        """HUP: a good configuration is in force at once, and the reload is audited with its digest."""
        d = self.start(CONFIG)
        self.assertCode(d.ask("two"), "action_unknown")
        before = d.events("start")[0]["config"]
        d.configure('[actions.two]\ncommand = ["/bin/echo", "two"]')
        d.reload()
        self.assertEqual(self.assertCode(d.ask("two"), "ok")["output"], "two\n")
        self.assertCode(d.ask("one"), "action_unknown")
        (record,) = d.events("reload")
        self.assertIs(record["success"], True)
        self.assertNotEqual(d.events("outcome")[-1]["config"], before)

    def test_a_bad_configuration_changes_nothing(self):
        """A19: a bad configuration is refused whole; the old one stays in force, and the mistake is audited by line."""
        d = self.start(CONFIG)
        good = d.read_config()
        digest = d.events("start")[0]["config"]
        mistakes = ["this is no TOML [", good + '\n[actions.two]\ncommand = ["relative"]\n', good + "\n[unknown]\nx = 1\n",
                    good.replace('actions = ["one"]', "actions = []"), "", good.replace('"tester"', '"nokey"')]
        for number, text in enumerate(mistakes, 1):
            with self.subTest(text=text[-60:]):
                d.write_config(text)
                d.reload()
                record = d.events("reload")[-1]
                self.assertEqual(len(d.events("reload")), number)
                self.assertIs(record["success"], False)
                self.assertRegex(record["error"], rf"^{d.config_path}:\d+: .{{10}}")
                self.assertEqual(record["config"], digest)
                self.assertEqual(self.assertCode(d.ask("one"), "ok")["output"], "one\n")
        self.assertEqual(d.stop(), 0)
        self.assertEqual(d.journal().count("the old one stays in force"), len(mistakes))

    def test_a_missing_or_open_configuration_changes_nothing(self):
        """A configuration that is gone, or that others can write, is refused like a bad one."""
        d = self.start(CONFIG)
        good = d.read_config()
        os.chmod(d.config_path, 0o666)
        d.reload()
        os.unlink(d.config_path)
        d.reload()
        self.assertEqual([r["success"] for r in d.events("reload")], [False, False])
        self.assertCode(d.ask("one"), "ok")
        d.write_config(good)
        d.reload()
        self.assertIs(d.events("reload")[-1]["success"], True)

    def test_keys_rotate_without_a_gap(self):
        """With two keys listed both are good; when the old one is taken out it is bad, and the new one stays good."""
        d = self.start(CONFIG)
        old = d.keys["tester"]
        new = d.add_key("tester-new")
        self.assertCode(d.ask("one", key=new), "bad_signature")
        single = d.read_config()
        d.write_config(single.replace('key = "tester"', 'key = ["tester-new", "tester"]'))
        d.reload()
        self.assertCode(d.ask("one", key=old), "ok")
        self.assertCode(d.ask("one", key=new), "ok")
        d.write_config(single.replace('key = "tester"', 'key = "tester-new"'))
        d.reload()
        self.assertCode(d.ask("one", key=old), "bad_signature")
        self.assertCode(d.ask("one", key=new), "ok")

    def test_a_key_file_is_read_again(self):
        """A reload reads the key files again, also when the configuration is the same."""
        d = self.start(CONFIG)
        old = d.keys["tester"]
        new = d.add_key("tester")
        self.assertCode(d.ask("one", key=old), "ok")
        d.reload()
        self.assertCode(d.ask("one", key=old), "bad_signature")
        self.assertCode(d.ask("one", key=new), "ok")

    def test_a_missing_key_file_changes_nothing(self):
        """A reload without its key file is refused, and the key in memory stays good."""
        d = self.start(CONFIG)
        os.unlink(os.path.join(d.key_folder, "tester"))
        d.reload()
        self.assertIs(d.events("reload")[-1]["success"], False)
        self.assertCode(d.ask("one"), "ok")

    @daemon.needs_root
    def test_keys_that_only_root_can_read_are_told_at_the_start(self):
        """After stepping down root's key files can no longer be read: a reload fails, changes nothing and says why."""
        d = self.start(CONFIG, user="daemon")
        shutil.chown(os.path.join(d.key_folder, "tester"), "root")
        d.reload()
        record = d.events("reload")[-1]
        self.assertIs(record["success"], False)
        self.assertIn("tester", record["error"])
        self.assertCode(d.ask("one"), "ok")

    def test_a_running_action_is_not_disturbed(self):
        """A reload that takes an action out leaves its running one alone; its answer is signed with the key it came with."""
        d = self.make()
        hold = self.hold(d)
        d.configure(f'[actions.hold]\ncommand = ["/bin/cat", "{hold.path}"]').start()
        request = d.request("hold")
        with d.connect() as connection:
            connection.send(request.frame)
            hold.await_start()
            d.configure(CONFIG)
            d.add_key("tester")
            d.reload()
            self.assertCode(connection.ask(d.request("hold")), "action_unknown")
            hold.release()
            self.assertCode(connection.response(request), "ok")
        self.assertEqual([r["code"] for r in d.events("outcome")], ["ok"])

    def test_many_hups_are_all_dealt_with(self):
        """HUPs in a row leave the daemon in order."""
        d = self.start(CONFIG)
        for _ in range(20):
            d.signal(signal.SIGHUP)
        d.await_notification("RELOADING=1")
        self.assertCode(d.ask("one"), "ok")

    def test_usr1_opens_the_log_again(self):
        """USR1 after logrotate's rename: a new file begins, seq goes on, nothing is lost."""
        d = self.start(CONFIG)
        self.assertCode(d.ask("one"), "ok")
        rotated = d.log_path + ".1"
        os.rename(d.log_path, rotated)
        seen = len(d.stderr)
        d.signal(signal.SIGUSR1)
        d.await_journal("reopened", after=seen)
        self.assertCode(d.ask("one"), "ok")
        d.log_was_harmed = True  # it begins anew
        old, new = d.records(rotated), d.records()
        self.assertEqual([r["seq"] for r in old + new], list(range(1, len(old + new) + 1)))
        self.assertIn("reopen", [r["event"] for r in new])
        self.assertEqual(len([r for r in new if r["event"] == "outcome"]), 1)


if __name__ == "__main__":
    daemon.main()
