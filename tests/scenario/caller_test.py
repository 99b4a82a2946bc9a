"""healctl caller add: key and configuration, both or neither, whoever else is at it."""

import os
import subprocess

import daemon

HEALCTL = os.path.join(daemon.BUILD, "healctl", "healctl")
CONFIG = '[actions.hello]\ncommand = ["/bin/echo", "hello"]\n'


@daemon.needs_root
class CallerAdd(daemon.Scenario):
    def add(self, d, name):
        return subprocess.Popen([HEALCTL, "caller", "add", name, "--user", "root", "--action", "hello", "--no-restart",
                                 "--config", d.config_path], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE, text=True)

    def test_several_at_once_are_in_or_told_so(self):
        """Of callers that are added at once each is in, key and configuration, or was told to try again."""
        d = self.make(CONFIG)
        for turn in range(10):
            asked = {f"c{turn}-{n}": self.add(d, f"c{turn}-{n}") for n in range(6)}
            for name, process in asked.items():
                _, said = process.communicate()
                has_key = os.path.exists(os.path.join(d.key_folder, name))
                is_in = f"[callers.{name}]" in d.read_config()
                self.assertEqual((has_key, is_in), (process.returncode == 0,) * 2, said)
                if process.returncode != 0:
                    self.assertIn("try again", said)
            self.assertIn(0, [process.returncode for process in asked.values()])
        self.assertFalse(os.path.exists(d.config_path + ".new"))
        d.start()
        self.assertEqual(d.stop(), 0)

    def test_a_stranger_s_draft_is_left_alone(self):
        """A draft that is there already is not ours to overwrite or remove."""
        d = self.make(CONFIG)
        draft = d.config_path + ".new"
        with open(draft, "w", encoding="ascii") as file:
            file.write("theirs")
        process = self.add(d, "late")
        _, said = process.communicate()
        self.assertNotEqual(process.returncode, 0)
        self.assertIn("remove it", said)
        with open(draft, encoding="ascii") as file:
            self.assertEqual(file.read(), "theirs")
        self.assertNotIn("late", d.read_config())


if __name__ == "__main__":
    daemon.main()
