"""Access control: allowed Host names, the token, and the sessions of browsers."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING

from vsearch.errors import SettingsError
from vsearch.server.addresses import is_ip_address, is_loopback
from vsearch.server.login_throttle import LoginThrottle
from vsearch.server.sessions import SessionStore

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.types import Scope

__all__ = ["AccessPolicy", "AuthResult", "generate_token", "is_loopback", "read_token"]
COOKIE_NAME = "vsearch"
LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")
MIN_TOKEN_CHARS = 16
MIN_TOKEN_PARTS = 12  # characters and repeated runs of a token
MIN_RUN_CHARS = 3  # shorter repetitions occur in random tokens
MAX_CHECKED_CHARS = 200  # of a token, for repetitions
COOKIE_FAILURE_RATIO = 20  # wrong cookies that count as one wrong token


class AuthResult(Enum):
    """The outcome of checking the token or cookie of a request."""

    ACCEPTED = auto()
    REFUSED = auto()
    THROTTLED = auto()  # nothing was checked


def build_cookie_name(scope: Scope) -> str:
    """Return a cookie name with the port, because browsers share cookies between ports."""
    _, server_port = scope.get("server") or ("", None)
    return COOKIE_NAME if server_port is None else f"{COOKIE_NAME}-{server_port}"


def read_token(token_path: Path) -> str:
    """Return the token stored in a file.

    Raises:
        SettingsError: If the file is unreadable, or the token is not printable ASCII, too short
            or repeats itself.
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
    if _count_parts(token[:MAX_CHECKED_CHARS].lower()) < MIN_TOKEN_PARTS:
        raise SettingsError(
            f"{token_path}: the token repeats itself and is easy to guess; create one with "
            "`openssl rand -hex 24`"
        )
    return token


def _count_parts(text: str) -> int:
    """Count characters, and runs that occurred before as one (as in LZ77)."""
    part_count = position = 0
    while position < len(text):
        run_chars = 0
        while position + run_chars < len(text) and (
            text.find(text[position : position + run_chars + 1], 0, position + run_chars) >= 0
        ):
            run_chars += 1
        position += run_chars if run_chars >= MIN_RUN_CHARS else 1
        part_count += 1
    return part_count


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
    sessions: SessionStore = field(default_factory=SessionStore)
    _throttle: LoginThrottle = field(default_factory=LoginThrottle)

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
            self.allows_any_address and is_ip_address(host_name)
        )

    def is_correct_token(self, token: str | None) -> bool:
        """Return True for the token of this server, or if it requires none."""
        return self.token is None or hmac.compare_digest(
            (token or "").encode("utf-8", "surrogatepass"), self.token.encode()
        )

    async def authenticate(
        self, client_address: str, token: str | None, session_id: str | None = None
    ) -> AuthResult:
        """Check the credentials of a request.

        An address that sent many wrong tokens is refused whatever token it sends, so that the
        answer does not reveal whether it is correct. Sessions are always accepted, because their
        ids cannot be guessed. A page sends many requests at once, so `COOKIE_FAILURE_RATIO` wrong
        sessions count as one wrong token.

        Args:
            client_address: Address that failures are counted for.
            token: Token of the request, if any.
            session_id: Session cookie of the request, if any.

        Returns:
            ACCEPTED also if the server requires no token.
        """
        if self.token is None:
            return AuthResult.ACCEPTED
        if self.sessions.is_valid(session_id):
            self._throttle.record_success(client_address)
            return AuthResult.ACCEPTED
        if self._throttle.is_throttled(client_address):
            if not self._throttle.is_admitted(client_address):
                return AuthResult.THROTTLED
            if token is not None:
                async with self._throttle.delay(client_address) as is_checked:
                    if not is_checked:
                        return AuthResult.THROTTLED
        if token is not None and self.is_correct_token(token):
            self._throttle.record_success(client_address)
            return AuthResult.ACCEPTED
        if token is not None or session_id is not None:
            failure_weight = 1 / COOKIE_FAILURE_RATIO if token is None else 1.0
            self._throttle.record_failure(client_address, weight=failure_weight)
        return AuthResult.REFUSED
