"""Real servers on loopback, one of each kind for all tests where tests can share it."""

from __future__ import annotations

import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.milvus_server import MilvusServer, install_milvus
from tests.support.pgvector_server import PgvectorServer
from tests.support.s3_server import S3Server

if TYPE_CHECKING:
    from collections.abc import Iterator


# its imports need the extra `postgresql`, which `make test-cluster` installs
collect_ignore = [] if find_spec("psycopg") else ["test_catalog_on_postgresql.py"]


@pytest.fixture(scope="session")
def milvus_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusServer]:
    """Milvus, empty at first. A test that kills it starts it again."""
    install_milvus()
    server = MilvusServer(tmp_path_factory.mktemp("milvus"))
    server.start()
    yield server
    server.kill()


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
