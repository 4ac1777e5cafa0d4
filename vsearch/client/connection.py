"""Requests to a server of vsearch: bounded, never redirected, and with errors of our own."""

from __future__ import annotations

import ipaddress
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from vsearch import __version__
from vsearch.errors import (
    ExportError,
    LibraryError,
    MediaError,
    ModelError,
    QueryError,
    ServerError,
    SettingsError,
    TooLargeError,
    UnreadableError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import BinaryIO

    import httpx2

    from vsearch.errors import VSearchError

API = "/api/v1"
JSON = 64 * 1024 * 1024  # bytes of an answer that is read
PICTURE = 32 * 1024 * 1024
PROBLEM = 64 * 1024
TOLD = 1_000  # characters of what a server says is wrong
KINDS: Mapping[str, type[VSearchError]] = {
    "query": QueryError,
    "request": QueryError,
    "media": MediaError,
    "playback": MediaError,
    "gone": UnreadableError,
    "too-large": TooLargeError,
    "export": ExportError,
    "model": ModelError,
    "library": LibraryError,
    "not-found": LibraryError,
    "settings": SettingsError,
}


class Connection:
    """A server that is asked. Safe to use from several threads."""

    def __init__(
        self,
        url: str,
        token: str | None = None,
        timeout: float = 60.0,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        """`transport` stands in for the network. Raises ServerError for what is no address."""
        import httpx2  # deferred: only who asks a server pays for it

        self.url = _checked(url)
        headers = {"Accept-Encoding": "identity", "User-Agent": f"vsearch/{__version__}"}
        if token is not None:
            headers["Authorization"] = f"Bearer {_sound(token)}"
        self._client = httpx2.Client(
            base_url=self.url + API,
            headers=headers,
            timeout=timeout,
            follow_redirects=False,  # nobody else is given the token or a picture
            trust_env=not _is_here(self.url),  # no proxy stands between a machine and itself
            transport=transport,
        )

    def close(self) -> None:
        """Let go of the network."""
        self._client.close()

    def json(self, method: str, path: str, **more: Any) -> Any:
        """What the server answers; None where that is nothing. Raises VSearchError."""
        with self._answer(method, path, **more) as answer:
            content = self._read(answer, JSON)
        return self._parsed(content) if content else None

    def picture(self, path: str, params: Mapping[str, Any]) -> bytes:
        """A picture. Raises VSearchError."""
        with self._answer("GET", path, params=dict(params)) as answer:
            return self._read(answer, PICTURE)

    def download(self, path: str, file: BinaryIO, size: int) -> None:
        """Write a file of `size` bytes that the server has. Raises VSearchError and OSError."""
        left = size
        with self._answer("GET", path) as answer:
            for chunk in answer.iter_bytes():
                left -= len(chunk)
                if left < 0:
                    break
                file.write(chunk)
        if left:
            raise ServerError(f"{self.url}: {path} is not as long as the server said; try again")

    @contextmanager
    def understood(self) -> Iterator[None]:
        """What cannot be read as what it should be leaves as ServerError."""
        try:
            yield
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise self._strange() from error

    # --- one request

    @contextmanager
    def _answer(self, method: str, path: str, **more: Any) -> Iterator[httpx2.Response]:
        """An answer that is no problem, still to be read."""
        import httpx2  # deferred, see above; loaded by now

        try:
            with self._client.stream(method, path, **more) as answer:
                if answer.headers.get("content-encoding", "identity") != "identity":
                    raise self._strange()  # unpacked, it could be of any size
                if answer.status_code >= 400:
                    raise self._problem(answer)
                if answer.status_code >= 300:
                    there = answer.headers.get("location", "elsewhere")[:200]
                    raise ServerError(
                        f"{self.url}: sends us to {there}; name that address if it is right"
                    )
                yield answer
        except httpx2.TimeoutException as error:
            raise ServerError(
                f"{self.url}: does not answer in time; see whether it is busy, or give it longer"
            ) from error
        except httpx2.ConnectError as error:
            raise ServerError(
                f"{self.url}: cannot be reached ({error}); see whether `vsearch serve` runs there"
            ) from error
        except (httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL) as error:
            what = str(error) or type(error).__name__
            raise ServerError(f"{self.url}: broke off ({what}); try again") from error

    def _read(self, answer: httpx2.Response, most: int) -> bytes:
        """The body, as it was sent. Raises ServerError for more than `most` bytes."""
        content = bytearray()
        for chunk in answer.iter_bytes():
            content += chunk
            if len(content) > most:
                raise ServerError(f"{self.url}: answers more than {most // 10**6} MB; ask for less")
        return bytes(content)

    def _parsed(self, content: bytes) -> Any:
        try:
            return json.loads(content, parse_constant=_no_number)
        except (ValueError, RecursionError) as error:
            raise self._strange() from error

    def _strange(self) -> ServerError:
        return ServerError(
            f"{self.url}: does not answer as vsearch {__version__} does; see whether it is a "
            "server of vsearch, and of this version"
        )

    def _problem(self, answer: httpx2.Response) -> VSearchError:
        """What a server says is wrong, as the error that a library raises."""
        told: Any = None
        if answer.headers.get("content-type", "").startswith("application/problem+json"):
            told = self._parsed(self._read(answer, PROBLEM))
        if not isinstance(told, dict):
            return ServerError(f"{self.url}: answers {answer.status_code} {answer.reason_phrase}")
        kind = str(told.get("type", "")).removeprefix("urn:vsearch:")
        detail = str(told.get("detail") or told.get("title") or answer.status_code)[:TOLD]
        if answer.status_code == 401:
            return ServerError(
                f"{self.url}: asks for its token, another one than was given, if any: "
                "--token-file FILE, VSEARCH_TOKEN, or connect(…, token=…)"
            )
        known = KINDS.get(kind)
        return known(detail) if known else ServerError(f"{self.url}: {detail}")


def _checked(url: str) -> str:
    """The address of a server, without a slash at its end. Raises ServerError."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment or not url.isprintable() or " " in url:
        raise ServerError(f"{url[:200]}: is no address of a server: write http://127.0.0.1:8765")
    if parts.username is not None or parts.password is not None:
        raise ServerError("an address holds no password: give the token by --token-file FILE")
    return url.rstrip("/")


def _sound(token: str) -> str:
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ServerError("a token is one line of plain characters, without blanks")
    return token


def _is_here(url: str) -> bool:
    """Whether an address is one of this machine itself."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _no_number(constant: str) -> float:
    raise ValueError(f"{constant} is no number in JSON")
