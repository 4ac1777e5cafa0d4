"""Startup and graceful shutdown of the HTTP server of one library."""

from __future__ import annotations

import logging
import os
import socket
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from vsearch.errors import SettingsError
from vsearch.server.app import create_app
from vsearch.server.auth import AccessPolicy, generate_token, is_loopback
from vsearch.server.folders import AllowedFolders
from vsearch.server.jobs.service import JobService
from vsearch.server.limits import ConcurrencyLimit
from vsearch.server.metrics import ServerMetrics
from vsearch.server.search_history import SearchHistory
from vsearch.server.state import AppState
from vsearch.server.thumbnail_cache import ThumbnailCache
from vsearch.server.uploads import UploadStore

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from vsearch.library import Library

log = logging.getLogger(__name__)
DEFAULT_PORT = 8765
SHUTDOWN_TIMEOUT_SECONDS = 5  # for running requests when the server stops
KEEP_ALIVE_SECONDS = 20  # for idle connections
MAX_HEADER_BYTES = 32 * 1024  # of a request
CONNECTION_BACKLOG = 64  # connections not yet accepted
MAX_CONNECTIONS = 512
FIRST_REQUEST_TIMEOUT_SECONDS = 10.0  # until the headers of the first request


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Address and access settings of a server."""

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT  # 0: any free port
    token: str | None = None
    allowed_hosts: tuple[str, ...] = ()  # further names accepted in the Host header
    folder_paths: Sequence[Path] = field(default=())  # folders that clients may index
    trust_proxy_headers: bool = False  # X-Forwarded-* from a reverse proxy on this machine


def create_state(library: Library, folder_paths: Sequence[Path] = ()) -> AppState:
    """Create the shared state of a server.

    Args:
        library: The open library to serve.
        folder_paths: Folders that clients may index.

    Returns:
        The state, to be closed with `AppState.close`.
    """
    allowed_folders = AllowedFolders(folder_paths)
    metrics = ServerMetrics()
    job_service = JobService(library, allowed_folders)
    metrics.add_gauge(
        "jobs_unfinished", "Jobs waiting or running.", lambda: job_service.unfinished_count
    )
    return AppState(
        library,
        UploadStore(),
        ThumbnailCache(library),
        allowed_folders,
        job_service,
        SearchHistory(),
        ConcurrencyLimit(os.cpu_count() or 1),
        metrics,
    )


def serve_library(
    library: Library, options: ServerOptions, on_ready: Callable[[str, str | None], None]
) -> None:
    """Serve a library until Ctrl-C or SIGTERM.

    A token is generated if the server listens beyond loopback and `options` has none.

    Args:
        library: The open library to serve; it stays open.
        options: Address and access settings.
        on_ready: Called with the URL and the generated token (or None) once the port is open.

    Raises:
        SettingsError: If the address or port is not available.
    """
    generated_token = None if options.token or is_loopback(options.host) else generate_token()
    access_policy = AccessPolicy.for_host(
        options.host, options.token or generated_token, options.allowed_hosts
    )
    with closing(_open_listener(options.host, options.port)) as listening_socket:
        port = listening_socket.getsockname()[1]
        display_host = f"[{options.host}]" if ":" in options.host else options.host
        on_ready(f"http://{display_host}:{port}/", generated_token)
        warm_library(library)
        state = create_state(library, options.folder_paths)
        uvicorn_config = uvicorn.Config(
            create_app(state, access_policy),
            http=_LimitedProtocol,
            backlog=CONNECTION_BACKLOG,
            proxy_headers=options.trust_proxy_headers,
            ws="none",
            log_config=None,
            access_log=False,  # ours contains neither queries nor tokens
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=SHUTDOWN_TIMEOUT_SECONDS,
            h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        )
        try:
            _GracefulServer(uvicorn_config, state).run(sockets=[listening_socket])
        finally:
            state.close()


class _LimitedProtocol(H11Protocol):
    """HTTP/1.1 protocol that bounds the connections and aborts those that send no request."""

    _is_refused = False
    _first_request_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        if len(self.connections) >= MAX_CONNECTIONS:
            self._is_refused = True
            transport.abort()
            return
        super().connection_made(transport)
        self._first_request_timer = self.loop.call_later(
            FIRST_REQUEST_TIMEOUT_SECONDS, self._abort_if_silent
        )

    def connection_lost(self, exc: Exception | None) -> None:
        if self._first_request_timer is not None:
            self._first_request_timer.cancel()
        if not self._is_refused:
            super().connection_lost(exc)

    def _abort_if_silent(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            self.transport.abort()


class _GracefulServer(uvicorn.Server):
    """Server that closes event streams first on shutdown, which would otherwise block it."""

    def __init__(self, config: uvicorn.Config, state: AppState) -> None:
        super().__init__(config)
        self._app_state = state

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app_state.job_service.close_subscriptions()
        await super().shutdown(sockets)


def warm_library(library: Library) -> None:
    """Load the model and the index before the first search."""
    try:
        if library.space is not None and library.space.supports_text:
            library.search("a video", k=1)
    except Exception as error:  # the first search reports the error if it persists
        log.warning("%s", error)


def _open_listener(host: str, port: int) -> socket.socket:
    """Return a listening socket; raise SettingsError if the address is not available."""
    try:
        [(address_family, _, _, _, socket_address), *_] = socket.getaddrinfo(
            host.strip("[]") or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        listening_socket = socket.socket(address_family, socket.SOCK_STREAM)
        try:
            if os.name != "nt":  # on Windows it would share the port with another server
                listening_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening_socket.bind(socket_address)
            listening_socket.listen(1024)
        except OSError:
            listening_socket.close()
            raise
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SettingsError(
            f"cannot listen at {host}:{port} ({reason}); choose another --port or --host"
        ) from error
    return listening_socket
