"""A library in a folder that cannot be written, read by a process without special rights."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.catalog_rows import index_video
from vsearch.catalog.catalog import Catalog
from vsearch.errors import LibraryError

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[3]
READ = """
import os, sys
# imported before the user changes, who may not read them
import sqlalchemy.dialects.sqlite, sqlalchemy.pool, vsearch.catalog.transaction
from pathlib import Path
from vsearch.catalog.catalog import Catalog
from vsearch.errors import LibraryError
sqlalchemy.create_engine("sqlite://")
if os.geteuid() == 0:  # root can write anywhere: continue as `nobody`
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
with Catalog.open(Path(sys.argv[1])) as catalog:
    space = catalog.space()
    count = catalog.library_counts().video_count
    print(count, len(catalog.vectors(None, space)[0]), catalog.find_problems())
    print(catalog.library_counts().video_count)
    try:
        with catalog.begin() as change:
            change.remove_videos([1])
    except LibraryError as error:
        print(error)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A library in a folder that other users can enter, unlike those of pytest."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    with Catalog.open(folder / "catalog.sqlite3", create=True) as catalog:
        index_video(catalog, "/a.mp4", 3)
    yield folder
    for place in (folder, folder / "copy"):
        if place.exists():
            place.chmod(0o755)
    shutil.rmtree(folder)


def _read(folder: Path) -> subprocess.CompletedProcess[str]:
    """Read the library as a user without write access."""
    for file in folder.iterdir():
        file.chmod(0o444)
    folder.chmod(0o555)
    return subprocess.run(
        [sys.executable, "-c", READ, str(folder / "catalog.sqlite3")],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.skipif(sys.platform == "win32", reason="folders there have no such permission")
def test_a_read_only_library_is_searchable(folder: Path) -> None:
    done = _read(folder)
    assert done.returncode == 0, done.stderr
    first, second, refused = done.stdout.splitlines()
    assert (first, second) == ("1 3 []", "1")
    assert "cannot be written. Make the file and its folder writable" in refused
    assert [file.name for file in folder.iterdir()] == ["catalog.sqlite3"]


@pytest.mark.skipif(sys.platform == "win32", reason="folders there have no such permission")
def test_a_log_that_cannot_be_recovered_is_not_ignored(folder: Path) -> None:
    with Catalog.open(folder / "catalog.sqlite3") as catalog:
        index_video(catalog, "/b.mp4", 3)
        copy = folder / "copy"
        copy.mkdir()
        for name in ("catalog.sqlite3", "catalog.sqlite3-wal"):  # as after a killed writer
            shutil.copy(folder / name, copy)
    done = _read(copy)
    assert done.returncode == 1
    assert f"{copy / 'catalog.sqlite3'} cannot be read from a read-only folder" in done.stderr


def test_a_reader_of_a_read_only_library_sees_changes_of_others(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Catalog.open(folder / "catalog.sqlite3") as writer:
        assert writer.library_counts().segment_count == 3
        monkeypatch.setattr(os, "access", lambda *_: False)  # for connections opened from now on
        reader = Catalog.open(folder / "catalog.sqlite3")
        assert reader.library_counts().segment_count == 3
        index_video(writer, "/b.mp4", 2)
        assert reader.library_counts().segment_count == 5
    assert reader.library_counts().segment_count == 5
    with pytest.raises(LibraryError, match="cannot be written"):
        index_video(reader, "/c.mp4")
    reader.close()


def test_a_library_is_not_created_in_a_read_only_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LibraryError, match="no library can be created in"):
        Catalog.open(tmp_path / "file" / "sub" / "catalog.sqlite3", create=True)
