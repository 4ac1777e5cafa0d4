"""Real servers on loopback, one of each kind for all tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.milvus_server import MilvusServer, install_milvus

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def milvus_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusServer]:
    """Milvus, empty at first. A test that kills it starts it again."""
    install_milvus()
    server = MilvusServer(tmp_path_factory.mktemp("milvus"))
    server.start()
    yield server
    server.kill()
