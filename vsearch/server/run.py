"""Startup and graceful shutdown of the HTTP server of one library."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import uvicorn

from vsearch.server.app import create_app
from vsearch.server.auth import AccessPolicy, generate_token, is_loopback
from vsearch.server.connections import ConnectionLimits, create_uvicorn_config
from vsearch.server.folders import AllowedFolders
from vsearch.server.forwarding import ForwardedHeadersMiddleware
from vsearch.server.jobs.service import JobService
from vsearch.server.library_overview import LibraryOverview
from vsearch.server.limits import ConcurrencyLimit
from vsearch.server.listeners import listen_on_port, listen_on_socket
from vsearch.server.metrics import ServerMetrics
from vsearch.server.root_path import RootPathMiddleware, check_root_path
from vsearch.server.search_history import SearchHistory
from vsearch.server.state import AppState
from vsearch.server.thumbnail_cache import ThumbnailCache
from vsearch.server.uploads import UploadStore
from vsearch.server.video_listing import VideoListing
from vsearch.server.warming import warm_library

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from vsearch.library import Library

log = logging.getLogger(__name__)
DEFAULT_PORT = 8765


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Address and access settings of a server."""

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT  # 0: any free port
    token: str | None = None
    allowed_hosts: tuple[str, ...] = ()  # further names accepted in the Host header
    folder_paths: Sequence[Path] = field(default=())  # folders that clients may index
    trust_proxy_headers: bool = False  # X-Forwarded-* from a reverse proxy on this machine
    socket_path: Path | None = None  # Unix socket for such a proxy, instead of host and port
    connection_limits: ConnectionLimits = field(default_factory=ConnectionLimits)
    root_path: str = ""  # path under which a proxy serves the page, e.g. "/vs"


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
        ThumbnailCache(library, shared_thumbnails=library.shared_thumbnails),
        allowed_folders,
        job_service,
        SearchHistory(),
        ConcurrencyLimit(os.cpu_count() or 1),
        metrics,
        VideoListing(library),
        LibraryOverview(library),
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
        SettingsError: If the address or port is not available, or the root path is invalid.
    """
    check_root_path(options.root_path)
    is_local = options.socket_path is None and is_loopback(options.host)
    generated_token = None if options.token or is_local else generate_token()
    access_policy = AccessPolicy.for_host(
        "localhost" if options.socket_path else options.host,
        options.token or generated_token,
        options.allowed_hosts,
    )
    with _open_listener(options) as listening_socket:
        on_ready(_format_url(listening_socket, options), generated_token)
        warm_library(library)
        state = create_state(library, options.folder_paths)
        try:
            create_server(state, access_policy, options).run(sockets=[listening_socket])
        finally:
            state.close()


def create_server(
    state: AppState, access_policy: AccessPolicy, options: ServerOptions
) -> uvicorn.Server:
    """Create the HTTP server of an application, which does not run yet.

    Args:
        state: The served library and its services.
        access_policy: Token and Host checks.
        options: Connection limits, and whether a proxy is trusted.

    Returns:
        The server, to be run with listening sockets.
    """
    app, limits = create_app(state, access_policy), options.connection_limits
    if root_path := check_root_path(options.root_path):
        app = RootPathMiddleware(app, root_path)
    if options.socket_path or options.trust_proxy_headers:
        app, limits = ForwardedHeadersMiddleware(app), replace(limits, is_behind_proxy=True)
    return _GracefulServer(create_uvicorn_config(app, limits), state)


class _GracefulServer(uvicorn.Server):
    """Server that closes event streams first on shutdown, which would otherwise block it."""

    def __init__(self, config: uvicorn.Config, state: AppState) -> None:
        super().__init__(config)
        self._app_state = state

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app_state.job_service.close_subscriptions()
        await super().shutdown(sockets)


def _open_listener(options: ServerOptions) -> AbstractContextManager[socket.socket]:
    if options.socket_path is not None:
        return listen_on_socket(options.socket_path)
    return listen_on_port(options.host, options.port)


def _format_url(listening_socket: socket.socket, options: ServerOptions) -> str:
    if options.socket_path is not None:
        return f"unix:{options.socket_path}"
    display_host = f"[{options.host}]" if ":" in options.host else options.host
    return f"http://{display_host}:{listening_socket.getsockname()[1]}/"
