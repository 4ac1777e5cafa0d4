"""HTTP/1.1 protocol that bounds connections and closes those whose clients keep it waiting.

A client must finish the head of a request, its body, and reading the response in time. At the
limit of an address, the connection that has been waiting for its client for longest makes room, so
that clients that do nothing lock out neither others nor themselves.
"""

from __future__ import annotations

import os
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.flow_control import CLOSE_HEADER
from uvicorn.protocols.http.h11_impl import H11Protocol

from vsearch.server.addresses import group_address, is_loopback

if TYPE_CHECKING:
    import asyncio

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAY_PAUSE = "may_pause"  # key in the state of a request whose response plays a video
BODY_BYTES_PER_SECOND = 50_000  # of a request body, beyond `body_seconds`
_MIN_PROGRESS_BYTES = 48 * 1024  # what a full send buffer loses before it is filled again
_CHECK_SECONDS = 1.0
_MAX_UNSENT_BYTES = 128 * 1024  # that the kernel takes of a response before the client reads on
_KEEP_ALIVE_SECONDS = 20  # for idle connections
_MAX_HEAD_BYTES = 32 * 1024  # of a request
_NO_LINGER = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
_BACKLOG = 64  # connections not yet accepted
_SHUTDOWN_SECONDS = 5  # for running requests when the server stops


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Limits on connections; times are seconds."""

    max_connections: int = 512
    max_per_address: int = 64  # a network of 64 bits counts as one IPv6 address
    max_requests: int = 1_000  # of one connection
    head_seconds: float = 10.0  # from the first byte of a request to the end of its head
    body_seconds: float = 35.0  # of a body, plus its time at `BODY_BYTES_PER_SECOND`
    send_seconds: float = 30.0  # in which a client must read `_MIN_PROGRESS_BYTES`
    paused_seconds: float = 600.0  # the same for playback: browsers stop reading a paused video
    is_behind_proxy: bool = False  # all clients have the address of the proxy


def create_uvicorn_config(app: ASGIApp, limits: ConnectionLimits) -> uvicorn.Config:
    """Create the configuration of an HTTP server with limited connections.

    Args:
        app: The ASGI application.
        limits: Limits on its connections.

    Returns:
        A configuration without access log and proxy headers.
    """
    return uvicorn.Config(
        app,
        http=partial(LimitedProtocol, ConnectionRegistry(limits)),  # type: ignore[arg-type]
        backlog=_BACKLOG,
        proxy_headers=False,  # see `forwarding`, which also trusts Unix sockets
        ws="none",
        log_config=None,
        access_log=False,  # ours contains neither queries nor tokens
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
        h11_max_incomplete_event_size=_MAX_HEAD_BYTES,
    )


class ConnectionRegistry:
    """The open connections by address."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self._groups: dict[str, set[LimitedProtocol]] = {}
        self._connection_count = 0

    def add(self, connection: LimitedProtocol, address: str | None) -> bool:
        """Add a connection, closing a waiting one if necessary; return False if there is no room.

        Args:
            connection: The new connection.
            address: Address of the client; None for a Unix socket.
        """
        is_proxy = address is None or (self.limits.is_behind_proxy and is_loopback(address))
        connection.group_key = "" if address is None else group_address(address)
        group = self._groups.get(connection.group_key, set())
        if not is_proxy and len(group) >= self.limits.max_per_address and not self._evict(group):
            return False
        if self._connection_count >= self.limits.max_connections and not self._evict(
            max(self._groups.values(), key=len)
        ):
            return False
        self._groups.setdefault(connection.group_key, set()).add(connection)
        self._connection_count += 1
        return True

    def remove(self, connection: LimitedProtocol) -> None:
        """Remove a connection, if it is still there."""
        group = self._groups.get(connection.group_key, set())
        if connection in group:
            group.remove(connection)
            self._connection_count -= 1
            if not group:
                del self._groups[connection.group_key]

    def _evict(self, group: set[LimitedProtocol]) -> bool:
        """Close the connection that has waited for its client for longest, if any."""
        waiting_since = {
            connection: since
            for connection in group
            if (since := connection.find_waiting_start()) is not None
        }
        if not waiting_since:
            return False
        longest_waiting = min(waiting_since, key=lambda connection: waiting_since[connection])
        self.remove(longest_waiting)
        longest_waiting.abort()
        return True


class LimitedProtocol(H11Protocol):
    """HTTP/1.1 protocol of one connection, with deadlines for its client."""

    group_key = ""

    def __init__(self, registry: ConnectionRegistry, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._registry, self._limits = registry, registry.limits
        self._inner_app: Any = self.app
        self.app = self._run_app
        self._request_count = 0
        # times of the event loop
        self._idle_since: float = self.loop.time()  # connected, or answered a request
        self._head_since: float | None = self._idle_since  # first byte after that
        self._body_since = self._received_at = self._sent_at = self._idle_since
        self._body_bytes = self._sent_bytes = self._drained_bytes = 0
        self._current_cycle: object = None
        self._check_timer: asyncio.TimerHandle | None = None

    # --- events

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the deadlines, or close the connection if there is no room for it."""
        super().connection_made(transport)
        if self._registry.add(self, self.client[0] if self.client else None):
            _limit_unsent_bytes(transport.get_extra_info("socket"))
            self._check_later()
        else:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Make room for another connection."""
        if self._check_timer is not None:
            self._check_timer.cancel()
        self._registry.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Start the deadline of a head with its first byte."""
        self._received_at = self.loop.time()
        self._body_bytes += len(data)
        super().data_received(data)
        self._note_request()
        if not self._is_running and self._head_since is None:
            self._head_since = self._received_at

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self._idle_since = self.loop.time()
        super().on_response_complete()  # starts the next request if it was pipelined
        self._note_request()

    def _note_request(self) -> None:
        """Restart the deadlines if the head of a new request is complete."""
        if self.cycle is not self._current_cycle:
            self._current_cycle, self._head_since = self.cycle, None
            self._body_since, self._body_bytes = self.loop.time(), 0

    async def _run_app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, counting the bytes of its response."""
        self._request_count += 1
        if self._request_count >= self._limits.max_requests:
            scope["headers"].append(CLOSE_HEADER)  # uvicorn answers with the same header

        async def send_counted(message: Message) -> None:
            await send(message)
            self._sent_bytes += len(message.get("body", b""))

        await self._inner_app(scope, receive, send_counted)

    # --- deadlines

    @property
    def _is_running(self) -> bool:
        """True while a request is being handled."""
        return self._current_cycle is not None and not self.cycle.response_complete

    @property
    def _awaits_body(self) -> bool:
        return self._is_running and self.cycle.more_body

    @property
    def _send_seconds(self) -> float:
        if self._current_cycle is not None and self.scope["state"].get(MAY_PAUSE):
            return self._limits.paused_seconds
        return self._limits.send_seconds

    def find_waiting_start(self) -> float | None:
        """Return the loop time since which the client keeps the server waiting, or None."""
        if self.transport.get_write_buffer_size():
            return self._sent_at
        if not self._is_running:
            return self._idle_since
        return self._received_at if self._awaits_body else None

    def abort(self) -> None:
        """Reset the connection, so that the kernel keeps no unread data for its client either."""
        connection_socket = self.transport.get_extra_info("socket")
        with suppress(OSError):  # closed already
            connection_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self.transport.abort()

    def _check_later(self) -> None:
        limits = self._limits
        shortest_seconds = min(limits.head_seconds, limits.body_seconds, limits.send_seconds)
        self._check_timer = self.loop.call_later(
            min(_CHECK_SECONDS, shortest_seconds / 4), self._check_deadlines
        )

    def _check_deadlines(self) -> None:
        now = self.loop.time()
        buffered_bytes = self.transport.get_write_buffer_size()
        drained_bytes = self._sent_bytes - buffered_bytes
        if not buffered_bytes or drained_bytes - self._drained_bytes >= _MIN_PROGRESS_BYTES:
            self._sent_at, self._drained_bytes = now, drained_bytes
        body_seconds = self._limits.body_seconds + self._body_bytes / BODY_BYTES_PER_SECOND
        if (
            now - self._sent_at > self._send_seconds
            or (self._head_since is not None and now - self._head_since > self._limits.head_seconds)
            or (self._awaits_body and now - self._body_since > body_seconds)
        ):
            self.abort()
        else:
            self._check_later()


def _limit_unsent_bytes(connection_socket: socket.socket) -> None:
    """Keep the kernel from storing megabytes of a response that is not read, where it can."""
    if hasattr(socket, "TCP_NOTSENT_LOWAT") and connection_socket.family != socket.AF_UNIX:
        with suppress(OSError):
            connection_socket.setsockopt(
                socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _MAX_UNSENT_BYTES
            )
