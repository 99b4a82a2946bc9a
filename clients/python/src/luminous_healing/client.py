"""HealingClient: asks luminous-healingd and waits for its answer."""

from __future__ import annotations

import dataclasses
import socket
import time
from typing import Any, Dict, Iterator, List, Mapping, Optional, TypeVar, Union

from ._answer import Answer, Event
from ._effort import Effort, Frames, Lost, connect
from ._wire import SignedRequest, sign
from .credentials import find_credentials, find_socket
from .errors import ServiceUnavailable, checked

DEFAULT_TIMEOUT = 900.0  # seconds; longer than any built-in action may take
DEFAULT_PATIENCE = 30.0  # of that, how long a lost daemon may take to be back, as a restart does

_Client = TypeVar("_Client", bound="BaseClient")


@dataclasses.dataclass(frozen=True)
class Options:
    """What a request may say beside its action and parameters."""

    reason: Optional[str] = None  #: why, for the audit log; at most 512 bytes
    audience: Optional[str] = None  #: refuse unless this is the host's name or machine-id
    deadline: Optional[float] = None  #: seconds; what the daemon cannot finish in that time, it ends


class BaseClient:
    """What the blocking and the asyncio client have in common: settings, and signing."""

    def __init__(self, *, socket_path: Optional[str] = None, caller: Optional[str] = None, key: Optional[str] = None,
                 key_file: Optional[str] = None, timeout: float = DEFAULT_TIMEOUT,
                 patience: float = DEFAULT_PATIENCE) -> None:
        """Everything may be left out: socket, caller and key are then found where healctl finds them.

        timeout   seconds for one request: connecting, running and reconnecting
        patience  of that, seconds that a lost daemon may take to be back
        """
        self.socket_path = find_socket(socket_path)
        self.caller, self._key = find_credentials(caller, key, key_file)
        self.timeout = timeout
        self.patience = patience
        self._options = Options()

    def with_options(self: _Client, *, reason: Optional[str] = None, audience: Optional[str] = None,
                     deadline: Optional[float] = None) -> _Client:
        """A client like this one whose requests say this too: client.with_options(reason="…").run(…)."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other._options = Options(reason, audience, deadline)
        return other

    def sign(self, action: str, parameters: Optional[Mapping[str, Any]] = None, *, request_id: Optional[str] = None,
             plan: bool = False, stream: bool = False) -> SignedRequest:
        """A request that can be kept, and sent any number of times with ask(): it runs at most once."""
        options = self._options
        return sign(
            self._key, self.caller, action, parameters or {}, request_id=request_id,
            mode="plan" if plan else None,
            audience=options.audience,
            deadline_ms=None if options.deadline is None else max(int(options.deadline * 1000), 1),
            stream=True if stream else None,
            reason=options.reason,
        )

    def _effort(self, request: SignedRequest) -> Effort:
        return Effort(request, self._key, self.timeout, self.patience)


class Progress:
    """The events of a running action, as an iterator; result() is its answer."""

    def __init__(self, found: Iterator[Union[Event, Answer]]) -> None:
        self._found = found
        self.answer: Optional[Answer] = None

    def __iter__(self) -> Iterator[Event]:
        for found in self._found:
            if isinstance(found, Event):
                yield found
            else:
                self.answer = found

    def result(self) -> Answer:
        """The answer, once the remaining events have passed; raises the exception of its code unless that is ok."""
        for _ in self:
            pass
        assert self.answer is not None  # the conversation ends with an answer or raises
        return checked(self.answer)


class HealingClient(BaseClient):
    """Asks, and blocks until the answer is there. Holds no connection and no thread; one client does for any number of
    requests, from any number of threads.

        client = HealingClient(caller="self-healing", key_file="/etc/…/key")
        answer = client.run("restart_service", service="nginx")
        print(answer.verdict, answer.output)
    """

    def run(self, action: str, /, **parameters: Any) -> Answer:
        """Has the action run. Raises the exception of the answer's code (errors.py) unless that is ok."""
        return checked(self.ask(self.sign(action, parameters)))

    def plan(self, action: str, /, **parameters: Any) -> Answer:
        """What would be done: everything but running. The plan is in `result`."""
        return checked(self.ask(self.sign(action, parameters, plan=True)))

    def stream(self, action: str, /, **parameters: Any) -> Progress:
        """Has the action run; iterate over its events, then take result()."""
        return Progress(self.converse(self.sign(action, parameters, stream=True)))

    def status(self) -> Dict[str, Any]:
        """What the daemon says of itself."""
        return dict(self.run("status").result)

    def actions(self) -> List[Dict[str, Any]]:
        """The actions that this caller may have: name, summary, parameters, remaining budget, …"""
        return list(self.run("status", detail="actions").result["actions"])

    def confirm(self, request_id: str) -> Answer:
        """Confirms a running action that waits for it (restart_network with confirm_within)."""
        return self.run("confirm", request_id=request_id)

    def ask(self, request: SignedRequest) -> Answer:
        """The answer to a signed request, whatever its code. Safe to call again with the same request."""
        answer: Optional[Answer] = None
        for found in self.converse(request):
            if isinstance(found, Answer):
                answer = found
        assert answer is not None  # the conversation ends with an answer or raises
        return answer

    def converse(self, request: SignedRequest) -> Iterator[Union[Event, Answer]]:
        """Events as they come, and the answer at the end. Sends the same bytes again when the connection is lost."""
        effort = self._effort(request)
        while True:
            try:
                sock = connect(self.socket_path)
            except ServiceUnavailable as error:
                pause = effort.not_connected(error)
            else:
                try:
                    with sock:
                        yield from _exchange(sock, effort)
                    return
                except Lost as error:
                    pause = effort.lost(error)
            time.sleep(pause)


def _exchange(sock: socket.socket, effort: Effort) -> Iterator[Union[Event, Answer]]:
    effort.begin()
    try:
        sock.settimeout(effort.left())
        sock.sendall(effort.request.frame)
    except socket.timeout:
        raise effort.timed_out() from None
    except OSError:
        pass  # a daemon at its limits answers `busy` and closes without reading: the answer may be there
    frames = Frames(effort.request.version)
    while True:
        found = effort.next(frames)
        if found is None:
            frames.feed(_receive(sock, effort))
            continue
        yield found
        if isinstance(found, Answer):
            return


def _receive(sock: socket.socket, effort: Effort) -> bytes:
    try:
        sock.settimeout(effort.left())
        return sock.recv(65536)
    except socket.timeout:
        raise effort.timed_out() from None
    except OSError as error:
        raise Lost(f"the connection was lost: {error.strerror}") from error
