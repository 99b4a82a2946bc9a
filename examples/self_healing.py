#!/usr/bin/env python3
"""Keeps a machine healthy: sees failed units and memory pressure, asks Luminous Healing, believes only its verdict.

    self_healing.py                         looks every ten seconds, for ever
    self_healing.py --once --plan           says what it would ask for, and changes nothing

It needs no privilege: it reads what everybody may read, and the daemon's policy decides what becomes of its wishes.
Caller and key are found as for healctl. Each wish has a cool-down, which doubles whenever asking did not help: a unit
that will not stay up is not restarted for ever, and gets its first chance again once it was seen well for a while.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import time
from typing import Any, Callable, Dict, List, Optional, Tuple

try:
    import luminous_healing as healing
except ImportError:  # run from the source tree
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "clients", "python", "src"))
    import luminous_healing as healing

log = logging.getLogger("self-healing")
What = Tuple[str, Tuple[Tuple[str, Any], ...]]  # an action and its parameters


def failed_units(patterns: List[str]) -> List[str]:
    """Names of the failed units, as systemd's manager says over D-Bus (org.freedesktop.systemd1(5))."""
    reply = subprocess.run(
        ["busctl", "--json=short", "call", "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
         "org.freedesktop.systemd1.Manager", "ListUnitsByPatterns", "asas", "1", "failed",
         str(len(patterns)), *patterns],
        stdout=subprocess.PIPE, check=True, timeout=30)
    (units,) = json.loads(reply.stdout)["data"]
    return [unit[0] for unit in units]


def memory_pressure(path: str = "/proc/pressure/memory") -> float:
    """Percent of the last ten seconds in which some task waited for memory; see the kernel's accounting/psi.rst."""
    with open(path, encoding="ascii") as file:
        some = file.readline().split()  # some avg10=0.00 avg60=0.00 avg300=0.00 total=0
    return float(some[1].partition("=")[2])


class Wish:
    """One thing to ask for, and when it may be asked for next. Times are of one clock, in seconds."""

    def __init__(self, cool_down: float, longest: float) -> None:
        self.longest, self.wait = longest, cool_down
        self.not_before = 0.0
        self.well_since: Optional[float] = None

    def is_due(self, now: float) -> bool:
        self.well_since = None
        return now >= self.not_before

    def helped(self, now: float) -> None:
        self.not_before = now + self.wait

    def did_not_help(self, now: float, at_least: float = 0.0) -> None:
        self.wait = min(self.wait * 2, self.longest)
        self.not_before = now + max(self.wait, at_least)

    def may_be_forgotten(self, now: float) -> bool:
        """Nothing has been wrong for as long as the wait."""
        self.well_since = now if self.well_since is None else self.well_since
        return now >= self.not_before and now - self.well_since >= self.wait


class Healer:
    def __init__(self, client: healing.HealingClient, options: argparse.Namespace) -> None:
        self.client, self.options = client, options
        self.wishes: Dict[What, Wish] = {}

    def symptoms(self) -> Dict[What, str]:
        """What is wrong and would be asked for: why. One look that fails does not keep the others from looking."""
        found: Dict[What, str] = {}

        def look_at_units() -> None:
            for unit in failed_units(self.options.units):
                found["restart_service", (("service", unit),)] = f"{unit} has failed"

        def look_at_memory() -> None:
            pressure = memory_pressure()
            if pressure >= self.options.memory_pressure:
                found["clear_system_cache", ()] = f"memory pressure is {pressure:.0f} %"

        looks: List[Callable[[], None]] = [look_at_units, look_at_memory]
        for look in looks:
            try:
                look()
            except (OSError, ValueError, subprocess.SubprocessError) as error:
                log.error("cannot %s: %s", look.__name__.replace("_", " "), error)
        return found

    def round(self, now: float) -> bool:
        """Looks, and asks for what is due. True when all that was wrong has been healed."""
        symptoms, all_well = self.symptoms(), True
        for what in [what for what in self.wishes if what not in symptoms]:
            if self.wishes[what].may_be_forgotten(now):
                del self.wishes[what]
        for what, why in symptoms.items():
            wish = self.wishes.setdefault(what, Wish(self.options.cool_down, self.options.longest_cool_down))
            if wish.is_due(now):
                all_well = self.ask(wish, what, why, now) and all_well
            else:
                log.info("%s; %s may be asked for again in %.0f s", why, what[0], wish.not_before - now)
                all_well = False
        return all_well

    def ask(self, wish: Wish, what: What, why: str, now: float) -> bool:
        """Only the verdict counts. True when the machine is better."""
        action, parameters = what[0], dict(what[1])
        client = self.client.with_options(reason=why)
        log.warning("%s: asking for %s %s", why, action, parameters or "")
        try:
            answer = (client.plan if self.options.plan else client.run)(action, **parameters)
        except healing.TryLater as error:
            log.warning("%s: not now: %s", action, error)
            wish.did_not_help(now, error.retry_after or 0.0)
            return False
        except healing.HealingError as error:  # denied, failed, not healed, unreachable, or nobody knows
            log.error("%s: %s: %s", action, type(error).__name__, error)
            wish.did_not_help(now)
            return False
        log.warning("%s: verdict %s: %s", action, answer.verdict, answer.output.strip())
        if answer.healed or self.options.plan:
            wish.helped(now)
        else:
            wish.did_not_help(now)
        return answer.healed


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    option = parser.add_argument
    option("--units", nargs="+", default=["*.service"], metavar="GLOB", help="units to look after")
    option("--memory-pressure", type=float, default=20.0, metavar="PERCENT", help="from here on it is too much")
    option("--interval", type=float, default=10.0, metavar="SECONDS", help="between two looks")
    option("--cool-down", type=float, default=60.0, metavar="SECONDS", help="between two times of asking")
    option("--longest-cool-down", type=float, default=3600.0, metavar="SECONDS", help="however often it did not help")
    option("--once", action="store_true", help="look once; exit status 0: nothing is wrong, or it has been healed")
    option("--plan", action="store_true", help="ask only what would be done")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    try:
        healer = Healer(healing.HealingClient(), options)
    except healing.HealingError as error:
        sys.exit(f"self_healing.py: {error}")
    while True:
        all_well = healer.round(time.monotonic())
        if options.once:
            sys.exit(0 if all_well else 1)
        time.sleep(options.interval)


if __name__ == "__main__":
    main()
