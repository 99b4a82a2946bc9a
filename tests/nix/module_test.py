#!/usr/bin/python3
"""nix/module.nix, evaluated by nix-instantiate (Debian's nix-bin) on tests/nix/small-lib.nix, and on nixpkgs' own lib
where NIXPKGS_LIB names it. What it generates is given to the real daemon: the TOML to --check, the capabilities against
--print-capabilities, the unit to systemd-analyze. LUMINOUS_BUILD is the build folder."""
import json
import os
import re
import secrets
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import tomli_w

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent.parent
BUILD = Path(os.environ.get("LUMINOUS_BUILD") or PROJECT / "build/dev")
DAEMON = BUILD / "executor/luminous-healingd"
LIBRARIES = [None] + ([os.environ["NIXPKGS_LIB"]] if os.environ.get("NIXPKGS_LIB") else [])
STORE = "/nix/store/00000000000000000000000000000000-x"

# What a user writes below services.luminous-healing; `enable = true` is added.
CASES = {
    "defaults": "",
    "disabled": "enable = lib.mkForce false; secretKey = \"ignored while disabled\";",
    "allowed users": 'allowedUsers = [ "alice" "bob" ];',
    "socket path": 'socketPath = "/run/heal/socket";',
    "user and group": 'user = "healer"; group = "healers";',
    "own caller": '''callers.monitor = {
        keyFile = "/run/keys/monitor"; users = [ "nobody" 1234 ]; actions = [ "clear_system_cache" ];
        rate_limit = { limit = 3; window = "1h"; }; };''',
    "caller without a key file": 'callers.monitor = { users = [ "nobody" ]; actions = [ "status" ]; };',
    "less for allowed users": 'callers.local.actions = [ "clear_system_cache" ];',
    "secret key file": 'secretKeyFile = "/run/keys/old";',
    "legacy clients": "legacyClients = true;",
    "logrotate": "logrotate = true;",
    "settings": 'settings = { rate_limit.limit = 20; audit.keep = 3; daemon.max_clock_skew = "1min"; };',
    "audit elsewhere": 'settings.audit.path = "/srv/log/heal/audit.json";',
    "package": 'package = { type = "derivation"; name = "mine"; outPath = "/nix/store/mine"; };',
    "an action switched off": "actions.vacuum_journal.enable = false;",
    "nothing enabled": " ".join(f"actions.{name}.enable = false;" for name in (
        "clear_system_cache", "adjust_swappiness", "set_cpu_governor", "vacuum_journal", "clean_nix_store")),
    "units": 'actions.restart_service = { units = [ "nginx.service" "app-*.service" ]; timeout = "20s"; };',
    "command": '''actions.flush = { command = [ "/bin/true" "{name}" ]; run_as = "root"; network = true;
        capabilities = [ "cap_net_admin" ]; writes = [ "/srv/a" ];
        parameters.name = { type = "string"; pattern = "[a-z]+"; }; };''',
    "command of the service's own user": 'actions.look.command = [ "/bin/true" ];',
}
SAFE = ["adjust_swappiness", "clean_nix_store", "clear_system_cache", "set_cpu_governor", "vacuum_journal"]

REFUSED = {
    "a key in the configuration": ('secretKey = "hunter2";', r"world|every user can read.*secretKeyFile"),
    "a secret key file in the store": (f'secretKeyFile = "{STORE}";', r"Nix store.*in quotes"),
    "a secret key file that would be copied there": ("secretKeyFile = ./machine.nix;", r"Nix store"),
    "a caller's key in the store": (f'callers.m = {{ keyFile = "{STORE}"; users = [ "root" ]; }};', r"callers\.m\.keyFile"),
    "a caller without users": ('callers.m = { users = [ ]; };', r"callers\.m\.users is empty"),
    "a caller without actions": ('callers.m = { users = [ "root" ]; actions = [ ]; };', r'actions = \[ "status" \]'),
    "an action that is not enabled": (
        'callers.m = { users = [ "root" ]; actions = [ "kill_process" ]; };', r"actions\.kill_process = "),
    "a caller beside the option": (
        'settings.callers.m = { key = "m"; users = [ "root" ]; actions = [ "status" ]; };', r"Write.*callers\.m instead"),
    **{f"{name} without units": (f"actions.{name} = {{ }};", rf"actions\.{name}\.units is missing")
       for name in ("restart_service", "start_service", "stop_service", "reload_service", "reset_failed")},
    "an unknown action": ('actions.restart_servce.units = [ "a.service" ];', r"no built-in action.*restart_service"),
    **{f"the prototype's {name}": (f"{name} = {{ a = 1; }};", rf"{name} is not of this module")
       for name in ("thresholds", "healing", "monitoring", "services")},
}

WRONG_TYPES = {
    "an unknown option": "allowedUser = [ ];",
    "a text for a boolean": 'legacyClients = "yes";',
    "a user for a list of users": 'allowedUsers = "alice";',
    "a relative socket": 'socketPath = "run/socket";',
    "two values of one option": 'user = lib.mkMerge [ "a" "b" ];',
    "a null in the settings": "settings.audit.keep = null;",
}


def built_in_actions():
    return json.loads((PROJECT / "nix/capabilities.json").read_text(encoding="utf-8"))["actions"]


def action_alone(name):
    """Only this action: what the unit then holds must be what the daemon says it needs."""
    off = " ".join(f"actions.{other}.enable = false;" for other in SAFE if other != name)
    units = name.endswith("_service") or name == "reset_failed"
    value = '{ units = [ "nginx.service" ]; }' if units else "{ }"
    return f"{off} actions.{name} = {value};"


for action in built_in_actions():
    CASES[f"{action} alone"] = action_alone(action)
CASES["a command as root alone"] = action_alone("x").replace("{ }", '{ command = [ "/bin/true" ]; run_as = "root"; }')
CASES["a command of its own alone"] = action_alone("x").replace("{ }", '{ command = [ "/bin/true" ]; }')


def evaluate(library, sources, machine="{ }"):
    """{name: machine, or None when it throws}, all in one evaluation."""
    argument = json.dumps(library) if library else "null"
    lib = f"import (/. + {argument})" if library else "import ./small-lib.nix"
    cases = "\n".join(f"  {json.dumps(name)} = one ({{ lib, ... }}: {{ imports = [ {machine} ]; "
                      f"services.luminous-healing = lib.mkMerge [ {{ enable = true; }} {{ {text} }} ]; }});"
                      for name, text in sources.items())
    expression = f"""let
  lib = {lib};
  machine = import ./machine.nix {{ libPath = {argument}; }};
  one = configuration: let tried = builtins.tryEval (let m = machine configuration; in builtins.deepSeq m m);
    in if tried.success then tried.value else null;
in {{
{cases}
}}"""
    done = subprocess.run(["nix-instantiate", "--eval", "--strict", "--json", "--expr", expression], cwd=HERE,
                          capture_output=True, text=True, env={**os.environ, "NIX_PATH": ""}, check=False)
    if done.returncode:
        raise AssertionError(done.stderr)
    return json.loads(done.stdout)


class Folder:
    """Where one configuration lies with the keys it names, as systemd would hand them over."""

    def __init__(self, toml):
        self.path = Path(tempfile.mkdtemp(prefix="lh-nix-"))
        self.config = self.path / "config.toml"
        with open(self.config, "wb") as file:
            tomli_w.dump(toml, file)
        for caller in toml.get("callers", {}):
            key = self.path / caller
            key.write_text(secrets.token_hex(32) + "\n", encoding="ascii")
            key.chmod(0o400)

    def daemon(self, *arguments):
        return subprocess.run([DAEMON, "--config", self.config, *arguments], capture_output=True, text=True, check=False,
                              env={**os.environ, "CREDENTIALS_DIRECTORY": str(self.path)})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.path)


def needed_by(toml):
    with Folder(toml) as folder:
        done = folder.daemon("--print-capabilities")
        if done.returncode:
            raise AssertionError(done.stderr)
        return json.loads(done.stdout)


def as_drop_in(sections):
    """A unit's settings as NixOS writes them."""
    lines = []
    for section, settings in sections.items():
        lines.append(f"[{section}]")
        for name, value in settings.items():
            for one in value if isinstance(value, list) else [value]:
                lines.append(f"{name}={str(one).lower() if isinstance(one, bool) else one}")
    return "\n".join(lines) + "\n"


class Module(unittest.TestCase):
    machines = {}

    @classmethod
    def setUpClass(cls):
        for library in LIBRARIES:
            cls.machines[library] = evaluate(library, CASES)
        cls.small = cls.machines[None]

    def good(self, name):
        machine = self.small[name]
        self.assertIsNotNone(machine, f"{name}: the evaluation threw")
        self.assertEqual(machine["refusals"], [], name)
        return machine

    def settings(self, name):
        return self.good(name)["service"]["serviceConfig"]

    def test_both_libraries_give_the_same(self):
        """nixpkgs' own lib and the small one give the same machine, whatever the user wrote."""
        for library in LIBRARIES:
            for name, machine in self.machines[library].items():
                with self.subTest(library=library, name=name):
                    self.assertIsNotNone(machine)
                    self.assertEqual(machine, self.small[name])

    def test_defaults(self):
        """Enabled with nothing else: the safe actions, one caller, a key made outside the store, no refusal."""
        machine = self.good("defaults")
        self.assertEqual(machine["toml"], {
            "actions": {name: {} for name in SAFE}, "audit": {},
            "callers": {"local": {"key": "local", "users": ["root"], "actions": SAFE}},
            "daemon": {"socket": "/run/luminous-healing.sock"}})
        self.assertEqual(machine["service"]["serviceConfig"]["LoadCredential"],
                         ["", "local:/var/lib/luminous-healing/keys/local"])
        self.assertIn("healctl keygen /var/lib/luminous-healing/keys/$name", machine["keys"]["script"])
        self.assertEqual(machine["service"]["requires"], ["luminous-healing-keys.service"])
        self.assertEqual(machine["service"]["serviceConfig"]["InaccessiblePaths"], ["-/var/lib/luminous-healing"])
        self.assertTrue(machine["etcIsGenerated"])
        self.assertEqual(machine["socket"]["wantedBy"], ["sockets.target"])
        self.assertEqual(machine["unitPackages"], ["luminous-healing"])
        self.assertEqual(machine["systemPackages"], ["luminous-healing"])
        self.assertEqual(machine["users"]["luminous-healing"]["group"], "luminous-healing")
        self.assertEqual(machine["tmpfiles"]["10-luminous-healing"]["/var/log/luminous-healing-audit.json"],
                         {"L": {"argument": "/var/log/luminous-healing/audit.json"}})
        self.assertEqual(machine["warnings"], [])

    def test_the_key_script_makes_a_key_once(self):
        """The script of the keys' unit, run as it is: a key, a copy for clients, and neither replaced the second time."""
        script = self.good("defaults")["keys"]["script"]
        root = Path(tempfile.mkdtemp(prefix="lh-nix-"))
        self.addCleanup(shutil.rmtree, root)
        script = script.replace("/var/lib/luminous-healing", f"{root}/state").replace("-g luminous-healing", "")
        script = re.sub(r"/nix/store/\S*/bin/healctl", str(BUILD / "healctl/healctl"), script)
        for _ in range(2):
            subprocess.run(["sh", "-euc", script], check=True, capture_output=True)
            key = (root / "state/keys/local").read_text(encoding="ascii")
            self.assertRegex(key, r"^[0-9a-f]{64}\n$")
            self.assertEqual((root / "state/client/local").read_text(encoding="ascii"), key)
            self.assertEqual(self.__dict__.setdefault("first", key), key)
        modes = {name: oct((root / "state" / name).stat().st_mode & 0o777)
                 for name in ("keys", "keys/local", "client", "client/local")}
        self.assertEqual(modes, {"keys": "0o700", "keys/local": "0o400", "client": "0o750", "client/local": "0o440"})

    def test_disabled_is_nothing(self):
        """Without enable nothing of it is on the machine, and nothing is refused."""
        machine = self.small["disabled"]
        self.assertEqual((machine["refusals"], machine["service"], machine["users"], machine["unitPackages"]),
                         ([], None, {}, []))

    def test_each_option(self):
        """Each option arrives where it belongs."""
        self.assertEqual(self.good("allowed users")["groups"], {"luminous-healing": {"members": ["alice", "bob"]}})
        self.assertEqual(self.good("allowed users")["toml"]["callers"]["local"]["users"], ["root", "alice", "bob"])
        moved = self.good("socket path")
        self.assertEqual(moved["socket"]["socketConfig"]["ListenStream"], ["", "/run/heal/socket"])
        self.assertEqual(moved["toml"]["daemon"]["socket"], "/run/heal/socket")
        healer = self.good("user and group")
        self.assertEqual((healer["users"], healer["groups"]), ({}, {"healers": {"members": []}}))
        self.assertEqual((healer["service"]["serviceConfig"]["User"], healer["service"]["serviceConfig"]["Group"]),
                         ("healer", "healers"))
        self.assertEqual(healer["socket"]["socketConfig"]["SocketGroup"], "healers")
        caller = self.good("own caller")
        self.assertEqual(caller["toml"]["callers"]["monitor"], {
            "key": "monitor", "users": ["nobody", 1234], "actions": ["clear_system_cache"],
            "rate_limit": {"limit": 3, "window": "1h"}})
        self.assertEqual(caller["service"]["serviceConfig"]["LoadCredential"],
                         ["", "local:/var/lib/luminous-healing/keys/local", "monitor:/run/keys/monitor"])
        self.assertIn("for name in local;", caller["keys"]["script"])
        self.assertIn("for name in local monitor;", self.good("caller without a key file")["keys"]["script"])
        self.assertEqual(self.good("less for allowed users")["toml"]["callers"]["local"]["actions"],
                         ["clear_system_cache"])
        old = self.good("secret key file")
        self.assertEqual(old["service"]["serviceConfig"]["LoadCredential"], ["", "local:/run/keys/old"])
        self.assertIsNone(old["keys"])
        legacy = self.good("legacy clients")
        self.assertIs(legacy["toml"]["daemon"]["legacy_v1"], True)
        self.assertEqual(len(legacy["warnings"]), 1)
        rotated = self.good("logrotate")
        self.assertEqual(rotated["logrotate"]["luminous-healing"]["files"], "/var/log/luminous-healing/audit.json")
        self.assertEqual(rotated["toml"]["audit"]["rotate_size"], "1GiB")
        self.assertEqual(self.good("settings")["toml"]["rate_limit"], {"limit": 20})
        elsewhere = self.good("audit elsewhere")
        self.assertEqual(elsewhere["service"]["serviceConfig"]["ReadWritePaths"], ["/srv/log/heal"])
        self.assertEqual(elsewhere["tmpfiles"]["10-luminous-healing"]["/srv/log/heal"]["d"]["mode"], "0750")
        self.assertEqual(self.good("package")["systemPackages"], ["mine"])
        self.assertNotIn("vacuum_journal", self.good("an action switched off")["toml"]["actions"])
        self.assertEqual(self.good("nothing enabled")["toml"]["callers"]["local"]["actions"], ["status"])
        self.assertEqual(self.good("units")["toml"]["actions"]["restart_service"],
                         {"units": ["nginx.service", "app-*.service"], "timeout": "20s"})
        command = self.settings("command")
        self.assertEqual(command["RestrictAddressFamilies"], ["", "AF_UNIX AF_INET AF_INET6 AF_NETLINK"])
        self.assertEqual(command["ReadWritePaths"], ["-/srv/a"])
        self.assertEqual(command["CapabilityBoundingSet"], ["", "CAP_NET_ADMIN CAP_SETGID CAP_SETPCAP CAP_SETUID"])

    def test_no_option_is_forgotten(self):
        """Every option of the module is set in one of the cases."""
        text = (PROJECT / "nix/module.nix").read_text(encoding="utf-8")
        declared = set(re.findall(r"^    (\w+) = mk(?:Enable|Package)?Option", text, re.MULTILINE))
        self.assertGreater(len(declared), 10)
        written = "enable " + " ".join([*CASES.values(), *(refused for refused, _ in REFUSED.values())])
        self.assertEqual({name for name in declared if not re.search(rf"\b{name}\b", written)}, set())

    def test_no_nix_no_store_cleaning(self):
        """Where Nix is switched off the store is not cleaned, and asking for it warns."""
        cases = evaluate(None, {"off": "", "asked": "actions.clean_nix_store = { };"}, "{ nix.enable = false; }")
        self.assertNotIn("clean_nix_store", cases["off"]["toml"]["actions"])
        self.assertRegex(cases["asked"]["warnings"][0], "needs Nix")

    def test_every_assertion(self):
        """What cannot work or would leak is refused, with what to write instead; on each library."""
        for library in LIBRARIES:
            found = evaluate(library, {name: text for name, (text, _) in REFUSED.items()})
            for name, (_, pattern) in REFUSED.items():
                with self.subTest(library=library, name=name):
                    self.assertTrue(found[name]["refusals"])
                    self.assertRegex(found[name]["refusals"][0].replace("\n", " "), pattern)

    def test_wrong_types(self):
        """Unknown options, wrong types and contradictions do not evaluate; on each library."""
        for library in LIBRARIES:
            for name, machine in evaluate(library, WRONG_TYPES).items():
                with self.subTest(library=library, name=name):
                    self.assertIsNone(machine)

    def test_the_daemon_accepts_the_generated_configuration(self):
        """--check finds nothing wrong with any configuration that the module generates."""
        for name in CASES:
            if name == "disabled":
                continue
            toml = self.good(name)["toml"]
            for caller in toml["callers"].values():
                caller["users"] = [user for user in caller["users"] if user not in ("alice", "bob")]  # not of this machine
            with self.subTest(name=name), Folder(toml) as folder:
                done = folder.daemon("--check")
                self.assertEqual(done.returncode, 0, done.stderr)

    def test_the_daemon_refuses_what_it_should(self):
        """The check before this one can fail: a generated configuration with one wrong word is refused."""
        toml = self.good("defaults")["toml"]
        toml = {**toml, "actions": {**toml["actions"], "no_such_thing": {}}}
        with Folder(toml) as folder:
            self.assertEqual(folder.daemon("--check").returncode, 78)

    def test_the_unit_holds_what_the_daemon_needs(self):
        """For each action alone and for mixtures: the unit's capabilities are exactly those that the daemon asks for."""
        for name in CASES:
            if name in ("disabled", "allowed users"):
                continue
            machine = self.good(name)
            needed = sorted(capability.upper() for capability in needed_by(machine["toml"])["capabilities"])
            for directive in ("CapabilityBoundingSet", "AmbientCapabilities"):
                with self.subTest(name=name, directive=directive):
                    held = machine["service"]["serviceConfig"][directive]
                    self.assertEqual(held[0], "")
                    self.assertEqual(sorted(" ".join(held[1:]).split()), needed)

    def test_the_table_is_the_binary_s_own(self):
        """nix/capabilities.json says of every built-in action what the binary says of it."""
        table = json.loads((PROJECT / "nix/capabilities.json").read_text(encoding="utf-8"))
        actions = {name: {"units": ["a.service"]} if name.endswith("_service") or name == "reset_failed" else {}
                   for name in table["actions"]}
        actions["other_user"] = {"command": ["/bin/true"], "run_as": "root"}
        needs = needed_by({"actions": actions})
        self.assertEqual(sorted(needs["actions"].pop("other_user")), sorted(table["step_over"]))
        del needs["privileges"]["other_user"]
        self.assertEqual({name: (row["capabilities"], row["writes"], row["network"])
                          for name, row in table["actions"].items()},
                         {name: (needs["actions"][name], row["writes"], row["network"])
                          for name, row in needs["privileges"].items()})
        rows = re.search(r"rows\{(.*?)\};", (PROJECT / "actions/registry.cpp").read_text(encoding="utf-8"), re.DOTALL)
        self.assertEqual(sorted(re.findall(r"(\w+)\(\)", rows[1])), sorted(table["actions"]))

    def test_systemd_accepts_the_unit(self):
        """The package's unit with the generated drop-in: systemd-analyze finds nothing, and the exposure is at most 2.0
        unless a command asks for the network and CAP_NET_ADMIN."""
        for name in ("defaults", "kill_process alone", "command", "user and group", "audit elsewhere"):
            with self.subTest(name=name), tempfile.TemporaryDirectory() as units:
                self.write_units(Path(units), self.good(name))
                found = self.analyze(units, "verify", "--man=no", "--recursive-errors=no",
                                     f"{units}/luminous-healing.service", f"{units}/luminous-healing.socket")
                # The unit's user need not be of this machine.
                said = [line for line in found.stdout.splitlines() + found.stderr.splitlines() if units in line]
                self.assertEqual(said, [])
                found = self.analyze(units, "security", "--offline=yes", f"--threshold={30 if name == 'command' else 20}",
                                     "luminous-healing.service")
                self.assertEqual(found.returncode, 0, found.stdout + found.stderr)

    @staticmethod
    def analyze(units, *arguments):
        return subprocess.run(["systemd-analyze", "--no-pager", *arguments], capture_output=True, text=True, check=False,
                              env={**os.environ, "SYSTEMD_UNIT_PATH": f"{units}:"})

    @staticmethod
    def write_units(units, machine):
        unit = (PROJECT / "systemd/luminous-healing.service").read_text(encoding="utf-8")
        unit = unit.replace("/usr/sbin/luminous-healingd", str(DAEMON))
        unit = unit.replace("/usr/bin/healctl", str(BUILD / "healctl/healctl"))
        (units / "luminous-healing.service").write_text(unit, encoding="utf-8")
        shutil.copy(PROJECT / "systemd/luminous-healing.socket", units)
        parts = {"service": {"Service": machine["service"]["serviceConfig"]},
                 "socket": {"Socket": machine["socket"]["socketConfig"]}}
        for kind, sections in parts.items():
            folder = units / f"luminous-healing.{kind}.d"
            folder.mkdir()
            (folder / "overrides.conf").write_text(as_drop_in(sections), encoding="utf-8")
        keys = {"Service": {**machine["keys"]["serviceConfig"], "ExecStart": "/bin/true"}}
        (units / "luminous-healing-keys.service").write_text(as_drop_in(keys), encoding="utf-8")

    def test_the_package_has_its_sources(self):
        """What package.nix takes of this tree is enough to configure the build and its tests."""
        names = re.findall(r"^ +\.\./(\S+)$", (PROJECT / "nix/package.nix").read_text(encoding="utf-8"), re.MULTILINE)
        self.assertGreater(len(names), 15)
        with tempfile.TemporaryDirectory(prefix="lh-nix-") as folder:
            source = Path(folder) / "source"
            for name in names:
                (source / name).parent.mkdir(parents=True, exist_ok=True)
                if (PROJECT / name).is_dir():
                    shutil.copytree(PROJECT / name, source / name)
                else:
                    shutil.copy(PROJECT / name, source / name)
            done = subprocess.run(["cmake", "-G", "Ninja", "-Wno-dev", "-DLUMINOUS_TESTS=ON", "-S", source, "-B",
                                   Path(folder) / "build"], capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
            # Every file that the build would read is there.
            done = subprocess.run(["ninja", "-C", Path(folder) / "build", "-n"], capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 0, done.stdout[-2000:])

    def test_the_readme_s_machine(self):
        """What the README says to write on NixOS gives what it says: alice may restart nginx."""
        found = re.findall(r"^```nix\n(.*?)^```$", (PROJECT / "README.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
        self.assertEqual(len(found), 1)
        module = f"(({found[0]}) {{ inputs.luminous-healing.nixosModules.default = {{ }}; }})"
        for library in LIBRARIES:
            machine = evaluate(library, {"readme": ""}, module)["readme"]
            self.assertEqual(machine["refusals"], [])
            self.assertEqual(machine["groups"]["luminous-healing"]["members"], ["alice"])
            self.assertIn("restart_service", machine["toml"]["callers"]["local"]["actions"])

    def test_the_flake(self):
        """The flake offers package, overlay, module, checks and shell for both systems; its module brings its package."""
        for library in LIBRARIES:
            with self.subTest(library=library):
                self.assertEqual(self.flake(library), {
                    "outputs": ["checks", "devShells", "formatter", "nixosModules", "overlays", "packages"],
                    "systems": ["aarch64-linux", "x86_64-linux"],
                    "checks": ["machine", "package"], "package": "luminous-healing", "overlay": "luminous-healing",
                    "version": re.search(r"healing VERSION (\S+)", (PROJECT / "CMakeLists.txt").read_text(encoding="utf-8"))[1],
                    "vm": "luminous-healing", "option": "luminous-healing", "shell": "luminous-healing"})

    @staticmethod
    def flake(library):
        lib = f"import (/. + {json.dumps(library)})" if library else "import ./small-lib.nix"
        expression = f"""let
  lib = {lib};
  # callPackage gives a package what it names; here each is a derivation of that name, and mkDerivation its arguments.
  drv = name: {{ type = "derivation"; inherit name; outPath = "/nix/store/" + name; }};
  pkgs = system: rec {{
    stdenv = {{ hostPlatform.system = system; buildPlatform.canExecute = _: true;
      mkDerivation = f: let self = f (self // {{ finalPackage = self; }}); in self // drv self.pname; }};
    callPackage = file: {{ }}: let f = import file; in f (builtins.mapAttrs (name: _: all.${{name}} or (drv name)) (builtins.functionArgs f));
    all = {{ inherit stdenv lib; }};
    testers.runNixOSTest = test: test;
    mkShell = shell: shell;
    nixfmt = drv "nixfmt"; ccache = drv "ccache"; clang-tools = drv "c"; doctest = drv "d"; jq = drv "jq";
    netcat-openbsd = drv "nc"; shellcheck = drv "s";
  }};
  nixpkgs = {{ inherit lib; legacyPackages = lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] pkgs; }};
  self = (import ../../flake.nix).outputs {{ inherit self nixpkgs; }};
  machine = lib.evalModules {{ specialArgs = {{ pkgs = pkgs "x86_64-linux"; }}; modules = [ self.nixosModules.default
    {{ options = {{ assertions = any; warnings = any; environment = any; nix = any; systemd = any; users = any;
        services.logrotate = any; }}; }} ]; }};
  any = lib.mkOption {{ type = lib.types.anything; default = {{ }}; }};
in {{
  outputs = builtins.attrNames self;
  systems = builtins.attrNames self.packages;
  checks = builtins.attrNames self.checks.x86_64-linux;
  package = self.packages.aarch64-linux.default.pname;
  version = self.packages.aarch64-linux.default.version;
  overlay = (self.overlays.default (pkgs "x86_64-linux") {{ }}).luminous-healing.pname;
  vm = self.checks.x86_64-linux.machine.name;
  option = machine.config.services.luminous-healing.package.name;
  shell = (builtins.head self.devShells.x86_64-linux.default.inputsFrom).pname;
}}"""
        done = subprocess.run(["nix-instantiate", "--eval", "--strict", "--json", "--expr", expression], cwd=HERE,
                              capture_output=True, text=True, env={**os.environ, "NIX_PATH": ""}, check=False)
        if done.returncode:
            raise AssertionError(done.stderr)
        return json.loads(done.stdout)


if __name__ == "__main__":
    unittest.main()
