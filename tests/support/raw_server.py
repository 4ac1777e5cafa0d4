"""An HTTP server in a thread, and raw connections to attack it."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import TYPE_CHECKING

import uvicorn

from vsearch.server.connections import ConnectionLimits, create_uvicorn_config
from vsearch.server.listeners import listen_on_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.types import ASGIApp

PATIENCE = 30.0  # seconds, for busy machines
HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


@contextmanager
def run_server(server: uvicorn.Server, listener: socket.socket) -> Iterator[None]:
    """Run a server in a thread within the block."""
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        assert wait_until(lambda: server.started)
        yield
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        assert not thread.is_alive()


@contextmanager
def serve_app(
    app: ASGIApp, limits: ConnectionLimits | None = None, *, send_buffer_bytes: int = 0
) -> Iterator[int]:
    """Serve an application with limited connections and yield its port."""
    server = uvicorn.Server(create_uvicorn_config(app, limits or ConnectionLimits()))
    with listen_on_port("127.0.0.1", 0) as listener:
        if send_buffer_bytes:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer_bytes)
        with run_server(server, listener):
            yield listener.getsockname()[1]


@contextmanager
def connect(
    port: int, sent: bytes = b"", *, source: str = "127.0.0.1", buffer_bytes: int = 0
) -> Iterator[socket.socket]:
    """Open a connection from an address of this machine, and send bytes."""
    with socket.socket() as connection:
        if buffer_bytes:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        connection.settimeout(PATIENCE)
        connection.bind((source, 0))
        connection.connect(("127.0.0.1", port))
        connection.sendall(sent)
        yield connection


@contextmanager
def connect_many(
    port: int, count: int, sent: bytes = b"", *, source: str = "127.0.0.1", buffer_bytes: int = 0
) -> Iterator[list[socket.socket]]:
    """Open many connections; those that the server refuses are kept, too."""
    with ExitStack() as stack:
        connections = []
        for _ in range(count):
            connection = stack.enter_context(closing(socket.socket()))
            if buffer_bytes:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
            connection.settimeout(PATIENCE)
            connection.bind((source, 0))
            with suppress(ConnectionError):  # a reset may arrive before `connect` returns
                connection.connect(("127.0.0.1", port))
                connection.sendall(sent)
            connections.append(connection)
        yield connections


def request_status(port: int, *, source: str = "127.0.0.1", path: str = "/") -> int:
    """Return the status of a request in a new connection, 0 if it was refused."""
    client = http.client.HTTPConnection(
        "127.0.0.1", port, timeout=PATIENCE, source_address=(source, 0)
    )
    with closing(client):
        try:
            client.request("GET", path)
            return client.getresponse().status
        except (ConnectionError, http.client.HTTPException):
            return 0


def is_closed(connection: socket.socket) -> bool:
    """Return True if the server has closed a connection; reads what it sent before."""
    connection.setblocking(False)
    try:
        while connection.recv(65_536):
            pass
        return True
    except BlockingIOError:
        return False
    except OSError:  # reset, or refused before it was connected
        return True
    finally:
        connection.settimeout(PATIENCE)


def is_reset(connection: socket.socket) -> bool:
    """Return True if the server has reset a connection, without reading from it."""
    error_number = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    return error_number != 0


def wait_until(condition: Callable[[], bool], seconds: float = PATIENCE) -> bool:
    """Return True as soon as a condition holds, False after a timeout."""
    deadline = time.monotonic() + seconds
    while not (is_met := condition()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return is_met
