"""Who asks, and with which key: the same places in the same order as healctl, healctl(1) "KEY AND CALLER"."""

from __future__ import annotations

import os
import pwd
from typing import Optional, Tuple

from ._wire import Key
from .errors import HealingError

DEFAULT_SOCKET = "/run/luminous-healing.sock"


class NoKey(HealingError):
    """No key was found, or the one that was named cannot be read."""


def _variable(name: str) -> Optional[str]:
    return os.environ.get(name) or None


def _user_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _own_key_file() -> str:
    return os.path.join(os.path.expanduser("~"), ".config", "luminous-healing", "key")


def _caller_of(key_file: str) -> str:
    """A key file is named after its caller, but for those that are just called "key"."""
    name = os.path.basename(key_file)
    return _user_name() if name in ("key", "") else name


def _choose_credential(directory: str, caller: Optional[str]) -> Optional[str]:
    """Of what systemd's LoadCredential= passed: the caller's, the user's, or the only one."""
    wanted = caller or _user_name()
    path = os.path.join(directory, wanted)
    if "/" not in wanted and os.path.isfile(path):
        return path
    if caller:
        return None
    try:
        names = [name for name in os.listdir(directory)
                 if not name.startswith(".") and os.path.isfile(os.path.join(directory, name))]
    except OSError:
        return None
    if len(names) > 1:
        raise NoKey(f"{directory} holds {len(names)} credentials: say which is the key with caller=NAME")
    return os.path.join(directory, names[0]) if names else None


def _find_key_file(caller: Optional[str]) -> Optional[str]:
    named = _variable("LUMINOUS_HEALING_KEY_FILE")
    if named:
        return named
    directory = _variable("CREDENTIALS_DIRECTORY")
    chosen = _choose_credential(directory, caller) if directory else None
    if chosen:
        return chosen
    own = _own_key_file()
    return own if os.path.exists(own) else None


def _read_key_file(path: str) -> Key:
    try:
        with open(path, "rb") as file:
            return Key(file.read(4096))
    except OSError as error:
        raise NoKey(f"the key cannot be read: {path}: {error.strerror}; it must be readable by you ({_user_name()})"
                    ) from error
    except ValueError as error:
        raise NoKey(f"{path}: {error}") from error


def find_credentials(caller: Optional[str] = None, key: Optional[str] = None,
                     key_file: Optional[str] = None) -> Tuple[str, Key]:
    """The caller's name and its key: what is given, else the environment, else the user's own key file."""
    caller = caller or _variable("LUMINOUS_HEALING_CALLER")
    if key is not None:
        return caller or _user_name(), Key(key)
    path = key_file or _find_key_file(caller)
    if path:
        return caller or _caller_of(path), _read_key_file(path)
    secret = _variable("LUMINOUS_HEALING_SECRET")
    if secret:
        return caller or _user_name(), Key(secret)
    raise NoKey(f"no key: give key_file=FILE, or put it in {_own_key_file()} (healctl keygen makes one)")


def find_socket(path: Optional[str] = None) -> str:
    """What is given, else $LUMINOUS_HEALING_SOCKET, else the usual place."""
    return path or _variable("LUMINOUS_HEALING_SOCKET") or DEFAULT_SOCKET
