"""What is created in folders while a test runs (inotify(7)), and folders that one process has for itself."""

import ctypes
import os
import select
import struct

IN_MODIFY, IN_CREATE, IN_MOVED_TO = 0x2, 0x100, 0x80
CLONE_NEWNS = 0x00020000
MS_REC, MS_PRIVATE = 0x4000, 1 << 18
SHARED = "/tmp", "/var/tmp", "/dev/shm"
LIBC = ctypes.CDLL(None, use_errno=True)


class Watch:
    """What happens to these paths from now on: names that come to be in folders, or other events."""

    def __init__(self, *paths, events=IN_CREATE | IN_MOVED_TO):
        self._fd = LIBC.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        for path in paths:
            if LIBC.inotify_add_watch(self._fd, path.encode(), events) < 0:
                raise OSError(ctypes.get_errno(), path)

    def close(self):
        os.close(self._fd)

    def wait(self):
        """Returns when something has happened since the last call."""
        select.select([self._fd], [], [])
        os.read(self._fd, 65536)

    def created(self):
        """The names since the last call."""
        names = []
        while select.select([self._fd], [], [], 0)[0]:
            events = os.read(self._fd, 65536)
            while events:
                size = struct.unpack_from("iIII", events)[3]
                names.append(events[16:16 + size].rstrip(b"\0").decode())
                events = events[16 + size:]
        return names


def have_own_shared_folders():
    """In a new process that is root: empty folders of its own in the place of those that everybody shares."""
    if LIBC.unshare(CLONE_NEWNS) != 0 or LIBC.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    for folder in SHARED:
        if LIBC.mount(b"lh-attack", folder.encode(), b"tmpfs", 0, b"mode=1777") != 0:
            raise OSError(ctypes.get_errno(), folder)
