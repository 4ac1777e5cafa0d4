"""Free ports of loopback for servers of tests."""

from __future__ import annotations

import socket


def find_free_port() -> int:
    """Return a port of loopback that no process uses at present."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
