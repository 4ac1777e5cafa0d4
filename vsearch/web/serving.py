"""A server for one library: started, told about, and stopped in order."""

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
from vsearch.web.access import Access, is_loopback, new_token
from vsearch.web.app import create_app
from vsearch.web.desk import Desk
from vsearch.web.folders import Folders
from vsearch.web.jobs import Jobs
from vsearch.web.metrics import Metrics
from vsearch.web.recent import Recent
from vsearch.web.stills import Stills
from vsearch.web.turns import Turns
from vsearch.web.uploads import Uploads

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from vsearch.library import Library

log = logging.getLogger(__name__)

PORT = 8765
GRACE = 5  # seconds for answers in hand when the server is stopped
IDLE = 20  # seconds that a connection may stay without asking
HEADERS = 32 * 1024  # bytes of a request's head
BACKLOG = 64  # connections that wait to be taken
CONNECTIONS = 512  # at once
BEGIN = 10.0  # seconds until the head of a first request has come


@dataclass(frozen=True, slots=True)
class Wish:
    """Where to listen, and for whom."""

    host: str = "127.0.0.1"
    port: int = PORT  # 0: any that is free
    token: str | None = None
    names: tuple[str, ...] = ()  # what this server is called besides
    folders: Sequence[Path] = field(default=())  # that may be indexed from the page
    proxied: bool = False  # a proxy on this machine says who asks, and whether by HTTPS


def desk_for(library: Library, folders: Sequence[Path] = ()) -> Desk:
    """What the routes of a server for a library work with."""
    known = Folders(folders)
    metrics = Metrics()
    jobs = Jobs(library, known)
    metrics.gauge("jobs_unfinished", "Jobs that wait or run.", lambda: jobs.unfinished)
    return Desk(
        library,
        Uploads(),
        Stills(library),
        known,
        jobs,
        Recent(),
        Turns(os.cpu_count() or 1),
        metrics,
    )


def serve(library: Library, wish: Wish, tell: Callable[[str, str | None], None]) -> None:
    """Serve a library until the process is told to stop (Ctrl-C, SIGTERM).

    `tell` is given the address, and the token that was made where none was named and one is
    needed. Raises SettingsError where it cannot listen there.
    """
    made = None if wish.token or is_loopback(wish.host) else new_token()
    access = Access.of(wish.host, wish.token or made, wish.names)
    with closing(_listening(wish.host, wish.port)) as listener:
        port = listener.getsockname()[1]
        shown = f"[{wish.host}]" if ":" in wish.host else wish.host
        tell(f"http://{shown}:{port}/", made)
        warm(library)
        desk = desk_for(library, wish.folders)
        config = uvicorn.Config(
            create_app(desk, access),
            http=_Protocol,
            backlog=BACKLOG,
            proxy_headers=wish.proxied,  # of a proxy on this machine
            ws="none",
            log_config=None,
            access_log=False,  # ours tells no query and no token
            server_header=False,
            timeout_keep_alive=IDLE,
            timeout_graceful_shutdown=GRACE,
            h11_max_incomplete_event_size=HEADERS,
        )
        try:
            _Server(config, desk).run(sockets=[listener])
        finally:
            desk.close()


class _Protocol(H11Protocol):
    """HTTP, for so many connections, of which none may stay that never asks."""

    _refused = False
    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        if len(self.connections) >= CONNECTIONS:
            self._refused = True
            transport.abort()
            return
        super().connection_made(transport)
        self._late = self.loop.call_later(BEGIN, self._end_late)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._late is not None:
            self._late.cancel()
        if not self._refused:
            super().connection_lost(exc)

    def _end_late(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            self.transport.abort()


class _Server(uvicorn.Server):
    """One that ends its streams of events first when it is stopped: they would be waited for."""

    def __init__(self, config: uvicorn.Config, desk: Desk) -> None:
        super().__init__(config)
        self._desk = desk

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._desk.jobs.hush()
        await super().shutdown(sockets)


def warm(library: Library) -> None:
    """Load the model and the index now, not with the first question."""
    try:
        if library.space is not None and library.space.speaks_text:
            library.search("a video", k=1)
    except Exception as error:  # the first question tells what is wrong, if it still is
        log.warning("%s", error)


def _listening(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises SettingsError."""
    try:
        [(family, _, _, _, address), *_] = socket.getaddrinfo(
            host.strip("[]") or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            if os.name != "nt":  # there it would share the port with another server
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(1024)
        except OSError:
            listener.close()
            raise
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SettingsError(
            f"cannot listen at {host}:{port} ({reason}); name another --port or --host"
        ) from error
    return listener
