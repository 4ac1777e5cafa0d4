"""A server's application over a small library, to be asked by tests."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from starlette.testclient import TestClient

from fakes import FakeEncoder
from vsearch import Library
from vsearch.web.app import create_app
from vsearch.web.serving import desk_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from vsearch.web.access import Access

HERE = "http://127.0.0.1:8765"


def indexed(path: Path, videos: Path) -> None:
    """A library in a folder, of all that is in another one."""
    with Library.open(path, encoder=FakeEncoder()) as library:
        assert [one.error for one in library.index([videos]) if one.error] == []


@contextmanager
def served(
    path: Path, *, access: Access | None = None, folders: Sequence[Path] = ()
) -> Iterator[TestClient]:
    """A client of an application that serves the library in a folder."""
    with Library.open(path, encoder=FakeEncoder()) as library:
        app = create_app(desk_for(library, folders), access)
        with TestClient(app, base_url=HERE, raise_server_exceptions=False) as client:
            yield client
