"""What every request passes first: host, origin, token, size; and what every answer carries."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser

from vsearch.web.access import cookie_name
from vsearch.web.journal import Line
from vsearch.web.problems import Problem, answer

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from vsearch.web.access import Access
    from vsearch.web.metrics import Metrics

log = logging.getLogger(__name__)

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob:; connect-src 'self'; manifest-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
BODY = 1024 * 1024  # bytes of a request that uploads nothing
UPLOADS = "/api/v1/uploads"  # measures what it takes by itself
OPEN = ("/", "/healthz", "/api/v1/session")  # for whoever has no token yet, and /static/
PATIENCE = 30.0  # seconds until all of a request has come; of an upload, its next piece
INSIDE = 400  # requests in hand at once


class Guard:
    """An ASGI application around another one."""

    def __init__(self, app: ASGIApp, access: Access, metrics: Metrics) -> None:
        self._app, self._access, self._metrics = app, access, metrics
        self._inside = 0
        metrics.gauge("requests_inside", "Requests in hand.", lambda: self._inside)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        self._inside += 1
        line = Line(scope)
        try:
            await self._answer(scope, receive, _Answer(send, line))
        finally:
            self._inside -= 1
            line.write()
            self._metrics.answered(line)

    async def _answer(self, scope: Scope, receive: Receive, send: _Answer) -> None:
        try:
            self._check(scope)
            await self._app(scope, _bounded(scope, receive), send)
        except Problem as problem:
            if send.begun:
                raise
            await answer(problem)(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        """Raise Problem for whoever is not to be answered."""
        headers = Headers(scope=scope)
        if self._inside > INSIDE:
            raise Problem(503, "busy", "too much at once: try again", headers={"Retry-After": "2"})
        if len(headers.getlist("host")) != 1 or not self._access.knows(headers["host"]):
            raise Problem(
                421, "host", "this server is not called that; name it with --allow-host if it is"
            )
        self._check_origin(scope, headers)
        self._check_token(scope, headers)
        length = headers.get("content-length", "0")
        if not length.isdecimal() or len(length) > 18:
            raise Problem(400, "request", "Content-Length is no number")
        if int(length) > BODY and scope["path"] != UPLOADS:
            raise _too_large()

    def _check_origin(self, scope: Scope, headers: Headers) -> None:
        """No page of another site may ask in a person's name."""
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        own = f"{scope['scheme']}://{headers['host']}"
        if origin is not None and origin.lower() != own.lower():
            raise Problem(403, "origin", "another site may not ask here")
        arrives = scope["method"] == "GET" and scope["path"] == "/"  # by a link
        if site in ("cross-site", "same-site") and not arrives:
            raise Problem(403, "origin", "another site may not ask here")

    def _check_token(self, scope: Scope, headers: Headers) -> None:
        if scope["path"] in OPEN or scope["path"].startswith("/static/"):
            return
        kind, _, given = headers.get("authorization", "").partition(" ")
        bearer = given.strip() if kind.lower() == "bearer" else None
        cookie = cookie_parser(headers.get("cookie", "")).get(cookie_name(scope))
        if self._access.admits(bearer, cookie):
            return
        address = scope["client"][0] if scope.get("client") else ""
        if self._access.waits(address):
            raise Problem(
                429, "token", "too many wrong tokens: wait a minute", headers={"Retry-After": "60"}
            )
        if bearer is not None or cookie is not None:
            self._access.refuse(address, page=bearer is None)
        raise Problem(
            401, "token", "this server asks for its token", headers={"WWW-Authenticate": "Bearer"}
        )


class _Answer:
    """What is sent, with the headers that everything carries, noted for the journal."""

    def __init__(self, send: Send, line: Line) -> None:
        self._send, self._line, self.begun = send, line, False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun, self._line.status = True, message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            static = self._line.route == "static"  # asked for again only if it has changed
            headers.setdefault("Cache-Control", "no-cache" if static else "no-store")
        elif message["type"] == "http.response.body":
            self._line.bytes += len(message.get("body", b""))
        await self._send(message)


def _bounded(scope: Scope, receive: Receive) -> Receive:
    """The body of a request, refused where it is too large or comes too slowly."""
    uploads = scope["path"] == UPLOADS
    size, whole = 0, False
    until = time.monotonic() + PATIENCE

    async def bounded() -> Message:
        nonlocal size, whole
        if whole:  # from here on it only waits for the client to go
            return await receive()
        left = PATIENCE if uploads else max(0.0, until - time.monotonic())
        try:
            async with asyncio.timeout(left):
                message = await receive()
        except TimeoutError:
            raise Problem(
                408, "timeout", "the request came too slowly", headers={"Connection": "close"}
            ) from None
        whole = message["type"] != "http.request" or not message.get("more_body", False)
        size += len(message.get("body", b""))
        if size > BODY and not uploads:
            raise _too_large()
        return message

    return bounded


def _too_large() -> Problem:
    return Problem(413, "too-large", f"a request may have {BODY // 1024} kB")
