"""What a process leaves that is killed in the middle of a change."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rows import SPACE, index

from vsearch.catalog.repository import Catalog

HERE = Path(__file__).resolve().parent
KILLED = """
import os, signal, sys
from pathlib import Path
from rows import SPACE, add_video, spans, unit
from vsearch.catalog.repository import Catalog
with Catalog.open(Path(sys.argv[1])) as catalog, catalog.begin() as change:
    change.remove_videos([1])
    video = add_video(change, "/b.mp4")
    change.add_segments(video.id, spans(5000), unit(5000), SPACE)  # more than fits the page cache
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_killed_change_leaves_what_was_there(tmp_path: Path) -> None:
    file = tmp_path / "catalog.sqlite3"
    with Catalog.open(file, create=True) as catalog:
        video, ids = index(catalog, "/a.mp4", 3)
        revision = catalog.revision()
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(file)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parents[2])])},
        timeout=60,
    )
    assert done.returncode == -signal.SIGKILL
    with Catalog.open(file) as catalog:
        assert catalog.check() == []
        assert catalog.videos() == [video]
        assert catalog.vectors(None, SPACE)[0].tolist() == ids.tolist()
        assert catalog.revision() == revision
        index(catalog, "/b.mp4")  # and it can be written at once
