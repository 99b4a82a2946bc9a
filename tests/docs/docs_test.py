#!/usr/bin/python3
"""The documentation against what it is about: every command of README and man pages is run by some test, the pages and
the completions know every command and option of the programs. LUMINOUS_BUILD is the build folder."""
import os
import re
import subprocess
import unittest
from pathlib import Path

import commands

PROJECT = Path(__file__).resolve().parent.parent.parent
BUILD = Path(os.environ.get("LUMINOUS_BUILD") or PROJECT / "build/dev")
HEALCTL = BUILD / "healctl/healctl"
DAEMON = BUILD / "executor/luminous-healingd"

# What tests/system/docs.sh leaves out, and where else it runs.
ELSEWHERE = {
    "./dev demo": 'add_test(NAME demo COMMAND ${PROJECT_SOURCE_DIR}/examples/demo.sh',
    "./dev test": "run_tests",  # these very tests
    "./dev package": "build/release/luminous-healing_*.deb",  # what the tests of the .deb install
}
RUN_IN_LAB = ["Install on Debian", "First healing"]

# What bash-completion does for a completion function, as much as ours needs.
COMPLETE = r'''
_init_completion() { words=("${typed[@]}"); cword=$((${#words[@]} - 1)); cur=${words[cword]}; prev=${words[cword - 1]}; }
source "$1"; shift
typed=("$@")
_healctl
printf '%s\n' "${COMPREPLY[@]}"
'''


def text_of(path):
    return (PROJECT / path).read_text(encoding="utf-8")


def help_of(*words):
    return subprocess.run([*words, "--help"], capture_output=True, text=True, check=False).stdout


def options_in(text):
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) - {"--help", "--version"}


def subcommands_of(text):
    part = text.partition("Subcommands:\n")[2]
    return re.findall(r"^  ([a-z]+)\s", part, re.MULTILINE)


def command_lines():
    """[(words, help)] of healctl and each command below it."""
    found, waiting = [], [()]
    while waiting:
        words = waiting.pop()
        text = help_of(HEALCTL, *words)
        found.append((words, text))
        waiting += [(*words, name) for name in subcommands_of(text)]
    return found


class Docs(unittest.TestCase):
    def test_every_readme_command_runs_somewhere(self):
        """Each shell command of the README is in a section that tests/system/docs.sh runs, or is ./dev and run elsewhere."""
        run = {line for heading in RUN_IN_LAB for block in commands.blocks(PROJECT / "README.md", "sh", heading)
               for line in block["text"].splitlines()}
        script = text_of("tests/system/docs.sh")
        for heading in RUN_IN_LAB:
            self.assertIn(f'"{heading}"', script)
        lines = [line for block in commands.blocks(PROJECT / "README.md") for line in block["text"].splitlines()]
        self.assertGreater(len(lines), 6)
        sources = "".join(text_of(path) for path in ("dev", "tests/CMakeLists.txt", "tests/system/deb.sh",
                                                     "tests/system/CMakeLists.txt", "tests/docs/CMakeLists.txt"))
        for line in lines:
            if line.startswith("./dev "):
                self.assertIn(ELSEWHERE[" ".join(line.split()[:2])], sources)
            else:
                self.assertIn(line, run)

    def test_every_page_has_examples_that_run(self):
        """tests/system/docs.sh runs the EXAMPLES of every page; each page has some."""
        self.assertIn('for page in docs/man/*.scd', text_of("tests/system/docs.sh"))
        pages = sorted((PROJECT / "docs/man").glob("*.scd"))
        self.assertEqual([page.stem for page in pages], [
            "healctl.1", "luminous-healing-audit.5", "luminous-healing-drop-in.8", "luminous-healing-protocol.7", "luminous-healing.toml.5",
            "luminous-healingd.8"])
        for page in pages:
            self.assertTrue(list(commands.blocks(page)), page)

    def test_pages_can_be_made_and_read(self):
        """scdoc takes every page, and each refers only to pages that are there or are Debian's."""
        ours = {page.stem for page in (PROJECT / "docs/man").glob("*.scd")}
        for page in (PROJECT / "docs/man").glob("*.scd"):
            done = subprocess.run(["scdoc"], input=page.read_bytes(), capture_output=True, check=False)
            self.assertEqual(done.returncode, 0, f"{page}: {done.stderr}")
            for name, number in re.findall(r"\*(luminous[\w.-]*|healctl)\*\((\d)\)", page.read_text(encoding="utf-8")):
                self.assertIn(f"{name}.{number}", ours, page)

    def test_pages_and_completions_know_every_command_and_option(self):
        """What --help lists is in healctl(1) and in each of the three completions."""
        page = text_of("docs/man/healctl.1.scd")
        shells = {"bash": text_of("packaging/completions/healctl.bash"), "zsh": text_of("packaging/completions/_healctl"),
                  "fish": text_of("packaging/completions/healctl.fish")}
        self.assertGreater(len(command_lines()), 15)
        for words, text in command_lines():
            for option in options_in(text):
                with self.subTest(command=words, option=option):
                    self.assertTrue(f"*{option}*" in page, "not in healctl(1)")
                    self.assertTrue(option in shells["bash"], "not in bash")
                    self.assertTrue(option in shells["zsh"], "not in zsh")
                    self.assertTrue(re.search(rf"-l {option[2:]}\b", shells["fish"]), "not in fish")
            for word in words:
                with self.subTest(command=words):
                    self.assertTrue(re.search(rf"\*[^*]*\b{word}\b[^*]*\*", page), "not in healctl(1)")
                    for shell in shells.values():
                        self.assertTrue(re.search(rf"\b{word}\b", shell), "not in a completion")

    def test_completions_and_pages_offer_nothing_that_is_not_there(self):
        """No option in a completion that no command has."""
        known = set().union(*(options_in(text) for _, text in command_lines())) | {"--help", "--version"}
        bash = text_of("packaging/completions/healctl.bash")
        offered = set(re.findall(r"(?<=[\s\"])--[a-z][a-z-]+", bash)) - {"--no-legend", "--plain"}
        self.assertEqual(offered - known, set())
        fish = set("--" + name for line in text_of("packaging/completions/healctl.fish").splitlines()
                   if not line.startswith("set") for name in re.findall(r" -l ([a-z-]+)", line))
        self.assertEqual(fish - known, set())

    def test_completions_are_of_their_shells(self):
        """bash and, where they are installed, zsh and fish can read them."""
        for shell, file in (("bash", "healctl.bash"), ("zsh", "_healctl"), ("fish", "healctl.fish")):
            path = PROJECT / "packaging/completions" / file
            try:
                done = subprocess.run([shell, "-n", path], capture_output=True, text=True, check=False)
            except FileNotFoundError:
                continue
            self.assertEqual((done.returncode, done.stderr), (0, ""), shell)

    def test_bash_completes(self):
        """In bash: commands, the options of the command at hand, built-in actions."""
        def complete(line):
            return subprocess.run(["bash", "-c", COMPLETE, "bash", PROJECT / "packaging/completions/healctl.bash",
                                   *line.split(" ")], capture_output=True, text=True, check=True,
                                  env={"PATH": f"{BUILD}/healctl:/usr/bin:/bin", "LUMINOUS_HEALING_SOCKET": "/nowhere"},
                                  ).stdout.split()
        self.assertEqual(complete("healctl do"), ["doctor"])
        self.assertEqual(complete("healctl --json caller "), ["add"])
        self.assertEqual(complete("healctl caller add x --gi"), ["--give"])
        self.assertEqual(complete("healctl run adj"), ["adjust_swappiness"])
        self.assertEqual(complete("healctl audit verify --he"), ["--head", "--help"])

    def test_the_daemon_s_page_knows_its_options(self):
        """What luminous-healingd --help lists is in its page, and the other way round."""
        page = text_of("docs/man/luminous-healingd.8.scd")
        synopsis = page.partition("# OPTIONS")[2].partition("# SIGNALS")[0]
        self.assertEqual(set(re.findall(r"\*(--[a-z-]+)\*", synopsis)),
                         options_in(help_of(DAEMON)) | {"--help", "--version"})

    def test_every_setting_is_in_its_page(self):
        """Every key that the configuration reader takes is in luminous-healing.toml(5) and examples/config.toml."""
        page, example = text_of("docs/man/luminous-healing.toml.5.scd"), text_of("examples/config.toml")
        sources = "".join(path.read_text(encoding="utf-8") for path in (PROJECT / "executor").glob("config_*.cpp"))
        keys = set(re.findall(r'table_?\.(?:text|texts|boolean|duration|integer|absolute_path|distinct_texts|rate_limit|list)'
                              r'\("(\w+)"', sources)) | {"reserve", "rotate_size", "key", "command", "verify", "undo"}
        self.assertGreater(len(keys), 20)
        for key in keys:
            with self.subTest(key=key):
                self.assertTrue(f"*{key}*" in page, "not in the page")
                self.assertTrue(re.search(rf"\b{key}\b", example), "not in examples/config.toml")


if __name__ == "__main__":
    unittest.main()
