"""A TCP proxy on loopback that can stall, reset and refuse connections, and counts bytes."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

_CHUNK_BYTES = 64 * 1024
Fault: TypeAlias = Literal["none", "stall", "reset"]


class TcpProxy:
    """A proxy of one server; `fault` decides what becomes of data from now on.

    "stall" keeps connections open and passes nothing; "reset" closes them with RST, also new ones.
    """

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._connections: set[socket.socket] = set()
        self._resumed = threading.Event()
        self._resumed.set()
        self.fault: Fault = "none"
        self.received_bytes = 0  # from the server
        self.reset_after_bytes: int | None = None  # of the server, once
        self.port = int(self._listener.getsockname()[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.set_fault("reset")
        self._listener.close()

    @property
    def url(self) -> str:
        """URL of the proxy."""
        return f"http://127.0.0.1:{self.port}"

    def set_fault(self, fault: Fault) -> None:
        """Start or end a fault, of open connections, too."""
        self.fault = fault
        if fault == "stall":
            self._resumed.clear()
        else:
            self._resumed.set()
        if fault == "reset":
            self._reset_connections()

    def _reset_connections(self) -> None:
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self._connections.clear()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.fault == "reset":
                client.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self._target_port))
            except OSError:
                client.close()
                continue
            self._connections |= {client, server}
            for source, target in ((client, server), (server, client)):
                threading.Thread(
                    target=self._pass, args=(source, target, source is server), daemon=True
                ).start()

    def _pass(self, source: socket.socket, target: socket.socket, is_answer: bool) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(_CHUNK_BYTES):
                self._resumed.wait()
                if is_answer:
                    self.received_bytes += len(chunk)
                    limit = self.reset_after_bytes
                    if limit is not None and self.received_bytes > limit:
                        self.reset_after_bytes = None
                        self._reset_connections()
                        return
                target.sendall(chunk)
        for connection in (source, target):
            connection.close()
            self._connections.discard(connection)
