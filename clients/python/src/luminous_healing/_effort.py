"""One request's way to its answer, without doing any of it: what to believe, when to ask again, when to give up.

The blocking and the asyncio client share all of this; they add only how bytes are moved. The rule behind it: a request
is signed once and the same bytes are sent however often the connection breaks. The daemon runs it at most once.
"""

from __future__ import annotations

import errno
import socket
import time
from typing import Optional, Union

from ._answer import Answer, Code, Event, Malformed
from ._wire import MAX_FRAME, Key, SignedRequest, read
from .errors import InvalidAnswer, OutcomeUnknown, ServiceUnavailable

_FIRST_PAUSE = 0.05  # seconds; doubles up to the longest
_LONGEST_PAUSE = 1.0
_REASONS = {errno.ENOENT: "missing", errno.ENOTDIR: "missing", errno.EACCES: "denied", errno.EPERM: "denied",
            errno.ECONNREFUSED: "refused", errno.EAGAIN: "overloaded"}
_ADVICE = {
    "missing": "there is no socket {}: start the daemon (systemctl start luminous-healing.socket) or name its socket",
    "denied": "no permission to use {}: add your user to the socket's group (usermod -aG luminous-healing USER) "
              "and log in again",
    "refused": "nobody listens at {}: the daemon is down (systemctl status luminous-healing, then systemctl start it)",
    "overloaded": "{} takes no connection: the daemon is overloaded or stopped",
}


class Lost(Exception):
    """The connection ended before the whole answer was there: the same bytes may be sent again."""


def connect(path: str) -> socket.socket:
    """A connected, non-blocking socket. A Unix socket connects at once or not at all; see unix(7)."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.connect(path)
    except OSError as error:
        sock.close()
        reason = _REASONS.get(error.errno or 0, "other")
        raise ServiceUnavailable(_ADVICE.get(reason, "{}: " + str(error)).format(path), reason) from error
    return sock


class Frames:
    """Cuts what is received into frames: lines in version 2; in version 1 everything until the connection closes."""

    def __init__(self, version: int) -> None:
        self._version = version
        self._buffer = b""
        self._ended = False

    def feed(self, data: bytes) -> None:
        """What was received; nothing means the end of the stream."""
        self._buffer += data
        self._ended = not data

    def take(self) -> Optional[bytes]:
        """The next frame, or None when more is needed. Raises Malformed when it can only be too long, Lost when no
        more will come."""
        line, newline, rest = self._buffer.partition(b"\n")
        if self._version == 2 and newline and len(line) <= MAX_FRAME:
            self._buffer = rest
            return line
        if len(line) > MAX_FRAME or len(self._buffer) > 2 * MAX_FRAME:
            raise Malformed(f"it is longer than {MAX_FRAME} bytes")
        if not self._ended:
            return None
        if self._version == 1 and self._buffer.rstrip().endswith(b"}"):
            return self._buffer
        raise Lost("the connection was lost " + ("in the middle of" if self._buffer else "before") + " an answer")


class Effort:
    """The state of one request between its first connection and its answer."""

    def __init__(self, request: SignedRequest, key: Key, timeout: float, patience: float) -> None:
        self.request = request
        self._key = key
        self._patience = patience
        self._deadline = self._give_up = time.monotonic() + timeout
        self._attempts = 0  # connections on which the request may have been heard
        self._begun = 0.0
        self._pause = _FIRST_PAUSE
        self._sequence = 0

    def begin(self) -> None:
        """A connection is there, and the request is about to be sent."""
        self._attempts += 1
        self._begun = time.monotonic()

    def left(self) -> float:
        """Seconds until the deadline; raises OutcomeUnknown when there are none."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise self.timed_out()
        return left

    def timed_out(self) -> OutcomeUnknown:
        return OutcomeUnknown("no answer in the time given", self.request.id)

    def not_connected(self, error: ServiceUnavailable) -> float:
        """Seconds to wait before the next attempt, or raises what the caller has to know."""
        if self._attempts == 0:
            if error.reason != "overloaded" or time.monotonic() + self._pause >= self._give_up:
                raise error
        elif error.reason not in ("missing", "refused", "overloaded"):  # not what a daemon being restarted looks like
            raise OutcomeUnknown(str(error), self.request.id) from error
        return self._next_pause(str(error))

    def lost(self, error: Lost) -> float:
        """Likewise, after a connection that ended without an answer."""
        now = time.monotonic()
        # A connection that lasted is a daemon that was back; one that is always closed at once is none.
        if self._attempts == 1 or now - self._begun > _LONGEST_PAUSE:
            self._give_up = min(self._deadline, now + self._patience)
        return self._next_pause(str(error))

    def _next_pause(self, why: str) -> float:
        pause, self._pause = self._pause, min(self._pause * 2, _LONGEST_PAUSE)
        if time.monotonic() + pause >= self._give_up:
            raise OutcomeUnknown(why, self.request.id)
        return pause

    def next(self, frames: Frames) -> Union[Event, Answer, None]:
        """What has been received, proven to be meant for this request; None when more is needed."""
        while True:
            try:
                frame = frames.take()
                found = None if frame is None else read(frame, self._key, self.request)
            except Malformed as error:
                raise InvalidAnswer(f"what was received is not believed: {error}", self.request.id) from error
            if isinstance(found, Event):
                if found.sequence <= self._sequence:
                    continue
                self._sequence = found.sequence
            elif found is not None:
                self._doubt_refusal(found)
            return found

    def _doubt_refusal(self, answer: Answer) -> None:
        """A refusal without proof says nothing about the same request on an earlier connection."""
        if answer.authenticated or self.request.version == 1 or self._attempts == 1:
            return
        if answer.code is Code.BUSY:
            raise Lost("the daemon is at its limits")
        raise OutcomeUnknown(f"asked again, the daemon refused with {answer.code}", self.request.id)
