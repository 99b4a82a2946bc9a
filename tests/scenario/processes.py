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


def is_keeper(pid):
    """The helper of the executor that is no worker of it (executor/keeper.h)."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/comm", encoding="utf-8") as file:
        return file.read() == "healing-keeper\n"
    return False


def descendants_of(pid, with_keeper=False):
    found = {}
    for child, what in children_of(pid).items():
        if with_keeper or not is_keeper(child):
            found[child] = what
            found.update(descendants_of(child))
    return found


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except (FileNotFoundError, ProcessLookupError):
        return False


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
