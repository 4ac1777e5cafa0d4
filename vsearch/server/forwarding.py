"""Client addresses and schemes that a reverse proxy on this machine reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vsearch.server.addresses import is_ip_address, is_loopback

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_MAX_ENTRIES = 20  # of X-Forwarded-For that are read


class ForwardedHeadersMiddleware:
    """Takes the client and scheme of requests from a proxy out of their X-Forwarded-* headers.

    A proxy connects over the Unix socket or from a loopback address. The headers of all other
    requests are ignored, because their clients could write anything into them.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, with the address and scheme that its proxy reports."""
        if scope["type"] == "http" and (scope["client"] is None or is_loopback(scope["client"][0])):
            scope = {**scope, **_read_forwarded(scope["headers"])}
        await self._app(scope, receive, send)


def _read_forwarded(headers: list[tuple[bytes, bytes]]) -> dict[str, Any]:
    """Return the replaced entries of a scope."""
    forwarded: dict[str, Any] = {}
    entries = ",".join(_list_values(headers, b"x-forwarded-for")).split(",")
    # the last address is that of the client of the proxy; the client may have sent those before it
    for entry in reversed(entries[-_MAX_ENTRIES:]):
        host_name = _strip_port(entry.strip())
        if not is_ip_address(host_name):
            break
        forwarded["client"] = (host_name, 0)
        if not is_loopback(host_name):
            break
    for scheme in _list_values(headers, b"x-forwarded-proto")[-1:]:
        if scheme.strip().lower() in ("http", "https"):
            forwarded["scheme"] = scheme.strip().lower()
    return forwarded


def _list_values(headers: list[tuple[bytes, bytes]], header_name: bytes) -> list[str]:
    return [value.decode("latin-1") for name, value in headers if name == header_name]


def _strip_port(entry: str) -> str:
    """Return the address of `1.2.3.4:5`, `[::1]:5` or an address without a port."""
    if entry.startswith("["):
        return entry[1:].partition("]")[0]
    return entry.partition(":")[0] if entry.count(":") == 1 else entry
