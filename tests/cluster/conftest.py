"""Real servers on loopback."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.s3_server import S3Server

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def s3_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """An S3 server without buckets, and the environment of its clients."""
    if not S3Server.is_installed():
        pytest.skip("needs the packages moto[server] and s3fs")
    server = S3Server()
    server.start()
    for name, value in server.client_environment.items():
        monkeypatch.setenv(name, value)
    yield server
    server.stop()
