"""Access control: allowed Host names, the token, and throttling of wrong tokens."""

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

COOKIE_NAME = "vsearch"
LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")
MIN_TOKEN_CHARS = 16
MAX_FAILURES, FAILURE_WINDOW_SECONDS = 10, 60.0  # wrong tokens per address and window
COOKIE_FAILURE_RATIO = 20  # wrong cookies that count as one wrong token
MAX_ADDRESSES = 10_000  # client addresses remembered


def build_cookie_name(scope: Scope) -> str:
    """Return a cookie name with the port, because browsers share cookies between ports."""
    server_address = scope.get("server")
    return f"{COOKIE_NAME}-{server_address[1]}" if server_address else COOKIE_NAME


def is_loopback(host_name: str) -> bool:
    """Return True if `host_name` is reachable from this machine only."""
    if host_name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host_name.strip("[]")).is_loopback
    except ValueError:
        return False


def read_token(token_path: Path) -> str:
    """Return the token stored in a file.

    Raises:
        SettingsError: If the file is unreadable or the token too short or not printable ASCII.
    """
    try:
        token = token_path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{token_path}: cannot read the token ({error})") from error
    if len(token) < MIN_TOKEN_CHARS or not (token.isascii() and token.isprintable()):
        raise SettingsError(
            f"{token_path}: a token is one line of at least {MIN_TOKEN_CHARS} printable ASCII "
            "characters; create one with `openssl rand -hex 24`"
        )
    return token


def generate_token() -> str:
    """Return a random token."""
    return secrets.token_urlsafe(24)


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """Rules that decide which requests are answered."""

    token: str | None = None  # None: no authentication
    # names in the Host header, without the port
    allowed_hosts: frozenset[str] = frozenset(LOOPBACK_HOSTS)
    # also every numeric address, which DNS rebinding cannot forge
    allows_any_address: bool = False
    _failed_logins: FailedLogins = field(default_factory=lambda: FailedLogins())

    @classmethod
    def for_host(
        cls, host_name: str, token: str | None, extra_hosts: tuple[str, ...] = ()
    ) -> AccessPolicy:
        """Create the policy of a server that listens at `host_name`.

        Args:
            host_name: Listening host name or address; "0.0.0.0" and "::" mean all interfaces.
            token: Required token; None disables authentication.
            extra_hosts: Further names accepted in the Host header.

        Returns:
            The policy, which always accepts the loopback names.
        """
        host_name = host_name.lower()
        bracketed_host = (
            f"[{host_name}]" if ":" in host_name and not host_name.startswith("[") else host_name
        )
        listens_everywhere = host_name in ("0.0.0.0", "::", "[::]", "")  # noqa: S104 - chosen by the user
        allowed_hosts = {
            *LOOPBACK_HOSTS,
            *(extra_host.lower() for extra_host in extra_hosts),
            *([] if listens_everywhere else [bracketed_host]),
        }
        return cls(token, frozenset(allowed_hosts), allows_any_address=listens_everywhere)

    def is_allowed_host(self, host_header: str) -> bool:
        """Return True if the Host header names this server."""
        host_name = host_header.lower()
        if host_name.startswith("["):
            host_name, closing_bracket, port_digits = host_name.partition("]")
            host_name, port_digits = (
                host_name + closing_bracket,
                port_digits.removeprefix(":") or "0",
            )
        else:
            host_name, _, port_digits = host_name.partition(":")
            port_digits = port_digits or "0"
        if not (port_digits.isdecimal() and len(port_digits) < 6):
            return False
        return host_name in self.allowed_hosts or (
            self.allows_any_address and _is_ip_address(host_name)
        )

    @property
    def cookie_value(self) -> str:
        """Session cookie value: an HMAC of the token, which does not reveal it."""
        return hmac.new((self.token or "").encode(), b"page", hashlib.sha256).hexdigest()

    def is_authorized(self, bearer_token: str | None, cookie_value: str | None) -> bool:
        """Return True if the token or the cookie is correct (constant-time comparison)."""
        if self.token is None:
            return True
        is_correct = hmac.compare_digest((bearer_token or "").encode(), self.token.encode())
        return is_correct | hmac.compare_digest(
            (cookie_value or "").encode(), self.cookie_value.encode()
        )

    def record_failure(self, client_address: str, *, from_cookie: bool = False) -> None:
        """Record a wrong token, or an outdated cookie if `from_cookie`, from an address.

        A page sends many requests at once, so `COOKIE_FAILURE_RATIO` wrong cookies count as one
        wrong token.
        """
        self._failed_logins.record_failure(
            client_address, failure_weight=1 / COOKIE_FAILURE_RATIO if from_cookie else 1.0
        )

    def is_throttled(self, client_address: str) -> bool:
        """Return True if the address recently sent too many wrong tokens."""
        return self._failed_logins.is_over_limit(client_address)


class FailedLogins:
    """Recent wrong tokens per client address. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # (monotonic time, weight) of each failure, oldest first
        self._failures_by_address: dict[str, list[tuple[float, float]]] = {}

    def record_failure(self, client_address: str, *, failure_weight: float = 1.0) -> None:
        """Record a failure at the current time."""
        with self._lock:
            if (
                client_address not in self._failures_by_address
                and len(self._failures_by_address) >= MAX_ADDRESSES
            ):
                self._failures_by_address.pop(next(iter(self._failures_by_address)))
            self._failures_by_address.setdefault(client_address, []).append(
                (time.monotonic(), failure_weight)
            )
            self._failures_by_address[client_address] = self._failures_by_address[client_address][
                -MAX_FAILURES * COOKIE_FAILURE_RATIO :
            ]

    def is_over_limit(self, client_address: str) -> bool:
        """Return True if the failures within the window reach `MAX_FAILURES`."""
        window_start = time.monotonic() - FAILURE_WINDOW_SECONDS
        with self._lock:
            recent_weights = [
                failure_weight
                for failure_time, failure_weight in self._failures_by_address.get(
                    client_address, ()
                )
                if failure_time > window_start
            ]
        return sum(recent_weights) > MAX_FAILURES - 1e-6


def _is_ip_address(host_name: str) -> bool:
    try:
        ipaddress.ip_address(host_name.strip("[]"))
    except ValueError:
        return False
    return True
