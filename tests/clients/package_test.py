"""What others install: the C++ package out of this tree, and the Python wheel. Nothing comes from the network."""

import os
import shutil
import subprocess
import sys
import zipfile

import support
from support import daemon

CONFIG = """
[actions.mark]
command = ["/bin/sh", "-c", "echo ran >> @WORK@/ran; echo marked"]
writes = ["@WORK@"]
[actions.fail]
command = ["/bin/false"]
"""
STRICT = ("-std=c++20", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror")


def call(*command, **options):
    ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **options)
    assert ran.returncode == 0, f"{command}:\n{ran.stdout}"
    return ran.stdout


class Package(support.ClientScenario):
    def install(self):
        """A copy of the example, away from the tree, and a prefix with what `cmake --install` puts there."""
        folder = self.folder()
        call("cmake", "--install", daemon.BUILD, "--prefix", folder + "/usr", "--component", "development")
        shutil.copytree(os.path.join(support.ROOT, "examples", "cpp"), folder + "/example")
        return folder

    def assert_works(self, program):
        d = self.start(CONFIG)
        environment = self.environment(d)
        ran = self.run_program(program, d.CALLER, self.key_file(d), "mark", env=environment)
        self.assertEqual((ran.returncode, ran.stdout), (0, "marked\n\nverdict: unverifiable\n"), ran.stderr)
        self.assertEqual(self.lines(d), ["ran"])
        self.assertEqual(self.run_program(program, d.CALLER, self.key_file(d), "fail", env=environment).returncode, 1)
        self.assertEqual(self.run_program(program, d.CALLER, d.folder + "/none", "mark", env=environment).returncode, 2)

    def test_the_cpp_example_builds_against_the_installed_package(self):
        """find_package(luminous-healing) in a program outside the tree, which then has an action run."""
        folder = self.install()
        call("cmake", "-S", folder + "/example", "-B", folder + "/build", "-DCMAKE_PREFIX_PATH=" + folder + "/usr",
             "-DCMAKE_CXX_FLAGS=" + " ".join(STRICT[1:]))
        call("cmake", "--build", folder + "/build")
        with open(folder + "/build/CMakeCache.txt", encoding="utf-8") as cache:
            self.assertNotIn(support.ROOT, cache.read())
        self.assert_works(folder + "/build/heal")

    def test_pkg_config_knows_it(self):
        """The same program with nothing but a compiler and pkg-config."""
        folder = self.install()
        (found,) = [path for path, _, files in os.walk(folder + "/usr") if "luminous-healing.pc" in files]
        flags = call("pkg-config", "--cflags", "--libs", "luminous-healing",
                     env={**os.environ, "PKG_CONFIG_PATH": found}).split()
        call("g++", *STRICT, folder + "/example/heal.cpp", *flags, "-o", folder + "/heal")
        self.assert_works(folder + "/heal")

    def test_installed_headers_stay_below_their_folder(self):
        """No header of ours is in anybody's way, and none includes what is not installed."""
        folder = self.install()
        include = folder + "/usr/include"
        self.assertEqual(os.listdir(include), ["luminous_healing"])
        for path, _, files in os.walk(include):
            for name in files:
                with open(os.path.join(path, name), encoding="utf-8") as file:
                    for line in file:
                        if line.startswith('#include "'):
                            self.assertTrue(os.path.isfile(os.path.join(include, line.split('"')[1])), line)

    def test_the_wheel(self):
        """A PEP 517 front end builds it offline; it holds the typed package and nothing else, and works installed."""
        folder = self.folder()
        shutil.copytree(os.path.join(support.ROOT, "clients", "python"), folder + "/source")
        call(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, folder + "/source")
        (wheel,) = [name for name in os.listdir(folder) if name.endswith(".whl")]
        with zipfile.ZipFile(os.path.join(folder, wheel)) as archive:
            names = archive.namelist()
            archive.extractall(folder + "/site")
        self.assertIn("luminous_healing/py.typed", names)
        self.assertEqual({name.split("/")[0].split("-")[0] for name in names}, {"luminous_healing"})
        d = self.start(CONFIG)
        program = "import luminous_healing as l; print(l.__file__); print(l.HealingClient().run('mark').output)"
        ran = self.run_program(sys.executable, "-c", program, env=self.environment(
            d, PYTHONPATH=folder + "/site", LUMINOUS_HEALING_CALLER=d.CALLER,
            LUMINOUS_HEALING_KEY_FILE=self.key_file(d)))
        self.assertEqual(ran.stdout.splitlines(), [folder + "/site/luminous_healing/__init__.py", "marked", ""],
                         ran.stderr)

    def test_the_versions_agree(self):
        """Project, wheel and module have one version."""
        import luminous_healing
        with open(os.path.join(support.ROOT, "clients", "python", "pyproject.toml"), encoding="utf-8") as file:
            self.assertIn(f'version = "{luminous_healing.__version__}"', file.read())
        d = self.start(CONFIG)
        self.assertEqual(d.ask("status")["result"]["version"], luminous_healing.__version__)


if __name__ == "__main__":
    daemon.main()
