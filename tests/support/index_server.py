"""What tests do with a server that keeps vector indexes."""

from __future__ import annotations

from typing import Protocol


class IndexServer(Protocol):
    """A real server, which is started again with the same address and data."""

    @property
    def index_setting(self) -> str:
        """Value of the setting `index`."""

    def start(self) -> None:
        """Start the server and wait until it answers."""

    def kill(self) -> None:
        """Kill the server as a crash would, and wait for its end."""

    def delete_data(self) -> None:
        """Delete all data of the stopped server."""
