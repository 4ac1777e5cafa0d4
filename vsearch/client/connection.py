"""HTTP client for a vsearch server: bounded responses, no redirects, vsearch errors."""

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
from vsearch.query.arguments import check_number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import BinaryIO

    import httpx2

    from vsearch.errors import VSearchError

API_PREFIX = "/api/v1"
MAX_JSON_BYTES = 64 * 1024 * 1024
MAX_IMAGE_BYTES = 32 * 1024 * 1024
MAX_TIMEOUT_SECONDS = 86_400
MAX_ERROR_BYTES = 64 * 1024
MAX_DETAIL_CHARS = 1_000  # of an error message
ERROR_TYPES: Mapping[str, type[VSearchError]] = {
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


class ServerConnection:
    """Connection to one server. Thread-safe."""

    def __init__(
        self,
        url: str,
        token: str | None = None,
        timeout: float = 60.0,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        """Prepare the connection; nothing is sent yet.

        Args:
            url: Base URL of the server, e.g. "http://127.0.0.1:8765".
            token: Bearer token of the server, if it requires one.
            timeout: Seconds to wait for a connection or for further data.
            transport: Replacement for the network, for tests.

        Raises:
            ServerError: If the URL, the token or the timeout is invalid.
        """
        import httpx2  # deferred: needed only with a remote server

        self.url, self._is_closed = _validate_url(url), False
        headers = {"Accept-Encoding": "identity", "User-Agent": f"vsearch/{__version__}"}
        if token is not None:
            headers["Authorization"] = f"Bearer {_validate_token(token)}"
        self._http_client = httpx2.Client(
            base_url=self.url + API_PREFIX,
            headers=headers,
            timeout=_validate_timeout(timeout),
            follow_redirects=False,  # would send the token and uploads elsewhere
            trust_env=not _is_loopback_url(self.url),  # no proxy for loopback
            transport=transport,
        )

    def close(self) -> None:
        """Close the connection."""
        self._is_closed = True
        self._http_client.close()

    def request_json(self, method: str, api_path: str, **request_options: Any) -> Any:
        """Send a request and return the parsed JSON response.

        Args:
            method: HTTP method.
            api_path: Path below `/api/v1`, quoted.
            **request_options: Keyword arguments of `httpx2.Client.stream`.

        Returns:
            The parsed body; None if it is empty.

        Raises:
            VSearchError: The error that the server reports, or ServerError.
        """
        with self._open_response(method, api_path, **request_options) as response:
            body = self._read_body(response, MAX_JSON_BYTES)
        return self._parse_json(body) if body else None

    def fetch_image(self, api_path: str, params: Mapping[str, Any]) -> bytes:
        """Return an image.

        Args:
            api_path: Path below `/api/v1`, quoted.
            params: Query parameters.

        Returns:
            The encoded image.

        Raises:
            VSearchError: The error that the server reports, or ServerError.
        """
        with self._open_response("GET", api_path, params=dict(params)) as response:
            return self._read_body(response, MAX_IMAGE_BYTES)

    def download_file(self, api_path: str, target_file: BinaryIO, expected_bytes: int) -> None:
        """Download a file.

        Args:
            api_path: Path below `/api/v1`, quoted.
            target_file: Open file to write to.
            expected_bytes: Size announced by the server.

        Raises:
            VSearchError: The error that the server reports, or ServerError, also if the size
                differs.
            OSError: If the file cannot be written.
        """
        remaining_bytes = expected_bytes
        with self._open_response("GET", api_path) as response:
            for chunk in response.iter_bytes():
                remaining_bytes -= len(chunk)
                if remaining_bytes < 0:
                    break
                target_file.write(chunk)
        if remaining_bytes:
            raise ServerError(f"{self.url}: {api_path} has not the announced size; try again")

    @contextmanager
    def validate_response(self) -> Iterator[None]:
        """Convert parsing errors within the block to ServerError."""
        try:
            yield
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise self._build_protocol_error() from error

    # --- one request

    @contextmanager
    def _open_response(
        self, method: str, api_path: str, **request_options: Any
    ) -> Iterator[httpx2.Response]:
        """Open a successful response with an unread body; raise VSearchError otherwise."""
        import httpx2  # deferred, see above; loaded by now

        if self._is_closed:
            raise ServerError(f"{self.url}: the connection was closed; connect again")
        try:
            with self._http_client.stream(method, api_path, **request_options) as response:
                if response.headers.get("content-encoding", "identity") != "identity":
                    raise self._build_protocol_error()  # could decompress to any size
                if response.status_code >= 400:
                    raise self._build_problem_error(response)
                if response.status_code >= 300:
                    redirect_target = response.headers.get("location", "elsewhere")[:200]
                    raise ServerError(
                        f"{self.url}: redirects to {redirect_target}; use that URL if it is correct"
                    )
                yield response
        except httpx2.TimeoutException as error:
            raise ServerError(
                f"{self.url}: timed out; check whether the server is busy, or increase the timeout"
            ) from error
        except httpx2.ConnectError as error:
            raise ServerError(
                f"{self.url}: cannot connect ({error}); check that `vsearch serve` is running there"
            ) from error
        except (httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL) as error:
            error_text = str(error) or type(error).__name__
            raise ServerError(f"{self.url}: connection failed ({error_text}); try again") from error

    def _read_body(self, response: httpx2.Response, max_bytes: int) -> bytes:
        """Return the body; raise ServerError if it exceeds `max_bytes`."""
        body = bytearray()
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > max_bytes:
                raise ServerError(
                    f"{self.url}: response exceeds {max_bytes // 10**6} MB; request less"
                )
        return bytes(body)

    def _parse_json(self, body: bytes) -> Any:
        try:
            return json.loads(body, parse_constant=_reject_constant)
        except (ValueError, RecursionError) as error:
            raise self._build_protocol_error() from error

    def _build_protocol_error(self) -> ServerError:
        return ServerError(
            f"{self.url}: unexpected response; check that it is a vsearch {__version__} server"
        )

    def _build_problem_error(self, response: httpx2.Response) -> VSearchError:
        """Return the error that `Library` would raise for the server's problem."""
        problem: Any = None
        if response.headers.get("content-type", "").startswith("application/problem+json"):
            problem = self._parse_json(self._read_body(response, MAX_ERROR_BYTES))
        if not isinstance(problem, dict):
            return ServerError(f"{self.url}: HTTP {response.status_code} {response.reason_phrase}")
        problem_type = str(problem.get("type", "")).removeprefix("urn:vsearch:")
        detail = str(problem.get("detail") or problem.get("title") or response.status_code)[
            :MAX_DETAIL_CHARS
        ]
        if response.status_code == 401:
            return ServerError(
                f"{self.url}: the token is missing or wrong; give it with --token-file FILE, "
                "VSEARCH_TOKEN or connect(…, token=…)"
            )
        error_class = ERROR_TYPES.get(problem_type)
        return error_class(detail) if error_class else ServerError(f"{self.url}: {detail}")


def _validate_url(url: str) -> str:
    """Return the URL without a trailing slash; raise ServerError if it is invalid."""
    if not isinstance(url, str):
        raise ServerError(f"a server URL must be text, not {url!r:.60}")
    try:
        url_parts = urlsplit(url)
        is_usable = (
            url_parts.scheme in ("http", "https")
            and bool(url_parts.hostname)
            and url_parts.port != 0
        )
    except ValueError:
        is_usable = False
    if (
        not is_usable
        or url_parts.query
        or url_parts.fragment
        or not url.isprintable()
        or " " in url
    ):
        raise ServerError(f"{url[:200]}: not a valid server URL, e.g. http://127.0.0.1:8765")
    if url_parts.username is not None or url_parts.password is not None:
        raise ServerError("a server URL must not contain a password; use --token-file FILE")
    return url.rstrip("/")


def _validate_token(token: object) -> str:
    if (
        not isinstance(token, str)
        or not token.isascii()
        or not token.isprintable()
        or " " in token
        or not token
    ):
        raise ServerError("a token is one line of printable ASCII characters without spaces")
    return token


def _validate_timeout(timeout: object) -> float:
    try:
        seconds = check_number(timeout, "timeout")
    except QueryError as error:
        raise ServerError(str(error)) from error
    if not 0 < seconds <= MAX_TIMEOUT_SECONDS:
        raise ServerError(f"timeout must be from 0 to {MAX_TIMEOUT_SECONDS} seconds, not {seconds}")
    return seconds


def _is_loopback_url(url: str) -> bool:
    """Return True if the host of `url` is this machine."""
    host_name = urlsplit(url).hostname or ""
    try:
        return host_name == "localhost" or ipaddress.ip_address(host_name).is_loopback
    except ValueError:
        return False


def _reject_constant(constant: str) -> float:
    raise ValueError(f"{constant} is not a JSON number")
