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
KILL_AT_EACH_STATEMENT = """
import contextlib, os, signal, shutil, sqlite3, sys
from pathlib import Path
from tests.migrations.schemas import FUTURE, future, revision_of
from sqlalchemy import event
from sqlalchemy.engine import Engine
from vsearch.catalog import schema as tables, upgrade
from vsearch.catalog.open import open_pool
from vsearch.catalog.catalog import Catalog

folder, old_file = Path(sys.argv[1]), Path(sys.argv[2]) if sys.argv[2:] else None
schema = future(folder / "scripts")
old_revision = None if old_file is None else revision_of(old_file)
with contextlib.closing(sqlite3.connect(old_file or ":memory:")) as connection:
    video_count = (
        connection.execute("SELECT count(*) FROM videos").fetchone()[0] if old_file else 0
    )

def kill_at(statement_number):
    statement_count = [0]
    def count_statement(*_):
        statement_count[0] += 1
        if statement_count[0] == statement_number:
            os.kill(os.getpid(), signal.SIGKILL)
    event.listen(Engine, "before_cursor_execute", count_statement)
    event.listen(Engine, "commit", count_statement)

def open_in_child(catalog_file, statement_number):
    pid = os.fork()
    if pid == 0:
        kill_at(statement_number)
        open_pool(catalog_file, create=True, schema=schema)
        os._exit(0)
    return os.waitpid(pid, 0)[1]

statement_number, exit_status = 0, -1
while exit_status != 0:
    statement_number += 3
    catalog_file = folder / str(statement_number) / "catalog.sqlite3"
    catalog_file.parent.mkdir()
    if old_file is not None:
        shutil.copy(old_file, catalog_file)
    exit_status = open_in_child(catalog_file, statement_number)
    assert exit_status in (0, signal.SIGKILL), exit_status
    revision = revision_of(catalog_file) if catalog_file.exists() else None
    assert revision == (FUTURE if exit_status == 0 else old_revision), (statement_number, revision)
    if statement_number % 5:  # retrying is slow: not each time
        continue
    with Catalog(catalog_file, open_pool(catalog_file, create=True, schema=schema)) as catalog:
        assert catalog.library_counts().video_count == video_count
        assert catalog.find_problems() == []
    assert revision_of(catalog_file) == FUTURE
print(statement_number, video_count)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("old_revision", [None, "0001", "0006"])
def test_a_killed_migration_leaves_the_old_schema_and_can_be_run_again(
    tmp_path: Path, old_revision: str | None
) -> None:
    old_file = [str(frozen(old_revision, tmp_path / "old.sqlite3"))] if old_revision else []
    finished_process = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", KILL_AT_EACH_STATEMENT, str(tmp_path), *old_file],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert finished_process.returncode == 0, finished_process.stderr
    statement_count, video_count = map(int, finished_process.stdout.split())
    assert statement_count > 10
    assert (video_count > 0) == (old_revision is not None)
