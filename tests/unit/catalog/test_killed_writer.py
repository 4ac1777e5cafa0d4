"""A process killed in the middle of a transaction."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.catalog_rows import SPACE, index_video
from vsearch.catalog.catalog import Catalog

ROOT = Path(__file__).resolve().parents[3]
KILLED = """
import os, signal, sys
from pathlib import Path
from tests.support.catalog_rows import SPACE, add_video, make_spans, unit_vectors
from vsearch.catalog.catalog import Catalog
with Catalog.open(Path(sys.argv[1])) as catalog, catalog.begin() as change:
    change.remove_videos([1])
    video = add_video(change, "/b.mp4")
    # more rows than fit the page cache
    change.add_segments(video.id, make_spans(5000), unit_vectors(5000), SPACE)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_killed_transaction_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "catalog.sqlite3"
    with Catalog.open(file, create=True) as catalog:
        video, ids = index_video(catalog, "/a.mp4", 3)
        revision = catalog.revision()
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(file)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=60,
    )
    assert done.returncode == -signal.SIGKILL
    with Catalog.open(file) as catalog:
        assert catalog.find_problems() == []
        assert catalog.videos() == [video]
        assert catalog.vectors(None, SPACE)[0].tolist() == ids.tolist()
        assert catalog.revision() == revision
        index_video(catalog, "/b.mp4")  # the catalog is not locked
