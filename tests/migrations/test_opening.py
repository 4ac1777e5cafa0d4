"""Opening of files that are damaged, of other types, or not yet created."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from tests.migrations.schemas import frozen, future, revision_of
from vsearch.catalog.catalog import Catalog
from vsearch.catalog.open import open_pool
from vsearch.catalog.revision import SCHEMA_HEAD
from vsearch.errors import (
    DamagedLibraryError,
    LibraryError,
    NewerLibraryError,
    NoLibraryError,
    VSearchError,
)

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "catalog.sqlite3"


def test_opening_does_not_create_a_library_by_default(file: Path) -> None:
    with pytest.raises(NoLibraryError, match="no library at"):
        Catalog.open(file)
    with pytest.raises(NoLibraryError):
        Catalog.open(file.parent / "no" / "folder" / "catalog.sqlite3")
    assert list(file.parent.iterdir()) == []


def test_an_empty_file_becomes_a_library_only_on_request(file: Path) -> None:
    file.touch()
    with pytest.raises(NoLibraryError):
        Catalog.open(file)
    assert file.stat().st_size == 0
    with Catalog.open(file, create=True) as catalog:
        assert catalog.find_problems() == []


def test_an_empty_database_is_not_a_library(file: Path) -> None:
    with closing(sqlite3.connect(file)) as raw:
        raw.execute("PRAGMA journal_mode = WAL")
    assert file.stat().st_size > 0
    with pytest.raises(NoLibraryError):
        Catalog.open(file)
    with Catalog.open(file, create=True) as catalog:
        assert catalog.find_problems() == []


@pytest.mark.parametrize("create", [False, True])
def test_a_newer_library_is_rejected_and_left_unchanged(file: Path, create: bool) -> None:
    frozen("0001", file)
    open_pool(file, schema=future(file.parent / "scripts")).dispose()
    before = file.read_bytes()
    with pytest.raises(
        NewerLibraryError, match=r"newer vsearch.*'9001'.*Upgrade vsearch"
    ) as caught:
        Catalog.open(file, create=create)
    assert str(file) in str(caught.value)
    assert file.read_bytes() == before


@pytest.mark.parametrize("create", [False, True])
@pytest.mark.parametrize(
    "content",
    [b"x", b"a shopping list\n" * 1000, b"SQLite format 3\0" + b"\xff" * 5000, b"\0" * 9000],
)
def test_another_file_type_is_rejected_and_left_unchanged(
    file: Path, content: bytes, create: bool
) -> None:
    file.write_bytes(content)
    with pytest.raises(DamagedLibraryError, match="move it away") as caught:
        Catalog.open(file, create=create)
    assert str(file) in str(caught.value)
    assert file.read_bytes() == content


@pytest.mark.parametrize("table", ["notes", "alembic_version"])
def test_the_database_of_another_program_is_rejected(file: Path, table: str) -> None:
    with closing(sqlite3.connect(file)) as raw, raw:
        raw.execute(f"CREATE TABLE {table} (version_num)")
    before = file.read_bytes()
    with pytest.raises(DamagedLibraryError, match="not a vsearch catalog"):
        Catalog.open(file, create=True)
    assert file.read_bytes() == before


def test_a_folder_instead_of_the_file_is_reported(file: Path) -> None:
    file.mkdir()
    with pytest.raises(LibraryError, match="cannot be opened"):
        Catalog.open(file, create=True)


def test_a_truncated_library_is_reported_as_damaged(file: Path) -> None:
    frozen("0001", file)
    whole = file.read_bytes()
    for size in range(1, len(whole), 4096):
        file.write_bytes(whole[:size])
        with pytest.raises(DamagedLibraryError, match="damaged"):
            _read_all(file)


def test_damage_raises_only_vsearch_errors(file: Path) -> None:
    frozen("0001", file)
    whole = file.read_bytes()
    for page in range(0, len(whole), 4096):
        damaged = bytearray(whole)
        damaged[page : page + 4096] = b"\xa5" * 4096
        file.write_bytes(damaged)
        with pytest.raises(VSearchError):
            _read_all(file)


def _read_all(file: Path) -> None:
    """Read everything; raise also problems that only `find_problems` finds."""
    with Catalog.open(file) as catalog:
        space = catalog.space()
        assert space is not None
        catalog.vectors(None, space)
        for video in catalog.videos():
            catalog.segments_of_video(video.id)
            catalog.videos_by_fingerprint(video.fingerprint)
        problems = catalog.find_problems()
    if problems:
        raise DamagedLibraryError(problems[0])


def test_threads_can_create_the_same_library_at_once(file: Path) -> None:
    failures: list[Exception] = []

    def make() -> None:
        try:
            with Catalog.open(file, create=True) as catalog:
                assert catalog.revision() == 0
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=make) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


MAKE = """
import sys
from pathlib import Path
from vsearch.catalog import transaction, upgrade
from vsearch.catalog.catalog import Catalog
print("ready", flush=True)
for number in map(int, sys.stdin.readline().split()):
    with Catalog.open(Path(sys.argv[1]) / str(number) / "catalog.sqlite3", create=True) as catalog:
        assert catalog.revision() >= 0
"""


def test_processes_can_create_the_same_libraries_at_once(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", MAKE, str(tmp_path)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    numbers = [" ".join(map(str, range(8)))] * len(processes)
    for process, line in zip(processes, numbers, strict=True):
        assert process.stdin is not None
        process.stdin.write(f"{line}\n")
        process.stdin.flush()
    for process in processes:
        _, stderr_text = process.communicate(timeout=60)
        assert process.returncode == 0, stderr_text
    assert {revision_of(file) for file in tmp_path.glob("*/*.sqlite3")} == {SCHEMA_HEAD}
