"""What can go wrong, as types. Everything derives from HealingError; the first question is always whether it ran.

    HealingError
    ├── ServiceUnavailable       nothing was sent: the action did not run
    ├── OutcomeUnknown           it was sent, and no answer came: the audit log knows
    │   └── InvalidAnswer        something came that is no answer to this request: it is not believed
    └── Refused                  the daemon answered with another code than ok; `answer` has everything
        ├── Denied               the policy, or the proof of who asks: it did not run
        ├── TryLater             RateLimited, Busy, ShuttingDown: it did not run; the same may be granted later
        ├── NotPossible          Unavailable, AuditUnavailable, InternalError: the daemon could not, or not record it
        └── Ran                  ActionFailed, NotHealed, TimedOut, Cancelled, Interrupted: it ran at least in part
"""

from __future__ import annotations

from typing import Dict, Optional, Type

from ._answer import Answer, Code


class HealingError(Exception):
    """Base of all errors of this package. `request_id` finds the request in the audit log."""

    request_id: Optional[str] = None


class ServiceUnavailable(HealingError):
    """There is no connection to the daemon. Nothing was sent, so nothing ran. `reason` is "missing" (no socket),
    "denied" (no permission), "refused" (nobody listens), "overloaded" or "other"."""

    def __init__(self, message: str, reason: str = "other") -> None:
        super().__init__(message)
        self.reason = reason


class OutcomeUnknown(HealingError):
    """The request was sent and no answer came. Whether it ran stands in the audit log; asking again with the *same*
    signed request is safe, a new request is not."""

    def __init__(self, message: str, request_id: str) -> None:
        super().__init__(
            f"{message}. Whether request {request_id} ran stands in the audit log "
            f"(healctl audit show --id {request_id})"
        )
        self.request_id = request_id


class InvalidAnswer(OutcomeUnknown):
    """What came is not the daemon's answer to this request: a wrong MAC, another request's, torn, or too long."""


class Refused(HealingError):
    """The daemon answered, and the code is not `ok`."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.error or answer.output or str(answer.code))
        self.answer = answer
        self.request_id = answer.request_id

    @property
    def code(self) -> Code:
        return self.answer.code


class Denied(Refused):
    """The policy says no, or the request does not prove who asks. Nothing ran."""


class BadRequest(Denied):
    """The daemon does not understand the request: client and daemon disagree about the protocol."""


class NotAuthenticated(Denied):
    """The caller's name is unknown, or the key is not the caller's."""


class Stale(Denied):
    """The timestamp is too far from the daemon's clock: set this machine's clock."""


class IdReused(Denied):
    """The id was used for another request."""


class PeerNotAllowed(Denied):
    """The key is right, but this process's user may not use it."""


class ActionUnknown(Denied):
    """There is no such action, or it is not enabled."""


class ActionNotAllowed(Denied):
    """This caller may not have that action."""


class ParametersInvalid(Denied):
    """A parameter is missing, unknown or of the wrong kind."""


class ParametersNotAllowed(Denied):
    """The policy does not allow these values."""


class TryLater(Refused):
    """Nothing ran, and the same may be granted later."""

    @property
    def retry_after(self) -> Optional[float]:
        """Seconds until it is worth asking again, when the daemon knows."""
        return self.answer.retry_after


class RateLimited(TryLater):
    """The budget of the action or of the caller is used up."""


class Busy(TryLater):
    """The same target is being worked on, or the daemon is at one of its limits."""


class ShuttingDown(TryLater):
    """The daemon is stopping."""


class NotPossible(Refused):
    """Allowed, but the daemon could not do it, or could not record what came of it: `error` says which."""


class Unavailable(NotPossible):
    """This machine lacks what the action needs."""


class AuditUnavailable(NotPossible):
    """The audit log cannot be written. Nothing starts unrecorded; what had started says so in `error`."""


class InternalError(NotPossible):
    """A mistake in the daemon, or a code that this client does not know."""


class Ran(Refused):
    """It was started, and it did not end well."""


class ActionFailed(Ran):
    """It ran and failed."""


class NotHealed(Ran):
    """It ran, and the check afterwards found no improvement. `answer.verdict` says whether it got worse."""


class TimedOut(Ran):
    """Its time was up and it was ended."""


class Cancelled(Ran):
    """It was ended before its time."""


class Interrupted(Ran):
    """The daemon was stopped meanwhile; how far it came is not known. It is never run again by itself."""


_BY_CODE: Dict[Code, Type[Refused]] = {
    Code.BAD_REQUEST: BadRequest,
    Code.UNKNOWN_CALLER: NotAuthenticated,
    Code.BAD_SIGNATURE: NotAuthenticated,
    Code.STALE: Stale,
    Code.ID_REUSED: IdReused,
    Code.PEER_NOT_ALLOWED: PeerNotAllowed,
    Code.ACTION_UNKNOWN: ActionUnknown,
    Code.ACTION_NOT_ALLOWED: ActionNotAllowed,
    Code.PARAMETERS_INVALID: ParametersInvalid,
    Code.PARAMETERS_NOT_ALLOWED: ParametersNotAllowed,
    Code.RATE_LIMITED: RateLimited,
    Code.BUSY: Busy,
    Code.UNAVAILABLE: Unavailable,
    Code.AUDIT_UNAVAILABLE: AuditUnavailable,
    Code.SHUTTING_DOWN: ShuttingDown,
    Code.TIMEOUT: TimedOut,
    Code.CANCELLED: Cancelled,
    Code.ACTION_FAILED: ActionFailed,
    Code.NOT_HEALED: NotHealed,
    Code.INTERRUPTED: Interrupted,
    Code.INTERNAL: InternalError,
}


def checked(answer: Answer) -> Answer:
    """The answer if its code is `ok`; otherwise raises the exception of its code."""
    if answer.code is Code.OK:
        return answer
    raise _BY_CODE[answer.code](answer)
