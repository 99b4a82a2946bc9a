#!/usr/bin/env python3
"""Runs inside the booted system of tests/system/lab.sh, for `./dev bench --systemd`: a service restarted by systemctl
as root, by systemctl as a user whom a polkit rule lets, and by our restart_service. Prints one object of JSON.
Usage: on_systemd.py ROUNDS OPERATIONS."""

import json
import os
import pwd
import subprocess
import sys

os.environ["LUMINOUS_BUILD"] = os.environ["LAB_BUILD"]

from contestants import DONE, FLOORS, LIMIT, Served, spawn  # noqa: E402 (reads LUMINOUS_BUILD)
from series import rounds  # noqa: E402

UNIT = "bench.service"
USER = "bench"
WHERE = "/lab"  # on the disk of the outer machine; everything else in the lab is memory
SERVICE = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=exec\nExecStart=/usr/bin/sleep infinity\n"
RULE = f"""polkit.addRule(function(action, subject) {{
    if (action.id == "org.freedesktop.systemd1.manage-units" && subject.user == "{USER}" &&
        action.lookup("unit") == "{UNIT}") return polkit.Result.YES;
}});
"""
CONFIG = ('[callers.tester]\nkey = "tester"\nusers = [0]\nactions = ["restart_service"]\n'
          f'[actions.restart_service]\nunits = ["{UNIT}"]\n{LIMIT}')


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def main():
    n, operations = {"rounds": int(sys.argv[1])}, int(sys.argv[2])
    write(f"/run/systemd/system/{UNIT}", SERVICE)
    write("/etc/polkit-1/rules.d/10-bench.rules", RULE)
    subprocess.run(["useradd", "--system", USER], check=True)
    subprocess.run(["systemctl", "daemon-reload"], check=True)
    subprocess.run(["systemctl", "start", UNIT], check=True)
    restart = ["systemctl", "restart", UNIT]
    user = str(pwd.getpwnam(USER).pw_uid)
    as_user = ["setpriv", "--reuid", user, "--regid", user, "--clear-groups", FLOORS, "spawn", str(operations)]
    service = json.dumps({"service": UNIT})
    os.chmod(WHERE, 0o755)
    with Served(WHERE, CONFIG) as ours:
        results = rounds(n, {
            "systemctl restart, root": lambda: spawn(operations, *restart),
            "systemctl restart, polkit": lambda: as_user + restart,
            "restart_service": lambda: ours.latency("restart_service", operations, parameters=service,
                                                    connect_each=True, **DONE),
        }, {}, turns=operations)
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
