"""The server application over a small library, for tests."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from starlette.testclient import TestClient

from tests.support.fakes import FakeEncoder
from vsearch import Library
from vsearch.server.app import create_app
from vsearch.server.run import create_state

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from vsearch.server.auth import AccessPolicy

BASE_URL = "http://127.0.0.1:8765"


def index_videos(library_path: Path, videos_folder: Path) -> None:
    """Index a folder into a library with the fake encoder."""
    with Library.open(library_path, encoder=FakeEncoder()) as library:
        assert not [result.error for result in library.index([videos_folder]) if result.error]


@contextmanager
def serve_library(
    library_path: Path, *, access: AccessPolicy | None = None, folders: Sequence[Path] = ()
) -> Iterator[TestClient]:
    """Yield a client of an application that serves the library in a folder."""
    with Library.open(library_path, encoder=FakeEncoder(), create=True) as library:
        app = create_app(create_state(library, folders), access)
        with TestClient(app, base_url=BASE_URL, raise_server_exceptions=False) as client:
            yield client
