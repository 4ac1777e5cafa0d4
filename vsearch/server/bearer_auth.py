"""ASGI middleware that requires a bearer token, for applications without pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vsearch.server.auth import AuthResult

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from vsearch.server.auth import AccessPolicy


class BearerTokenMiddleware:
    """Rejects requests without the token, and methods that the application lacks."""

    def __init__(
        self, app: ASGIApp, access_policy: AccessPolicy, allowed_methods: tuple[str, ...]
    ) -> None:
        self._app, self._access_policy = app, access_policy
        self._allowed_methods = allowed_methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check a request and pass it on."""
        if scope["type"] == "http":
            auth_result = await self._authenticate(scope)
            if auth_result is AuthResult.THROTTLED:
                await _send_error(send, 429, (b"retry-after", b"60"))
                return
            if auth_result is AuthResult.REFUSED:
                await _send_error(send, 401, (b"www-authenticate", b"Bearer"))
                return
            if scope["method"] not in self._allowed_methods:
                allowed = ", ".join(self._allowed_methods).encode()
                await _send_error(send, 405, (b"allow", allowed))
                return
        await self._app(scope, receive, send)

    async def _authenticate(self, scope: Scope) -> AuthResult:
        authorization = next(
            (value for name, value in scope["headers"] if name == b"authorization"), b""
        ).decode("latin-1")
        auth_scheme, _, credentials = authorization.partition(" ")
        bearer_token = credentials.strip() if auth_scheme.lower() == "bearer" else None
        client_address = scope["client"][0] if scope["client"] else ""
        return await self._access_policy.authenticate(client_address, bearer_token)


async def _send_error(send: Send, status: int, header: tuple[bytes, bytes]) -> None:
    headers = [header, (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
