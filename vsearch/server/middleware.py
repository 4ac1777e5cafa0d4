"""ASGI middleware: checks Host, Origin, token and body size, and adds security headers."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser

from vsearch.server.access_log import AccessLogLine
from vsearch.server.auth import AuthResult, build_cookie_name
from vsearch.server.limits import ClientLimit, get_client_address
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
BODY_TIMEOUT_SECONDS = 30.0  # for a whole body
UPLOAD_BYTES_PER_SECOND = 50_000  # minimum rate of uploads after the first `BODY_TIMEOUT_SECONDS`
MAX_CONCURRENT_REQUESTS = 400  # that need the token, or that a server without a token answers
MAX_PUBLIC_REQUESTS = 200  # others, counted apart so that they cannot crowd out the former
MAX_CLIENT_REQUESTS = 100  # of each kind; more than connections, as closed ones end a moment later


class SecurityMiddleware:
    """Checks requests and adds security headers around an ASGI application."""

    def __init__(self, app: ASGIApp, access_policy: AccessPolicy, metrics: ServerMetrics) -> None:
        self._app, self._access_policy, self._metrics = app, access_policy, metrics
        self._requests_in_flight = 0
        self._request_limit = ClientLimit("requests", MAX_CONCURRENT_REQUESTS, MAX_CLIENT_REQUESTS)
        self._public_limit = ClientLimit("requests", MAX_PUBLIC_REQUESTS, MAX_CLIENT_REQUESTS)
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
            headers = Headers(scope=scope)
            self._check_host(headers)
            self._check_origin(scope, headers)
            client_address = get_client_address(scope)
            with self._public_limit.hold(client_address):
                if _is_public(scope):
                    await self._pass_on(scope, receive, send)
                    return
                await self._check_token(scope, headers, client_address)
            with self._request_limit.hold(client_address):
                await self._pass_on(scope, receive, send)
        except Problem as problem:
            if send.has_started:
                raise
            await to_response(problem)(scope, receive, send)

    async def _pass_on(self, scope: Scope, receive: Receive, send: _ResponseSender) -> None:
        content_length = Headers(scope=scope).get("content-length", "0")
        if not content_length.isdecimal() or len(content_length) > 18:
            raise Problem(400, "request", "Content-Length is not a valid number")
        _check_body_size(scope, int(content_length))
        await self._app(scope, _limit_body(scope, receive, send), send)

    def _check_host(self, headers: Headers) -> None:
        """Raise Problem for names that are not those of this server (DNS rebinding)."""
        if len(headers.getlist("host")) != 1 or not self._access_policy.is_allowed_host(
            headers["host"]
        ):
            raise Problem(
                421,
                "host",
                "unknown host name; allow it with --allowed-host if it is this server's",
            )

    def _check_origin(self, scope: Scope, headers: Headers) -> None:
        """Raise Problem for requests made by pages of other sites."""
        origin, fetch_site = headers.get("origin"), headers.get("sec-fetch-site")
        own_origin = f"{scope['scheme']}://{headers['host']}"
        if origin is not None and origin.lower() != own_origin.lower():
            raise Problem(403, "origin", "requests from other sites are not allowed")
        is_navigation = scope["method"] == "GET" and scope["path"] == "/"  # following a link
        if fetch_site in ("cross-site", "same-site") and not is_navigation:
            raise Problem(403, "origin", "requests from other sites are not allowed")

    async def _check_token(self, scope: Scope, headers: Headers, client_address: str) -> None:
        auth_scheme, _, credentials = headers.get("authorization", "").partition(" ")
        bearer_token = credentials.strip() if auth_scheme.lower() == "bearer" else None
        session_id = cookie_parser(headers.get("cookie", "")).get(build_cookie_name(scope))
        check_token_result(
            await self._access_policy.authenticate(client_address, bearer_token, session_id)
        )


def check_token_result(auth_result: AuthResult) -> None:
    """Raise Problem unless the token or session of a request was accepted.

    Raises:
        Problem: 401 if it was wrong or missing, 429 if it was not checked.
    """
    if auth_result is AuthResult.THROTTLED:
        raise Problem(
            429, "token", "too many wrong tokens; wait a minute", headers={"Retry-After": "60"}
        )
    if auth_result is AuthResult.REFUSED:
        raise Problem(
            401, "token", "this server requires a token", headers={"WWW-Authenticate": "Bearer"}
        )


def _is_public(scope: Scope) -> bool:
    """Return True for what is answered without a token."""
    return scope["path"] in PUBLIC_PATHS or scope["path"].startswith("/static/")


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


def _limit_body(scope: Scope, receive: Receive, send: _ResponseSender) -> Receive:
    """Wrap `receive` to raise Problem for bodies that are too large or too slow."""
    started_at = time.monotonic()
    received_bytes, is_complete = 0, False

    async def receive_bounded() -> Message:
        nonlocal received_bytes, is_complete
        if is_complete or send.has_started:  # the application waits for a disconnect
            return await receive()
        deadline = started_at + BODY_TIMEOUT_SECONDS
        if scope["path"] == UPLOADS_PATH:
            deadline += received_bytes / UPLOAD_BYTES_PER_SECOND
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                message = await receive()
        except TimeoutError:
            if send.has_started:  # the connection's own deadline ends it
                return await receive()
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
