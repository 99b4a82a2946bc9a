"""What the daemon says: progress events and the one answer to a request."""

from __future__ import annotations

import dataclasses
import enum
from typing import Any, Dict, Mapping, Optional


class Code(str, enum.Enum):
    """How a request ended. A code that this client does not know yet arrives as INTERNAL, and never as OK."""

    OK = "ok"
    BAD_REQUEST = "bad_request"
    UNKNOWN_CALLER = "unknown_caller"
    BAD_SIGNATURE = "bad_signature"
    STALE = "stale"
    ID_REUSED = "id_reused"
    PEER_NOT_ALLOWED = "peer_not_allowed"
    ACTION_UNKNOWN = "action_unknown"
    ACTION_NOT_ALLOWED = "action_not_allowed"
    PARAMETERS_INVALID = "parameters_invalid"
    PARAMETERS_NOT_ALLOWED = "parameters_not_allowed"
    RATE_LIMITED = "rate_limited"
    BUSY = "busy"
    UNAVAILABLE = "unavailable"
    AUDIT_UNAVAILABLE = "audit_unavailable"
    SHUTTING_DOWN = "shutting_down"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    ACTION_FAILED = "action_failed"
    NOT_HEALED = "not_healed"
    INTERRUPTED = "interrupted"
    INTERNAL = "internal"

    def __str__(self) -> str:
        return self.value


class Verdict(str, enum.Enum):
    """Did the machine get better? Only a check of the daemon says HEALED."""

    HEALED = "healed"
    UNCHANGED = "unchanged"
    WORSE = "worse"
    UNVERIFIABLE = "unverifiable"

    def __str__(self) -> str:
        return self.value


#: The codes that may come without a MAC: whoever gets them proved no key, or was turned away before being heard.
WITHOUT_MAC = frozenset({Code.BAD_REQUEST, Code.BAD_SIGNATURE, Code.UNKNOWN_CALLER, Code.BUSY})


@dataclasses.dataclass(frozen=True)
class Event:
    """Progress of a running action. Its MAC has been checked."""

    request_id: str
    sequence: int
    kind: str  #: "started", "progress" or "output"
    text: str


@dataclasses.dataclass(frozen=True)
class Answer:
    """The answer to one request."""

    request_id: str
    success: bool
    output: str  #: for people; `result` is for programs
    error: Optional[str]
    duration_ms: int
    code: Code
    verdict: Optional[Verdict] = None  #: None when nothing ran
    audit_seq: Optional[int] = None  #: the record of the decision in the audit log
    retry_after: Optional[float] = None  #: seconds
    output_truncated: bool = False
    result: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    replayed: bool = False  #: the recorded answer to the same request, asked again
    authenticated: bool = True  #: False only for refusals of somebody who proved no key, and in version 1

    @property
    def healed(self) -> bool:
        """The daemon looked, and the machine is better: the only success to rely on."""
        return self.success and self.verdict is Verdict.HEALED


class Malformed(ValueError):
    """A value that the protocol does not allow where it stands."""


def _member(value: Mapping[str, Any], name: str, kind: type, optional: bool = False) -> Any:
    """The member, if it is of that type. bool is no int here, though it is one in Python."""
    found = value.get(name)
    if found is None and optional:
        return None
    if not isinstance(found, kind) or (kind is int and isinstance(found, bool)):
        raise Malformed(f"its member {name!r} is missing or of the wrong type")
    return found


def read_answer(value: Dict[str, Any], authenticated: bool) -> Answer:
    """The `response` object of version 2."""
    name = _member(value, "code", str)
    verdict = _member(value, "verdict", str, optional=True)
    retry_after_ms = _member(value, "retry_after_ms", int, optional=True)
    code = Code(name) if name in Code._value2member_map_ else Code.INTERNAL
    success = _member(value, "success", bool)
    if success != (code is Code.OK):
        raise Malformed(f"success {success} does not go with the code {name}")
    return Answer(
        request_id=_member(value, "request_id", str),
        success=success,
        output=_member(value, "output", str),
        error=_member(value, "error", str, optional=True),
        duration_ms=_member(value, "duration_ms", int),
        code=code,
        verdict=Verdict(verdict) if verdict in Verdict._value2member_map_ else None,
        audit_seq=_member(value, "audit_seq", int, optional=True),
        retry_after=None if retry_after_ms is None else retry_after_ms / 1000,
        output_truncated=bool(_member(value, "output_truncated", bool, optional=True)),
        result=_member(value, "result", dict, optional=True) or {},
        replayed=bool(_member(value, "replayed", bool, optional=True)),
        authenticated=authenticated,
    )


def read_event(value: Dict[str, Any]) -> Event:
    """The `event` object of version 2."""
    return Event(
        request_id=_member(value, "request_id", str),
        sequence=_member(value, "sequence", int),
        kind=_member(value, "kind", str),
        text=_member(value, "text", str),
    )


def read_answer_v1(value: Dict[str, Any]) -> Answer:
    """The prototype's five members and nothing else."""
    if set(value) != {"request_id", "success", "output", "error", "duration_ms"}:
        raise Malformed("its members are not those of version 1")
    success = _member(value, "success", bool)
    return Answer(
        request_id=_member(value, "request_id", str),
        success=success,
        output=_member(value, "output", str, optional=True) or "",
        error=_member(value, "error", str, optional=True),
        duration_ms=_member(value, "duration_ms", int),
        code=Code.OK if success else Code.ACTION_FAILED,  # version 1 has no codes
        authenticated=False,
    )
