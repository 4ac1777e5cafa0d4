"""Who may ask: from which host names, with which token."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vsearch.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.types import Scope

COOKIE = "vsearch"
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
SHORTEST = 16  # characters of a token
TRIES, MINUTE = 10, 60.0  # wrong tokens of one address, within so many seconds
PAGE = 20  # wrong cookies that count as one of them
ADDRESSES = 10_000  # that are remembered


def cookie_name(scope: Scope) -> str:
    """What the cookie is called: browsers do not tell the ports of a host apart."""
    server = scope.get("server")
    return f"{COOKIE}-{server[1]}" if server else COOKIE


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def read_token(path: Path) -> str:
    """The token in a file. Raises SettingsError."""
    try:
        token = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: no token can be read from it ({error})") from error
    if len(token) < SHORTEST or not (token.isascii() and token.isprintable()):
        raise SettingsError(
            f"{path}: a token is one line of at least {SHORTEST} plain characters; make one with "
            "`openssl rand -hex 24`"
        )
    return token


def new_token() -> str:
    """One that nobody guesses."""
    return secrets.token_urlsafe(24)


@dataclass(frozen=True, slots=True)
class Access:
    """What a request has to show."""

    token: str | None = None  # None: whoever reaches the server may ask
    hosts: frozenset[str] = frozenset(LOOPBACK)  # names in the Host header, without the port
    any_address: bool = False  # and every address in digits: a rebound name is none
    _wrong: Tries = field(default_factory=lambda: Tries())

    @classmethod
    def of(cls, host: str, token: str | None, names: tuple[str, ...] = ()) -> Access:
        """That of a server which listens at `host`, and is also called `names`."""
        host = host.lower()
        named = f"[{host}]" if ":" in host and not host.startswith("[") else host
        everywhere = host in ("0.0.0.0", "::", "[::]", "")  # noqa: S104 - who says so means it
        known = {*LOOPBACK, *(name.lower() for name in names), *([] if everywhere else [named])}
        return cls(token, frozenset(known), any_address=everywhere)

    def knows(self, host: str) -> bool:
        """Whether a Host header names this server."""
        name = host.lower()
        if name.startswith("["):
            name, bracket, port = name.partition("]")
            name, port = name + bracket, port.removeprefix(":") or "0"
        else:
            name, _, port = name.partition(":")
            port = port or "0"
        if not (port.isdecimal() and len(port) < 6):
            return False
        return name in self.hosts or (self.any_address and _is_address(name))

    @property
    def cookie(self) -> str:
        """What the cookie of a page holds: whoever has it cannot tell the token."""
        return hmac.new((self.token or "").encode(), b"page", hashlib.sha256).hexdigest()

    def admits(self, bearer: str | None, cookie: str | None) -> bool:
        """Whether one of them is right; compared in constant time."""
        if self.token is None:
            return True
        right = hmac.compare_digest((bearer or "").encode(), self.token.encode())
        return right | hmac.compare_digest((cookie or "").encode(), self.cookie.encode())

    def refuse(self, address: str, *, page: bool = False) -> None:
        """Note that a wrong token came from there, or the cookie of a `page` that is an old one.

        A page asks many things at once, so it takes as many more until that counts.
        """
        self._wrong.add(address, weight=1 / PAGE if page else 1.0)

    def waits(self, address: str) -> bool:
        """Whether too many wrong tokens came from there of late."""
        return self._wrong.many(address)


class Tries:
    """Wrong tokens of late, by address. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._times: dict[str, list[tuple[float, float]]] = {}  # and how much each counts

    def add(self, address: str, *, weight: float = 1.0) -> None:
        """Note one now."""
        with self._lock:
            if address not in self._times and len(self._times) >= ADDRESSES:
                self._times.pop(next(iter(self._times)))
            self._times.setdefault(address, []).append((time.monotonic(), weight))
            self._times[address] = self._times[address][-TRIES * PAGE :]

    def many(self, address: str) -> bool:
        """Whether there were as many as are allowed within a minute."""
        since = time.monotonic() - MINUTE
        with self._lock:
            late = [weight for when, weight in self._times.get(address, ()) if when > since]
        return sum(late) > TRIES - 1e-6


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
