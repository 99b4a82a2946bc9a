"""Looking at processes, and waiting for their ends."""

import contextlib
import os
import select


def children_of(parent):
    """{pid: (state, command line)} of the direct children of a process."""
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        with contextlib.suppress(OSError, IndexError):
            with open(f"/proc/{entry}/stat", "rb") as file:
                state, ppid = file.read().rpartition(b")")[2].split()[:2]
            if int(ppid) != parent:
                continue
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                found[int(entry)] = (state.decode(), file.read().replace(b"\0", b" ").decode(errors="replace").strip())
    return found


def name_of(pid):
    """As ps(1) shows it; empty when the process is gone."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/comm", encoding="utf-8") as file:
        return file.read().rstrip("\n")
    return ""


def stands_by(pid, line):
    """No gate and no worker of the executor: its keeper (executor/keeper.h), and who has no orders (worker.h), also
    right after fork(2), when it has the executor's name, or execve(2), when it has that of a descriptor."""
    name = name_of(pid)
    return (name in ("healing-keeper", "healing-spare") or (name == "luminous-healin" and not line.endswith("--gate"))
            or (line == "luminous-healing-launcher" and name != "healing-worker"))


def spare_of(executor):
    """The worker without orders that waits beside the executor, or nothing. One that was killed while somebody traced it
    is nobody's to reap before the tracer has ended, and waits no more."""
    return next((pid for pid, (state, _) in children_of(executor).items()
                 if state not in "ZX" and name_of(pid) == "healing-spare"), None)


def descendants_of(pid, with_helpers=False):
    found = {}
    for child, what in children_of(pid).items():
        if with_helpers or not stands_by(child, what[1]):
            found[child] = what
            found.update(descendants_of(child))
    return found


def state_of(pid):
    """One letter, as in proc_pid_stat(5)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0].decode()
    except (FileNotFoundError, ProcessLookupError):
        return "X"


def is_alive(pid):
    return state_of(pid) not in ("Z", "X")


def await_end(pid):
    """Returns when that process has ended, or at once when there is none."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        select.select([fd], [], [])
    finally:
        os.close(fd)


def ends_within(pidfd, seconds):
    """True as soon as it has ended; the time is only the patience of a test that fails."""
    return bool(select.select([pidfd], [], [], seconds)[0])


def kill_as(pid, number):
    """A signal to a process of the daemon, unless it has ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
