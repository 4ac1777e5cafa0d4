"""ASGI middleware: checks Host, Origin, token and body size, and adds security headers."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser

from vsearch.server.access_log import AccessLogLine
from vsearch.server.auth import build_cookie_name
from vsearch.server.problems import Problem, to_response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from vsearch.server.auth import AccessPolicy
    from vsearch.server.metrics import ServerMetrics

log = logging.getLogger(__name__)
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob:; connect-src 'self'; manifest-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
MAX_BODY_BYTES = 1024 * 1024  # of requests other than uploads
MAX_UPLOAD_BYTES = 2**28
UPLOADS_PATH = "/api/v1/uploads"
PUBLIC_PATHS = ("/", "/healthz", "/api/v1/session")  # need no token, like /static/
BODY_TIMEOUT_SECONDS = 30.0  # for a whole body; for uploads, for each chunk
MAX_CONCURRENT_REQUESTS = 400


class SecurityMiddleware:
    """Checks requests and adds security headers around an ASGI application."""

    def __init__(self, app: ASGIApp, access_policy: AccessPolicy, metrics: ServerMetrics) -> None:
        self._app, self._access_policy, self._metrics = app, access_policy, metrics
        self._requests_in_flight = 0
        metrics.add_gauge(
            "requests_in_flight", "Requests being handled.", lambda: self._requests_in_flight
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check a request, pass it on, and log and measure the response."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        self._requests_in_flight += 1
        log_line = AccessLogLine(scope)
        try:
            await self._handle_request(scope, receive, _ResponseSender(send, log_line))
        finally:
            self._requests_in_flight -= 1
            log_line.write()
            self._metrics.record_request(log_line)

    async def _handle_request(self, scope: Scope, receive: Receive, send: _ResponseSender) -> None:
        try:
            self._check_request(scope)
            await self._app(scope, _limit_body(scope, receive), send)
        except Problem as problem:
            if send.has_started:
                raise
            await to_response(problem)(scope, receive, send)

    def _check_request(self, scope: Scope) -> None:
        """Raise Problem if the request must not be handled."""
        headers = Headers(scope=scope)
        if self._requests_in_flight > MAX_CONCURRENT_REQUESTS:
            raise Problem(
                503, "busy", "too many requests at once; try again", headers={"Retry-After": "2"}
            )
        if len(headers.getlist("host")) != 1 or not self._access_policy.is_allowed_host(
            headers["host"]
        ):
            raise Problem(
                421,
                "host",
                "unknown host name; allow it with --allowed-host if it is this server's",
            )
        self._check_origin(scope, headers)
        self._check_token(scope, headers)
        content_length = headers.get("content-length", "0")
        if not content_length.isdecimal() or len(content_length) > 18:
            raise Problem(400, "request", "Content-Length is not a valid number")
        _check_body_size(scope, int(content_length))

    def _check_origin(self, scope: Scope, headers: Headers) -> None:
        """Raise Problem for requests made by pages of other sites."""
        origin, fetch_site = headers.get("origin"), headers.get("sec-fetch-site")
        own_origin = f"{scope['scheme']}://{headers['host']}"
        if origin is not None and origin.lower() != own_origin.lower():
            raise Problem(403, "origin", "requests from other sites are not allowed")
        is_navigation = scope["method"] == "GET" and scope["path"] == "/"  # following a link
        if fetch_site in ("cross-site", "same-site") and not is_navigation:
            raise Problem(403, "origin", "requests from other sites are not allowed")

    def _check_token(self, scope: Scope, headers: Headers) -> None:
        if scope["path"] in PUBLIC_PATHS or scope["path"].startswith("/static/"):
            return
        auth_scheme, _, credentials = headers.get("authorization", "").partition(" ")
        bearer_token = credentials.strip() if auth_scheme.lower() == "bearer" else None
        cookie_value = cookie_parser(headers.get("cookie", "")).get(build_cookie_name(scope))
        if self._access_policy.is_authorized(bearer_token, cookie_value):
            return
        client_address = scope["client"][0] if scope.get("client") else ""
        if self._access_policy.is_throttled(client_address):
            raise Problem(
                429, "token", "too many wrong tokens; wait a minute", headers={"Retry-After": "60"}
            )
        if bearer_token is not None or cookie_value is not None:
            self._access_policy.record_failure(client_address, from_cookie=bearer_token is None)
        raise Problem(
            401, "token", "this server requires a token", headers={"WWW-Authenticate": "Bearer"}
        )


class _ResponseSender:
    """Adds the security headers to a response and records it for the access log."""

    def __init__(self, send: Send, log_line: AccessLogLine) -> None:
        self._send, self._log_line, self.has_started = send, log_line, False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.has_started, self._log_line.status = True, message["status"]
            headers = MutableHeaders(scope=message)
            for header_name, header_value in SECURITY_HEADERS.items():
                headers.setdefault(header_name, header_value)
            is_static = self._log_line.route == "static"  # revalidated by ETag
            headers.setdefault("Cache-Control", "no-cache" if is_static else "no-store")
        elif message["type"] == "http.response.body":
            self._log_line.sent_bytes += len(message.get("body", b""))
        await self._send(message)


def _limit_body(scope: Scope, receive: Receive) -> Receive:
    """Wrap `receive` to raise Problem for bodies that are too large or too slow."""
    is_upload = scope["path"] == UPLOADS_PATH
    received_bytes, is_complete = 0, False
    deadline = time.monotonic() + BODY_TIMEOUT_SECONDS

    async def receive_bounded() -> Message:
        nonlocal received_bytes, is_complete
        if is_complete:  # from here on the application waits for a disconnect
            return await receive()
        remaining_seconds = (
            BODY_TIMEOUT_SECONDS if is_upload else max(0.0, deadline - time.monotonic())
        )
        try:
            async with asyncio.timeout(remaining_seconds):
                message = await receive()
        except TimeoutError:
            raise Problem(
                408,
                "timeout",
                "the request body arrived too slowly",
                headers={"Connection": "close"},
            ) from None
        is_complete = message["type"] != "http.request" or not message.get("more_body", False)
        received_bytes += len(message.get("body", b""))
        _check_body_size(scope, received_bytes)
        return message

    return receive_bounded


def _check_body_size(scope: Scope, body_bytes: int) -> None:
    """Raise Problem for a body that is too large."""
    if scope["path"] == UPLOADS_PATH:
        max_bytes, detail = MAX_UPLOAD_BYTES, "the file exceeds {} MiB; cut or scale it first"
    else:
        max_bytes, detail = MAX_BODY_BYTES, "the request body exceeds {} MiB"
    if body_bytes > max_bytes:
        raise Problem(413, "too-large", detail.format(max_bytes // 2**20))
