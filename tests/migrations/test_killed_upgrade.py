"""A process killed at any point of a migration leaves the old schema or the new one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.migrations.schemas import frozen

ROOT = Path(__file__).resolve().parents[2]
# One process that imports everything once and forks a child for each third statement.
KILLED_EVERYWHERE = """
import os, signal, shutil, sys
from pathlib import Path
from tests.migrations.schemas import FUTURE, future, revision_of
from sqlalchemy import event
from sqlalchemy.engine import Engine
from vsearch.catalog import schema as tables, upgrade
from vsearch.catalog.open import open_pool
from vsearch.catalog.catalog import Catalog

folder, start = Path(sys.argv[1]), Path(sys.argv[2]) if sys.argv[2:] else None
schema = future(folder / "scripts")
videos = 0 if start is None else 2

def die_at(last):
    seen = [0]
    def count(*_):
        seen[0] += 1
        if seen[0] == last:
            os.kill(os.getpid(), signal.SIGKILL)
    event.listen(Engine, "before_cursor_execute", count)
    event.listen(Engine, "commit", count)

def in_child(file, last):
    pid = os.fork()
    if pid == 0:
        die_at(last)
        open_pool(file, create=True, schema=schema)
        os._exit(0)
    return os.waitpid(pid, 0)[1]

last, ended = 0, -1
while ended != 0:
    last += 3
    file = folder / str(last) / "catalog.sqlite3"
    file.parent.mkdir()
    if start is not None:
        shutil.copy(start, file)
    ended = in_child(file, last)
    assert ended in (0, signal.SIGKILL), ended
    left = revision_of(file) if file.exists() else None
    assert left == (FUTURE if ended == 0 else None if start is None else "0001"), (last, left)
    if last % 5:  # retrying is slow: not each time
        continue
    with Catalog(file, open_pool(file, create=True, schema=schema)) as catalog:
        assert catalog.library_counts().video_count == videos
        assert catalog.find_problems() == []
    assert revision_of(file) == FUTURE
print(last)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("old", [False, True], ids=["creating", "upgrading"])
def test_a_killed_migration_leaves_the_old_schema_and_can_be_run_again(
    tmp_path: Path, old: bool
) -> None:
    start = [str(frozen("0001", tmp_path / "old.sqlite3"))] if old else []
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", KILLED_EVERYWHERE, str(tmp_path), *start],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 10  # number of statements before the last kill
