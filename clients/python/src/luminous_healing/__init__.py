"""Asks luminous-healingd, the privileged healing executor, to heal this machine.

    from luminous_healing import HealingClient

    HealingClient().run("restart_service", service="nginx")

Standard library only. The prototype's surface is in luminous_healing.prototype, and here as well.
"""

from ._answer import Answer, Code, Event, Verdict
from ._wire import SignedRequest
from .aio import AsyncHealingClient, AsyncProgress
from .client import HealingClient, Progress
from .credentials import NoKey
from .errors import (
    ActionFailed, ActionNotAllowed, ActionUnknown, AuditUnavailable, BadRequest, Busy, Cancelled, Denied, HealingError,
    IdReused, InternalError, Interrupted, InvalidAnswer, NotAuthenticated, NotHealed, NotPossible, OutcomeUnknown,
    ParametersInvalid, ParametersNotAllowed, PeerNotAllowed, Ran, RateLimited, Refused, ServiceUnavailable,
    ShuttingDown, Stale, TimedOut, TryLater, Unavailable,
)
from .prototype import (
    HybridPermissionHandler, PrivilegedHealingClient, check_privileged_service, execute_with_service,
    get_hybrid_status, has_privileged_access,
)

__version__ = "0.1.0"

__all__ = [
    "ActionFailed", "ActionNotAllowed", "ActionUnknown", "Answer", "AsyncHealingClient", "AsyncProgress",
    "AuditUnavailable", "BadRequest", "Busy", "Cancelled", "Code", "Denied", "Event", "HealingClient", "HealingError",
    "HybridPermissionHandler", "IdReused", "InternalError", "Interrupted", "InvalidAnswer", "NoKey",
    "NotAuthenticated", "NotHealed", "NotPossible", "OutcomeUnknown", "ParametersInvalid", "ParametersNotAllowed",
    "PeerNotAllowed", "PrivilegedHealingClient", "Progress", "Ran", "RateLimited", "Refused", "ServiceUnavailable",
    "ShuttingDown", "SignedRequest", "Stale", "TimedOut", "TryLater", "Unavailable", "Verdict",
    "check_privileged_service", "execute_with_service", "get_hybrid_status", "has_privileged_access",
]
