"""What the processes of a running daemon hold, read from /proc, and what that looks like over an hour."""

import contextlib
import os
import subprocess
import threading
import time
from typing import Callable, NamedTuple

import load
import daemon


def children(pid: int) -> list[int]:
    """Direct children; cheap enough to ask often."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(child) for child in file.read().split()]
    return []


def gate_of(executor: int) -> int | None:
    """None while it is being replaced."""
    for child in children(executor):
        with contextlib.suppress(OSError), open(f"/proc/{child}/cmdline", "rb") as file:
            if file.read().endswith(b"--gate\0"):
                return child
    return None


def workers_of(executor: int) -> list[int]:
    gate = gate_of(executor)
    return [pid for pid in daemon.descendants_of(executor) if pid != gate]


def pss(pid: int | None) -> int:
    """Proportional set size in KiB (proc(5), smaps_rollup); 0 for a process that is gone. Needs root for ours."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return next((int(line.split()[1]) for line in file if line.startswith("Pss:")), 0)
    return 0


def descriptors(pid: int | None) -> int:
    with contextlib.suppress(OSError):
        return len(os.listdir(f"/proc/{pid}/fd"))
    return 0


def count_tree(pid: int) -> int:
    return 1 + sum(count_tree(child) for child in children(pid))


def log_size(folder: str) -> tuple[int, int]:
    """(bytes, files) of the log, without its keys and its reserve."""
    size = files = 0
    for entry in os.scandir(folder):
        with contextlib.suppress(FileNotFoundError):  # it was rotated
            if load.is_log_file(entry.name):
                size, files = size + entry.stat().st_size, files + 1
    return size, files


class Sample(NamedTuple):
    time: float  # seconds since the sampler's start
    executor_pss: int  # KiB
    gate_pss: int
    executor_fds: int
    gate_fds: int
    processes: int
    log_bytes: int
    log_files: int


class Sampler(threading.Thread):
    """Looks at a daemon once an interval, through its restarts, until it is told to stop."""

    def __init__(self, made: daemon.Daemon, interval: float = 1.0):
        super().__init__(daemon=True)
        self.made, self.interval = made, interval
        self.began = time.monotonic()
        self.samples: list[Sample] = []
        self._end = threading.Event()

    def now(self) -> float:
        return time.monotonic() - self.began

    def look(self) -> Sample | None:
        process = self.made.process
        if process is None:
            return None
        executor, gate = process.pid, gate_of(process.pid)
        sample = Sample(self.now(), pss(executor), pss(gate), descriptors(executor), descriptors(gate),
                        count_tree(executor), *log_size(self.made.log_folder))
        whole = sample.executor_pss > 0 and sample.gate_pss > 0  # else one of them has just been killed
        return sample if whole else None

    def look_at_rest(self) -> Sample:
        """Without the spare worker, which stays for ten seconds after the last action."""
        while True:
            sample = self.look()
            assert sample is not None
            waiting = [pid for pid, (_, line) in daemon.children_of(self.made.pid).items()
                       if daemon.stands_by(pid, line) and daemon.name_of(pid) != "healing-keeper"]
            if not waiting:
                return sample
            daemon.await_end(waiting[0])

    def run(self) -> None:
        while not self._end.wait(self.interval):
            if sample := self.look():
                self.samples.append(sample)

    def stop(self) -> list[Sample]:
        self._end.set()
        self.join()
        return self.samples

    def between(self, begin: float, end: float) -> list[Sample]:
        return [s for s in self.samples if begin <= s.time < end]


def quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else 0.0


# --- the picture ------------------------------------------------------------------------------------------------------

COLOURS = {"executor": "#1f5fa8", "gate": "#d2691e", "other": "#4a7a3a"}
POINTS = 720  # of one line; what lies between two points is shown by its highest value

SETUP = """
set terminal svg size 1000,1180 dynamic background rgb 'white' font 'DejaVu Sans,13'
set output '{picture}'
set multiplot layout 5,1 title '{title}' font ',15' margins 0.07,0.98,0.06,0.93 spacing 0,0.06
set grid ytics lc rgb '#dddddd'
set border 3
set tics nomirror out
set xrange [0:{minutes}]
set yrange [0:*]
set key at graph 1,1.2 right top horizontal
set style data lines
"""


class Line(NamedTuple):
    label: str
    colour: str
    points: list[tuple[float, float]]  # seconds, value


def _thinned(points: list[tuple[float, float]], seconds: float) -> list[tuple[float, float]]:
    bins: dict[int, tuple[float, float]] = {}
    for at, value in points:
        number = int(at / max(seconds / POINTS, 1e-9))
        if number not in bins or value > bins[number][1]:
            bins[number] = (at, value)
    return [bins[number] for number in sorted(bins)]


def _marks(times: list[float], colour: str) -> list[str]:
    """Thin upright lines in every panel."""
    return [f"set arrow from {at / 60:.4f}, graph 0 to {at / 60:.4f}, graph 1 nohead lw 0.4 lc rgb '{colour}' back"
            for at in times]


def draw(picture: str, title: str, seconds: float, panels: list[tuple[str, list[Line]]],
         marks: dict[str, list[float]]) -> None:
    """Panels above each other over one axis of minutes; `marks` are moments, by colour, shown in all of them."""
    script = [SETUP.format(picture=picture, title=title, minutes=max(seconds / 60, 0.1))]
    for colour, times in marks.items():
        script += _marks(times, colour)
    for number, (heading, lines) in enumerate(panels):
        script.append("set xlabel 'minutes'" if number == len(panels) - 1 else "unset xlabel")
        script.append(f"set label 1 '{heading}' at graph 0,1.1 left")
        script.append("plot " + ", ".join(f"'-' title '{line.label}' lw 1.4 lc rgb '{line.colour}'" for line in lines))
        for line in lines:
            script += [f"{at / 60:.4f} {value:.4g}" for at, value in _thinned(line.points, seconds)] + ["e"]
    script.append("unset multiplot")
    with open(picture + ".gnuplot", "w", encoding="ascii") as file:  # so that it can be drawn again
        file.write("\n".join(script) + "\n")
    subprocess.run(["gnuplot", file.name], check=True)


def over_time(samples: list[Sample], value: Callable[[Sample], float]) -> list[tuple[float, float]]:
    return [(s.time, value(s)) for s in samples]
