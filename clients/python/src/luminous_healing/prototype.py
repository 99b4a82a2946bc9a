"""The surface of the Python prototype that Luminous Healing replaces: its users change an import and nothing else.

    from luminous_healing.prototype import HybridPermissionHandler, PrivilegedHealingClient, …

What is different, because it was wrong: there is no default key; nothing is ever asked for twice, so a request that was
sent and got no answer does not say `fallback_required`; and this module runs no sudo of its own.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
from pathlib import Path
from typing import Any, Awaitable, Callable, Dict, Mapping, Optional

from . import _wire
from ._answer import Answer
from ._effort import connect
from .aio import AsyncHealingClient
from .credentials import DEFAULT_SOCKET, find_credentials, find_socket
from .errors import HealingError, InvalidAnswer, ServiceUnavailable

logger = logging.getLogger(__name__)

Result = Dict[str, Any]
Fallback = Callable[[str, Dict[str, Any]], Awaitable[Result]]

_NOT_AVAILABLE = "Privileged service not available"
_WORDS = {"missing": "Service socket not found", "denied": "Permission denied to access service"}


def _is_set(name: str) -> bool:
    return os.environ.get(name, "") not in ("", "0")


def _use_of_service_is_off() -> bool:
    return _is_set("LUMINOUS_DEV_MODE") or _is_set("LUMINOUS_NO_SERVICE")


def _result(answer: Answer, action: str) -> Result:
    return {
        "success": answer.success,
        "output": answer.output,
        "error": _wire.words_of_the_prototype(answer, action),
        "duration_ms": answer.duration_ms,
        "method": "privileged_service",
        "request_id": answer.request_id,
    }


def _not_sent(error: str) -> Result:
    """Nothing left this process: whoever has another way may go it."""
    return {"success": False, "error": error, "fallback_required": True}


class PrivilegedHealingClient:
    """Asks the privileged service. Every method returns a dictionary and raises nothing that the service caused.

    The key is `secret_key`, else $LUMINOUS_HEALING_SECRET, else what HealingClient would use. `caller` is the name that
    the daemon knows the key by (else $LUMINOUS_HEALING_CALLER, else the user's name). `protocol` is 2, or 1 for a
    daemon that speaks nothing else (else $LUMINOUS_HEALING_PROTOCOL, else 2); it is never changed by what the other
    side says.
    """

    def __init__(self, socket_path: str = DEFAULT_SOCKET, secret_key: Optional[str] = None, *,
                 caller: Optional[str] = None, protocol: Optional[int] = None, timeout: float = 900.0,
                 patience: float = 30.0) -> None:
        self.socket_path = Path(socket_path)
        self.secret_key = secret_key or os.environ.get("LUMINOUS_HEALING_SECRET") or None
        self.caller = caller
        self.protocol = protocol or int(os.environ.get("LUMINOUS_HEALING_PROTOCOL") or 2)
        if self.protocol not in (1, 2):
            raise ValueError(f"there is no version {self.protocol} of the protocol: 1 or 2")
        self._timeout, self._patience = timeout, patience

    async def is_available(self) -> bool:
        """Can the service be connected to, and is it to be used?"""
        if _use_of_service_is_off():
            return False
        try:
            connect(str(self.socket_path)).close()
        except ServiceUnavailable:
            return False
        return True

    async def execute_privileged_action(self, action: str, parameters: Mapping[str, Any]) -> Result:
        """success, output, error, duration_ms, method, request_id; success, error and fallback_required when the
        service could not be reached. With no answer to what was sent, fallback_required is False."""
        if _use_of_service_is_off():
            return _not_sent(_NOT_AVAILABLE)
        try:
            client, request = self._sign(action, parameters)
            result = _result(await client.ask(request), action)
        except ServiceUnavailable as error:
            logger.warning("%s", error)
            return _not_sent(_WORDS.get(error.reason, _NOT_AVAILABLE))
        except (HealingError, ValueError) as error:
            logger.error("%s: %s", action, error)
            text = "Invalid response from service" if isinstance(error, InvalidAnswer) else str(error)
            request_id = error.request_id if isinstance(error, HealingError) else None
            return {"success": False, "output": "", "error": text, "duration_ms": 0, "method": "privileged_service",
                    "request_id": request_id, "fallback_required": False}
        log = logger.info if result["success"] else logger.warning
        log("%s: %s", action, result["error"] or "done")
        return result

    def _sign(self, action: str, parameters: Mapping[str, Any]) -> "tuple[AsyncHealingClient, _wire.SignedRequest]":
        client = AsyncHealingClient(socket_path=str(self.socket_path), caller=self.caller, key=self.secret_key,
                                    timeout=self._timeout, patience=self._patience)
        if self.protocol == 2:
            return client, client.sign(action, parameters)
        _, key = find_credentials(self.caller, self.secret_key)
        return client, _wire.sign_v1(key, action, parameters)

    async def restart_service(self, service_name: str) -> Result:
        return await self.execute_privileged_action("restart_service", {"service": service_name})

    async def set_cpu_governor(self, governor: str) -> Result:
        return await self.execute_privileged_action("set_cpu_governor", {"governor": governor})

    async def clear_system_cache(self) -> Result:
        return await self.execute_privileged_action("clear_system_cache", {})

    async def rollback_generation(self) -> Result:
        return await self.execute_privileged_action("rollback_generation", {})

    async def kill_process(self, pid: int, signal: str = "TERM") -> Result:
        return await self.execute_privileged_action("kill_process", {"pid": pid, "signal": signal})

    async def adjust_swappiness(self, value: int) -> Result:
        return await self.execute_privileged_action("adjust_swappiness", {"value": value})

    async def restart_network(self) -> Result:
        return await self.execute_privileged_action("restart_network", {})

    async def clean_nix_store(self) -> Result:
        return await self.execute_privileged_action("clean_nix_store", {})


class HybridPermissionHandler:
    """The service first; what else there is, only when nothing was sent to it.

    `fallback` is an asynchronous function of action and parameters that returns a result dictionary. None is built in:
    running commands through sudo, unrecorded, is what the service replaces.
    """

    def __init__(self, fallback: Optional[Fallback] = None, *,
                 client: Optional[PrivilegedHealingClient] = None) -> None:
        self.privileged_client = client or _default_client()
        self.fallback = fallback

    async def execute_action(self, action: str, parameters: Mapping[str, Any]) -> Result:
        """The service's result. The fallback's, if there is one and the service was never asked: not after a refusal,
        and not after a request whose answer was lost, which may have run."""
        result = await self.privileged_client.execute_privileged_action(action, parameters)
        if result.get("fallback_required") is True and self.fallback is not None:
            return await self.fallback(action, dict(parameters))
        return result

    async def get_status(self) -> Dict[str, Any]:
        """Which ways there are."""
        service = await self.privileged_client.is_available()
        sudo = shutil.which("sudo")
        passwordless = await _sudo_asks_nothing(sudo) if sudo else False
        return {
            "privileged_service": service,
            "socket_path": str(self.privileged_client.socket_path),
            "fallback_available": self.fallback is not None,
            "sudo_available": sudo is not None,
            "passwordless_sudo": passwordless,
            "can_execute_privileged": service or (self.fallback is not None and (passwordless or os.geteuid() == 0)),
        }


async def _sudo_asks_nothing(sudo: str) -> bool:
    try:
        process = await asyncio.create_subprocess_exec(sudo, "-n", "true", stdin=asyncio.subprocess.DEVNULL,
                                                       stdout=asyncio.subprocess.DEVNULL,
                                                       stderr=asyncio.subprocess.DEVNULL)
        return await process.wait() == 0
    except OSError:
        return False


def _default_client() -> PrivilegedHealingClient:
    return PrivilegedHealingClient(find_socket())


async def check_privileged_service() -> bool:
    """Is the service there, and to be used?"""
    return await _default_client().is_available()


async def execute_with_service(action: str, parameters: Mapping[str, Any]) -> Result:
    """One action through the service."""
    return await _default_client().execute_privileged_action(action, parameters)


async def get_hybrid_status() -> Dict[str, Any]:
    """HybridPermissionHandler().get_status()"""
    return await HybridPermissionHandler().get_status()


async def has_privileged_access() -> bool:
    """Can privileged actions be executed in some way? The prototype documented this and never had it."""
    return bool((await get_hybrid_status())["can_execute_privileged"])
