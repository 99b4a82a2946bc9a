"""Whoever wants the daemon harm: tests/support/flood.cpp in its kinds, and what the log must say of it afterwards."""

import collections
import json
import os
import signal
import subprocess
import sys
from typing import Any, NamedTuple

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "crash"))

import load  # noqa: E402
import daemon  # noqa: E402
import wire  # noqa: E402

FLOOD = os.path.join(daemon.BUILD, "tests", "support", "flood")
DAEMON_SETTINGS = 'socket_group = "nogroup"'  # every enemy is in it; who is not gets no further than connect(2)
COUNTED = ("bad_signature", "peer_not_allowed", "bad_request", "busy")  # what enemies are answered


class Enemy(NamedTuple):
    """How to flood; `uids` processes, each with a uid of its own."""

    mode: str
    frame: str | None
    size: int  # connections of each process
    rate: int | None  # a second, of each process
    uids: int = 1


class Arsenal:
    """The frames that enemies send, as files."""

    def __init__(self, made: daemon.Daemon):
        self.made = made
        self.folder = os.path.join(made.folder, "frames")
        os.mkdir(self.folder)
        signed = made.request("status")
        forged = made.request("status", key="0" * 64)
        room = wire.MAX_FRAME - len(made.request("status", {"detail": ""}, key="0" * 64).bare)
        largest = made.request("status", {"detail": "x" * room}, key="0" * 64)
        assert len(largest.bare) == wire.MAX_FRAME
        self.files = {}
        for name, content in {"forged": forged.frame, "signed": signed.frame, "largest": largest.frame,
                              "oversize": b'{"v":2,"caller":"' + b"x" * 2 * wire.MAX_FRAME + b'"}\n',
                              "malformed": b'{"v":2,"caller":"tester","caller":"tester"}\n'}.items():
            self.files[name] = os.path.join(self.folder, name)
            with open(self.files[name], "wb") as file:
                file.write(content)


class Flood:
    """One running enemy; its report when it has ended."""

    def __init__(self, arsenal: Arsenal, enemy: Enemy, seconds: float, first_uid: int):
        self.enemy, self.uids = enemy, range(first_uid, first_uid + enemy.uids)
        arguments = [enemy.mode] + ([arsenal.files[enemy.frame]] if enemy.frame else []) + [str(enemy.size)]
        arguments += [str(enemy.rate)] if enemy.rate is not None else []
        self._processes = {
            uid: subprocess.Popen([FLOOD, arsenal.made.socket_path, str(uid), str(seconds), *arguments],
                                  stdout=subprocess.PIPE) for uid in self.uids}
        self.reports: dict[int, dict[str, Any]] = {}

    def is_running(self) -> bool:
        return any(process.poll() is None for process in self._processes.values())

    def stop(self) -> None:
        for process in self._processes.values():
            process.send_signal(signal.SIGTERM)

    def collect(self) -> dict[int, dict[str, Any]]:
        """Waits for its end."""
        for uid, process in self._processes.items():
            if uid not in self.reports:
                said, _ = process.communicate()
                assert process.returncode == 0, f"flood {self.enemy} ended with {process.returncode}"
                self.reports[uid] = json.loads(said)
        return self.reports

    def total(self, what: str) -> int:
        return sum(report[what] for report in self.reports.values())

    def answered(self) -> collections.Counter[tuple[int, str]]:
        """Refusals that this enemy has seen, by uid and code."""
        seen: collections.Counter[tuple[int, str]] = collections.Counter()
        for uid, report in self.reports.items():
            for code, count in report["codes"].items():
                seen[uid, code] += count
            seen[uid, "busy"] += report["refused"]
        return +seen


def recorded(records: list[dict[str, Any]]) -> tuple[collections.Counter[tuple[int, str]], collections.Counter[int]]:
    """(refusals by uid and code, those counted together included; records that they took by uid)."""
    refusals: collections.Counter[tuple[int, str]] = collections.Counter()
    lines: collections.Counter[int] = collections.Counter()
    for record in records:
        uid = record["peer"]["uid"] if record.get("peer") else -1
        if record["event"] == "decision" and record["decision"] == "deny":
            refusals[uid, record["code"]] += 1
            lines[uid] += 1
        elif record["event"] == "suppressed":
            refusals[uid, record["code"]] += record["count"]
            lines[uid] += 1
    return refusals, lines
