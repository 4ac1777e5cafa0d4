"""Listening sockets of the servers: TCP ports and Unix sockets."""

from __future__ import annotations

import os
import socket
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vsearch.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SOCKET_UMASK = 0o117  # the owner and the group of the process may connect
_BACKLOG = 1024


@contextmanager
def listen_on_port(host: str, port: int) -> Iterator[socket.socket]:
    """Listen on a TCP port within the block.

    Args:
        host: Host name or address; empty for all interfaces.
        port: Port number; 0 means any free one.

    Yields:
        The listening socket.

    Raises:
        SettingsError: If the address or port is not available.
    """
    try:
        [(address_family, _, _, _, socket_address), *_] = socket.getaddrinfo(
            host.strip("[]") or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        listening_socket = socket.socket(address_family, socket.SOCK_STREAM)
        try:
            if os.name != "nt":  # on Windows it would share the port with another server
                listening_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening_socket.bind(socket_address)
            listening_socket.listen(_BACKLOG)
        except OSError:
            listening_socket.close()
            raise
    except (OSError, UnicodeError, OverflowError) as error:
        raise SettingsError(
            f"cannot listen at {host}:{port} ({_explain(error)}); choose another --port or --host"
        ) from error
    with listening_socket:
        yield listening_socket


@contextmanager
def listen_on_socket(socket_path: Path) -> Iterator[socket.socket]:
    """Listen on a Unix socket within the block; its file is then deleted.

    Only processes of the same user or group can connect. A socket that a server left behind is
    replaced, any other file is kept.

    Args:
        socket_path: Path of the socket, in an existing folder.

    Yields:
        The listening socket.

    Raises:
        SettingsError: If the path is in use or not available.
    """
    if not hasattr(socket, "AF_UNIX"):
        raise SettingsError("this system has no Unix sockets; use --host and --port")
    listening_socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale_socket(socket_path)
        previous_umask = os.umask(SOCKET_UMASK)
        try:
            listening_socket.bind(os.fspath(socket_path))
        finally:
            os.umask(previous_umask)
        listening_socket.listen(_BACKLOG)
    except (OSError, ValueError) as error:
        listening_socket.close()
        raise SettingsError(
            f"cannot listen at {socket_path} ({_explain(error)}); choose another --socket"
        ) from error
    try:
        with listening_socket:
            yield listening_socket
    finally:
        socket_path.unlink(missing_ok=True)


def _remove_stale_socket(socket_path: Path) -> None:
    """Delete a socket on which no server listens."""
    if not socket_path.exists() or not stat.S_ISSOCK(socket_path.lstat().st_mode):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probing_socket:
        probing_socket.settimeout(1)
        try:
            probing_socket.connect(os.fspath(socket_path))
        except ConnectionRefusedError:
            socket_path.unlink()


def _explain(error: Exception) -> object:
    return getattr(error, "strerror", None) or error
