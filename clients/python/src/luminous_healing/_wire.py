"""The wire, without any input or output: signing requests, and reading what comes back.

A version 2 request is signed over its exact bytes, and an answer's MAC covers the MAC of its request: an answer that
passes here was made by somebody with the key, for this very request.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import hmac
import json
import re
import uuid
from typing import Any, Dict, List, Mapping, NoReturn, Optional, Tuple, Union

from ._answer import WITHOUT_MAC, Answer, Code, Event, Malformed, read_answer, read_answer_v1, read_event

MAX_FRAME = 65536  # bytes, each way
_SPACE = " \t\r\n"  # what JSON, and a key file's edges, mean by white space
_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


@dataclasses.dataclass(frozen=True)
class SignedRequest:
    """The bytes of one request. Sending them twice runs the action once: the second time the daemon repeats its answer,
    or waits for it."""

    id: str
    action: str
    mac: str
    frame: bytes
    version: int = 2


class Key:
    """A caller's key. Its text, without white space around it, is the key, as for the daemon."""

    def __init__(self, text: Union[str, bytes]) -> None:
        data = text.encode() if isinstance(text, str) else bytes(text)
        self._bytes = data.strip(_SPACE.encode())
        if not self._bytes:
            raise ValueError("the key is empty: make one with healctl keygen")

    def __repr__(self) -> str:
        return "Key(…)"

    def mac(self, message: bytes) -> str:
        return hmac.new(self._bytes, message, hashlib.sha256).hexdigest()


def _write(value: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except UnicodeEncodeError as error:
        found = error.object[error.start]
        raise ValueError(f"the parameters hold a lone surrogate, which is no text: {found!r}") from None


def _identifier(given: Optional[str]) -> str:
    if given is not None and not _ID.fullmatch(given):
        raise ValueError("a request's id is 1 to 128 of A-Z a-z 0-9 . _ : -")
    return given or uuid.uuid4().hex


def _fitting(frame: bytes) -> bytes:
    if len(frame) > MAX_FRAME:
        raise ValueError(f"the request has {len(frame)} bytes, at most {MAX_FRAME} are allowed: shorten its parameters")
    return frame


def sign(
    key: Key,
    caller: str,
    action: str,
    parameters: Mapping[str, Any],
    *,
    request_id: Optional[str] = None,
    timestamp: Optional[str] = None,
    **options: Any,
) -> SignedRequest:
    """Version 2. Of `options` (mode, audience, deadline_ms, stream, reason) those that are None are left out."""
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")
    request: Dict[str, Any] = {"id": _identifier(request_id), "action": action, "parameters": dict(parameters)}
    request["timestamp"] = timestamp or now
    request.update((name, value) for name, value in options.items() if value is not None)
    return sign_bytes(key, caller, _write(request), request["id"], action)


def sign_bytes(key: Key, caller: str, request: bytes, request_id: str, action: str) -> SignedRequest:
    mac = key.mac(b"luminous-healing/2 request\n" + request)
    envelope = b'{"v":2,"caller":%s,"mac":"%s","request":%s}\n' % (
        json.dumps(caller).encode(), mac.encode(), request)
    return SignedRequest(request_id, action, mac, _fitting(envelope))


def sign_v1(key: Key, action: str, parameters: Mapping[str, Any], request_id: Optional[str] = None) -> SignedRequest:
    """Version 1. Its signature does not cover the parameters, and its time is this machine's local one."""
    identifier, timestamp = _identifier(request_id), datetime.datetime.now().isoformat()
    mac = key.mac(f"{identifier}:{action}:{timestamp}".encode())
    frame = _write({"id": identifier, "action": action, "parameters": dict(parameters), "timestamp": timestamp,
                    "signature": mac})
    return SignedRequest(identifier, action, mac, _fitting(frame), version=1)


# --- reading --------------------------------------------------------------------------------------------------------


def _no_constant(name: str) -> NoReturn:
    raise Malformed(f"{name} is no JSON")


def _no_duplicates(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Malformed("a member stands in it twice")
    return members


_DECODER = json.JSONDecoder(parse_constant=_no_constant, object_pairs_hook=_no_duplicates)


def _skip(text: str, at: int, wanted: str = "") -> int:
    """Past white space, and past `wanted` after it."""
    while at < len(text) and text[at] in _SPACE:
        at += 1
    if not text.startswith(wanted, at):
        raise Malformed("it is not JSON")
    return at + len(wanted)


def _members(text: str) -> Dict[str, Tuple[Any, str]]:
    """The members of one JSON object: each value, and the exact text that it was written in."""
    members: Dict[str, Tuple[Any, str]] = {}
    at = _skip(text, 0, "{")
    while True:
        name, at = _DECODER.raw_decode(text, _skip(text, at))
        begin = _skip(text, _skip(text, at, ":"))
        value, at = _DECODER.raw_decode(text, begin)
        if not isinstance(name, str) or name in members:
            raise Malformed("a member's name is none, or stands in it twice")
        members[name] = (value, text[begin:at])
        at = _skip(text, at)
        if not text.startswith(",", at):
            break
        at += 1
    if _skip(text, _skip(text, at, "}")) != len(text):
        raise Malformed("something follows it")
    return members


def _decode(frame: bytes) -> Dict[str, Tuple[Any, str]]:
    if len(frame) > MAX_FRAME:
        raise Malformed(f"it is longer than {MAX_FRAME} bytes")
    try:
        return _members(frame.decode("utf-8", "strict"))
    except Malformed:
        raise
    except (ValueError, RecursionError):  # no UTF-8, no JSON, a number of too many digits, nested too deep
        raise Malformed("it is not JSON") from None


def read(frame: bytes, key: Key, request: SignedRequest) -> Union[Event, Answer]:
    """One frame from the daemon. Raises Malformed unless it is an answer, or an event, to this request."""
    members = _decode(frame)
    if request.version == 1:
        return _read_v1({name: value for name, (value, _) in members.items()}, request)
    kind = "event" if "event" in members else "response"
    if set(members) != {"v", "mac", kind}:
        raise Malformed("it is not an answer of luminous-healingd")
    version, mac = members["v"][0], members["mac"][0]
    value, raw = members[kind]
    if version != 2 or isinstance(version, bool) or not isinstance(value, dict):
        raise Malformed("it is not an answer of version 2")
    if mac is not None:
        expected = key.mac(f"luminous-healing/2 {kind}\n{request.mac}\n{raw}".encode())
        if not isinstance(mac, str) or not hmac.compare_digest(mac.encode(), expected.encode()):
            raise Malformed("its MAC is wrong: it is not from this daemon, or not for this request")
    found: Union[Event, Answer] = read_event(value) if kind == "event" else read_answer(value, mac is not None)
    _check_proof(found, mac is not None, request)
    return found


def _check_proof(found: Union[Event, Answer], authenticated: bool, request: SignedRequest) -> None:
    if not authenticated and (isinstance(found, Event) or found.code not in WITHOUT_MAC):
        raise Malformed("it has no MAC")
    unread = isinstance(found, Answer) and found.code in WITHOUT_MAC and found.request_id == "unknown"
    if found.request_id != request.id and not unread:
        raise Malformed("it names another request")


def _read_v1(value: Dict[str, Any], request: SignedRequest) -> Answer:
    refused = value.get("response")
    if value.get("v") == 2 and isinstance(refused, dict) and refused.get("code") == Code.BUSY:
        return read_answer(refused, False)  # turned away before anybody knew which version it would speak
    answer = read_answer_v1(value)
    if answer.request_id not in (request.id, "unknown"):
        raise Malformed("it names another request")
    if answer.success and answer.request_id != request.id:
        raise Malformed("it names no request")
    return answer


#: The prototype's words for the refusals that it knew.
def words_of_the_prototype(answer: Answer, action: str) -> Optional[str]:
    if answer.code is Code.BAD_REQUEST:
        return "Invalid request format"
    if answer.code in (Code.BAD_SIGNATURE, Code.UNKNOWN_CALLER):
        return "Invalid signature"
    if answer.code in (Code.ACTION_UNKNOWN, Code.ACTION_NOT_ALLOWED):
        return f"Action {action} not allowed"
    if answer.code is Code.RATE_LIMITED:
        return "Rate limit exceeded"
    return answer.error
