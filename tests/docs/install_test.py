#!/usr/bin/env python3
"""`cmake --install`, for those without a package: what is installed fits together. LUMINOUS_BUILD is the build folder."""
import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent
BUILD = Path(os.environ.get("LUMINOUS_BUILD") or PROJECT / "build/dev")


class Install(unittest.TestCase):
    def setUp(self):
        self.root = Path(tempfile.mkdtemp(prefix="lh-install-"))
        self.addCleanup(shutil.rmtree, self.root)
        self.install()
        cache = (BUILD / "CMakeCache.txt").read_text(encoding="utf-8")
        self.prefix = re.search(r"CMAKE_INSTALL_PREFIX:PATH=(.*)", cache)[1]

    def install(self):
        subprocess.run(["cmake", "--install", BUILD], check=True, capture_output=True,
                       env={**os.environ, "DESTDIR": str(self.root)})

    def at(self, path):
        return self.root / path.lstrip("/")

    def test_the_unit_names_what_was_installed(self):
        """ExecStart and ExecReload of the installed unit are programs that were installed with it, and so is the drop-in's."""
        unit = self.at(f"{self.prefix}/lib/systemd/system/luminous-healing.service").read_text(encoding="utf-8")
        programs = [path for path in re.findall(r"^Exec\w+=(\S+)", unit, re.MULTILINE) if path != "/bin/kill"]
        self.assertEqual(len(programs), 2)
        for program in programs:
            self.assertTrue(os.access(self.at(program), os.X_OK), program)
        script = self.at(f"{self.prefix}/sbin/luminous-healing-drop-in").read_text(encoding="utf-8")
        self.assertTrue(os.access(self.at(re.search(r"LUMINOUS_HEALINGD:-([^}]*)", script)[1]), os.X_OK))
        said = subprocess.run([self.at(programs[0]), "--version"], capture_output=True, text=True, check=True).stdout
        self.assertRegex(said, r"^luminous-healingd \d+\.\d+\.\d+$")

    def test_a_configuration_that_is_there_is_left_alone(self):
        """Installing again replaces programs and not the configuration."""
        found = list(self.root.rglob("etc/luminous-healing/config.toml"))
        self.assertEqual(len(found), 1)
        found[0].write_text("# mine\n", encoding="utf-8")
        self.install()
        self.assertEqual(found[0].read_text(encoding="utf-8"), "# mine\n")

    def drop_in(self, text):
        config = self.root / "drop-in.toml"
        config.write_text(text, encoding="utf-8")
        made = subprocess.run(["sh", PROJECT / "systemd/luminous-healing-drop-in", config], check=True, capture_output=True,
                              text=True, env={**os.environ, "LUMINOUS_HEALINGD": str(BUILD / "executor/luminous-healingd")})
        return made.stdout.splitlines()

    def test_the_drop_in_follows_the_configuration(self):
        """luminous-healing-drop-in lets through what the enabled actions need, and nothing else."""
        nothing = self.drop_in("[daemon]\n")
        self.assertIn("CapabilityBoundingSet=", nothing)
        self.assertIn("ProtectKernelTunables=yes", nothing)
        self.assertIn("#   no action", nothing)
        self.assertEqual([line for line in nothing if line.startswith("ReadWritePaths")], [])
        kernel = self.drop_in("[actions.adjust_swappiness]\n")
        self.assertIn("ProtectKernelTunables=no", kernel)
        self.assertIn("CapabilityBoundingSet=CAP_SETGID CAP_SETUID CAP_SETPCAP", kernel)
        self.assertIn("RestrictAddressFamilies=AF_UNIX", kernel)
        self.assertIn("IPAddressDeny=any", kernel)
        self.assertEqual([line for line in kernel if line.startswith("ReadWritePaths")], [])
        self.assertIn("ProtectKernelTunables=yes", self.drop_in("[actions.kill_process]\n"))
        commands = self.drop_in('''
            [actions.a]
            command = ["/bin/true"]
            writes = ["/srv/b c", "/srv/a"]  # network = true
            [actions.b]
            command = ["/bin/true"]
            writes = ["/srv/a"]
            network = true
            [actions.clear_system_cache]''')
        self.assertIn('ReadWritePaths="-/srv/a" "-/srv/b c"', commands)
        self.assertIn("RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK", commands)
        self.assertIn("IPAddressDeny=", commands)
        self.assertIn("#   a b clear_system_cache", commands)
        quiet = self.drop_in('[actions.a]\ncommand = ["/bin/true"]  # network = true\n')
        self.assertIn("RestrictAddressFamilies=AF_UNIX", quiet)

    def test_the_installed_configuration_enables_nothing(self):
        """The configuration as installed is accepted, and enables nothing but status for root."""
        config = next(self.root.rglob("etc/luminous-healing/config.toml"))
        keys = self.root / "credentials"
        keys.mkdir(mode=0o700)
        subprocess.run([BUILD / "healctl/healctl", "keygen", keys / "root"], check=True, capture_output=True)
        daemon = [self.at(f"{self.prefix}/sbin/luminous-healingd"), "--config", config]
        environment = {**os.environ, "CREDENTIALS_DIRECTORY": str(keys)}
        subprocess.run([*daemon, "--check"], check=True, capture_output=True, env=environment)
        done = subprocess.run([*daemon, "--print-capabilities"], check=True, capture_output=True, text=True)
        self.assertEqual(done.stdout, '{"capabilities":[],"privileges":{},"actions":{}}\n')


if __name__ == "__main__":
    unittest.main()
