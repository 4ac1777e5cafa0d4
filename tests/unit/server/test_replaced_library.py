"""A library that is moved away, deleted or replaced while it is served."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.server import index_videos, serve_library
from vsearch import Library

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="open files stay in place there")


def test_a_server_says_that_its_library_is_gone_and_follows_a_new_one(
    tmp_path: Path, videos_folder: Path
) -> None:
    library = tmp_path / "library"
    index_videos(library, videos_folder)
    with Library.open(library) as opened:
        opened.backup(tmp_path / "backup")
    with serve_library(library) as client:
        assert client.get("/healthz").json()["status"] == "ok"
        assert client.get("/api/v1/videos").json()["total"] == 2
        library.rename(tmp_path / "moved")
        health = client.get("/healthz")
        assert health.status_code == 503
        assert "moved, deleted or damaged" in health.json()["detail"]
        assert str(tmp_path) not in health.text
        for response in (
            client.get("/api/v1/videos"),
            client.post("/api/v1/search", json={"q": "green"}),
            client.put("/api/v1/saved-searches/green", json={"query": "green"}),
        ):
            assert response.status_code >= 400
        assert not library.exists()
        Library.restore(tmp_path / "backup", library)
        assert client.get("/healthz").status_code == 200
        assert client.get("/api/v1/videos").json()["total"] == 2
        assert client.post("/api/v1/search", json={"q": "green"}).json()["results"]
        shutil.rmtree(library)
        assert client.get("/healthz").status_code == 503
