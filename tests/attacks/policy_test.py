"""A policy that is empty, mistaken or gone is no policy, and never a wider one."""

import os

import attack
import daemon
import starting
import wire
from starting import BAD_CONFIG

CALLER = '[callers.c]\nkey = "c"\nusers = [@UID@]\nactions = ["mark"]\n'
LISTED = CALLER + attack.MARK
# What is written, and what could be taken for "all" or for "no restriction" instead.
EMPTY = {
    "users = [@UID@]": ("users = []", "", 'users = [""]', 'users = ["*"]', 'users = ["ALL"]', "users = [[]]",
                        "users = 0",
                        'users = "*"', "users = true"),
    'actions = ["mark"]': ("actions = []", "", 'actions = [""]', 'actions = ["*"]', 'actions = ["all"]',
                           'actions = "mark"',
                           "actions = [[]]", 'actions = ["mark", "mark"]', 'actions = ["mark "]', 'actions = ["Mark"]'),
    'key = "c"': ("key = []", "", 'key = ""', 'key = [""]', 'key = "../keys/c"', 'key = "/dev/null"'),
    'command = ["/bin/sh", "-c", "echo ran >> @WORK@/ran"]': ("command = []", "", 'command = [""]', "command = [[]]"),
    'rate_limit = { limit = 100000, window = "1h" }': ("rate_limit = {}", "rate_limit = { limit = 0 }",
                                                       'rate_limit = { window = "0s" }', "rate_limit = { limit = -1 }"),
    'writes = ["@WORK@"]': ('writes = [""]', 'writes = ["."]', 'writes = "*"'),
}
RESTRICTED = {  # restrictions of an action's own, and what must not lift them
    "units": ('[actions.restart_service]\nunits = ["nginx.service"]\n', 'units = ["nginx.service"]\n',
              ("units = []\n", "", 'units = [""]\n', 'units = "*"\n')),
    "pattern": ('[actions.say]\ncommand = ["/bin/echo", "{x}"]\n'
                'parameters.x = { type = "string", pattern = "[a-z]+" }\n',
                ', pattern = "[a-z]+"', ("", ', pattern = ""', ", pattern = []", ', pattern = "["')),
    "process_users": ('[actions.kill_process]\nprocess_users = ["root"]\n', 'process_users = ["root"]\n',
                      ("process_users = []\n", 'process_users = [""]\n', 'process_users = ["*"]\n')),
}
MISTAKES = ("this is no TOML [", "\n[unknown]\nx = 1\n", "\n[actions.two]\ncommand = [\"relative\"]\n",
            "\n[actions.mark]\ncommand = [\"/bin/true\"]\n", "\nx = \n", "\0", "\n[callers.c]\n", "\n[callers.d]\n",
            "\n[daemon]\nsocket = \"/tmp/other\"\n")


class Policy(attack.Attack, starting.Starting):
    def assertFatal(self, text):
        """This configuration ends it at the start, with the line."""
        d = self.make(text)
        self.assertRefusesToStart(d, r"(?m)^\S+config\.toml:\d+: .{10}", BAD_CONFIG)
        self.assertFalse(os.path.exists(d.socket_path))

    def test_A18_an_empty_or_malformed_list_is_fatal_and_never_means_all(self):
        """Users, actions, keys, commands, limits: left out, empty or a wildcard, the daemon does not start."""
        for good, mistaken in EMPTY.items():
            self.assertIn(good, LISTED)
            for bad in mistaken:
                if bad or not good.startswith(("rate_limit", "writes")):  # those two have a safe default
                    with self.subTest(bad or f"no {good}"):
                        self.assertFatal(LISTED.replace(good, bad))

    def test_A18_an_action_without_its_restriction_is_fatal(self):
        """Units, patterns, process_users: an empty restriction is not the lack of one."""
        for name, (text, good, mistaken) in RESTRICTED.items():
            self.assertIn(good, text)
            for bad in mistaken:
                with self.subTest(f"{name}: {bad}"):
                    self.assertFatal(text.replace(good, bad))

    def test_A18_no_callers_and_no_actions_allow_nothing(self):
        """A configuration without any caller, or without any action, denies everything; an empty file is fatal."""
        d = self.make(LISTED)
        whole, key = d.read_config(), d.keys["c"]
        for text in "", "\n# nothing\n":
            d.write_config(text)
            self.assertRefusesToStart(d, r"config\.toml:1: .*empty", BAD_CONFIG)
        for text, code in ((whole.replace(CALLER.replace("@UID@", str(os.geteuid())), ""), "unknown_caller"),
                           (whole[:whole.index("[actions.mark]")].replace('["mark"]', '["kill_process"]') +
                            "[actions.kill_process]\n", "action_unknown")):
            d.write_config(text)
            d.start()
            self.assertCode(d.repeat(wire.Request(key, "c", "mark")), code)
            self.assertNothingRan(d)
            self.assertEqual(d.stop(), 0)

    def test_A18_what_is_not_listed_is_denied(self):
        """With a caller for one action, all else is denied: other actions, other callers, built-in ones."""
        d = self.start(LISTED + '[actions.other]\ncommand = ["/bin/true"]\n[callers.o]\nkey = "o"\nusers = [@UID@]\n'
                       'actions = ["other"]\n')
        self.assertCode(d.ask("other", caller="c"), "action_not_allowed")
        self.assertCode(d.ask("mark", caller="o"), "action_not_allowed")
        for action in "kill_process", "restart_service", "*", "", "mark,other":
            self.assertIn(d.ask(action, caller="c")["code"], ("action_unknown", "bad_request"), action)
        self.assertNothingRan(d)

    def test_A19_an_invalid_policy_keeps_the_daemon_from_starting(self):
        """Not ignored, not replaced by a default: the daemon ends with the line of the mistake."""
        d = self.make(LISTED)
        good = d.read_config()
        for mistake in MISTAKES:
            with self.subTest(mistake):
                d.write_config(good + mistake)
                self.assertRefusesToStart(d, r"(?m)^\S+config\.toml", BAD_CONFIG)
        os.unlink(d.config_path)
        self.assertRefusesToStart(d, r"config\.toml", BAD_CONFIG)

    def test_A19_a_reload_of_an_invalid_policy_keeps_the_old_one_whole(self):
        """After each mistaken reload what was allowed is allowed and what was denied is denied; each is recorded."""
        d = self.start(LISTED)
        good = d.read_config()
        for number, mistake in enumerate((*MISTAKES, None), 1):
            with self.subTest(mistake):
                if mistake is None:
                    os.unlink(d.config_path)
                else:  # part of it would be a policy of its own, and wider
                    d.write_config(good + '[actions.new]\ncommand = ["/bin/true"]\n' + mistake)
                d.reload()
                reloads = d.events("reload")
                self.assertEqual((len(reloads), reloads[-1]["success"]), (number, False))
                self.assertCode(d.ask("mark", caller="c"), "ok")
                self.assertCode(d.ask("new", caller="c"), "action_unknown")

    def test_A19_a_reload_without_its_keys_keeps_the_old_policy(self):
        """A key that is gone or readable by others fails the reload; no caller is left without a check meanwhile."""
        d = self.start(LISTED)
        path = os.path.join(d.key_folder, "c")
        os.chmod(path, 0o444)
        d.reload()
        os.unlink(path)
        d.reload()
        self.assertEqual([r["success"] for r in d.events("reload")], [False, False])
        self.assertCode(d.ask("mark", caller="c"), "ok")
        self.assertCode(d.ask("mark", caller="c", key="k" * 64), "bad_signature")


if __name__ == "__main__":
    daemon.main()
