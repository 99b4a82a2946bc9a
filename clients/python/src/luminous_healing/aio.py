"""AsyncHealingClient: the same for asyncio."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, AsyncIterator, Dict, List, Optional, Union

from ._answer import Answer, Event
from ._effort import Effort, Frames, Lost, connect
from ._wire import SignedRequest
from .client import BaseClient
from .errors import ServiceUnavailable, checked


class AsyncProgress:
    """The events of a running action, as an asynchronous iterator; result() is its answer."""

    def __init__(self, found: AsyncIterator[Union[Event, Answer]]) -> None:
        self._found = found
        self.answer: Optional[Answer] = None

    async def __aiter__(self) -> AsyncIterator[Event]:
        async for found in self._found:
            if isinstance(found, Event):
                yield found
            else:
                self.answer = found

    async def result(self) -> Answer:
        """The answer, once the remaining events have passed; raises the exception of its code unless that is ok."""
        async for _ in self:
            pass
        assert self.answer is not None  # the conversation ends with an answer or raises
        return checked(self.answer)


class AsyncHealingClient(BaseClient):
    """HealingClient for asyncio: the same settings and words, to be awaited.

    Cancelling a call ends the waiting, not the action: what was asked for goes on, and stands in the audit log.
    """

    async def run(self, action: str, /, **parameters: Any) -> Answer:
        """Has the action run. Raises the exception of the answer's code (errors.py) unless that is ok."""
        return checked(await self.ask(self.sign(action, parameters)))

    async def plan(self, action: str, /, **parameters: Any) -> Answer:
        """What would be done: everything but running. The plan is in `result`."""
        return checked(await self.ask(self.sign(action, parameters, plan=True)))

    def stream(self, action: str, /, **parameters: Any) -> AsyncProgress:
        """Has the action run; iterate over its events, then await result()."""
        return AsyncProgress(self.converse(self.sign(action, parameters, stream=True)))

    async def status(self) -> Dict[str, Any]:
        """What the daemon says of itself."""
        return dict((await self.run("status")).result)

    async def actions(self) -> List[Dict[str, Any]]:
        """The actions that this caller may have: name, summary, parameters, remaining budget, …"""
        return list((await self.run("status", detail="actions")).result["actions"])

    async def confirm(self, request_id: str) -> Answer:
        """Confirms a running action that waits for it (restart_network with confirm_within)."""
        return await self.run("confirm", request_id=request_id)

    async def ask(self, request: SignedRequest) -> Answer:
        """The answer to a signed request, whatever its code. Safe to call again with the same request."""
        answer: Optional[Answer] = None
        async for found in self.converse(request):
            if isinstance(found, Answer):
                answer = found
        assert answer is not None  # the conversation ends with an answer or raises
        return answer

    async def converse(self, request: SignedRequest) -> AsyncIterator[Union[Event, Answer]]:
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
                        async for found in _exchange(sock, effort):
                            yield found
                    return
                except Lost as error:
                    pause = effort.lost(error)
            await asyncio.sleep(pause)


async def _exchange(sock: socket.socket, effort: Effort) -> AsyncIterator[Union[Event, Answer]]:
    # Not asyncio's streams: they drop what has been received when sending fails, and that may be the answer.
    loop = asyncio.get_running_loop()
    effort.begin()
    try:
        await asyncio.wait_for(loop.sock_sendall(sock, effort.request.frame), effort.left())
    except asyncio.TimeoutError:
        raise effort.timed_out() from None
    except OSError:
        pass  # a daemon at its limits answers `busy` and closes without reading: the answer may be there
    frames = Frames(effort.request.version)
    while True:
        found = effort.next(frames)
        if found is None:
            frames.feed(await _receive(sock, effort))
            continue
        yield found
        if isinstance(found, Answer):
            return


async def _receive(sock: socket.socket, effort: Effort) -> bytes:
    try:
        return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sock, 65536), effort.left())
    except asyncio.TimeoutError:
        raise effort.timed_out() from None
    except OSError as error:
        raise Lost(f"the connection was lost: {error.strerror}") from error
