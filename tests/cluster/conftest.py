"""Real servers on loopback, one of each kind for all tests."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.milvus_server import MilvusServer, install_milvus
from tests.support.pgvector_server import PgvectorServer

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


@pytest.fixture(scope="session")
def pgvector_server() -> Iterator[PgvectorServer]:
    """PostgreSQL with pgvector, empty at first. A test that kills it starts it again."""
    pytest.importorskip("psycopg")
    # other users may not enter the temporary folders of pytest
    with tempfile.TemporaryDirectory(prefix="vsearch-postgresql-") as folder:
        Path(folder).chmod(0o755)
        server = PgvectorServer(Path(folder) / "server")
        server.start()
        yield server
        server.kill()
