"""Translation of SQLite errors, each provoked on a small database."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from vsearch.catalog.connection import translate_errors
from vsearch.errors import DamagedLibraryError, LibraryError, LockedError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "catalog.sqlite3"
    with closing(sqlite3.connect(file)) as raw, raw:
        raw.execute("CREATE TABLE t (x PRIMARY KEY)")
        raw.executemany("INSERT INTO t VALUES (?)", [(f"{i:0500}",) for i in range(100)])
    return file


def _run(file: Path, *statements: str, options: str = "mode=rw") -> None:
    with (
        translate_errors(file),
        closing(sqlite3.connect(f"file:{file}?{options}", uri=True)) as raw,
    ):
        raw.execute("PRAGMA busy_timeout = 0")
        for statement in statements:
            raw.execute(statement).fetchall()


def test_a_full_disk(file: Path) -> None:
    with pytest.raises(LibraryError, match=r"disk is full.*Free some space") as caught:
        _run(file, "PRAGMA max_page_count = 1", "INSERT INTO t VALUES (zeroblob(1000000))")
    assert str(file) in str(caught.value)


def test_a_file_that_cannot_be_written(file: Path) -> None:
    with pytest.raises(LibraryError, match="cannot be written"):
        _run(file, "INSERT INTO t VALUES (1)", options="mode=ro")


def test_a_file_locked_by_another_process(file: Path) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LockedError, match="written by another process"):
            _run(file, "BEGIN IMMEDIATE")


def test_a_damaged_file(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[4096:-4096] = b"\xff" * (len(content) - 8192)
    file.write_bytes(content)
    with pytest.raises(DamagedLibraryError, match=r"is damaged.*index the videos again"):
        _run(file, "SELECT count(*) FROM t")


def test_a_file_that_is_not_a_database(file: Path) -> None:
    file.write_text("this is my shopping list " * 100)
    with pytest.raises(DamagedLibraryError, match="not a vsearch catalog"):
        _run(file, "SELECT 1 FROM t")


def test_a_folder_instead_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match="cannot be opened"):
        _run(tmp_path, "SELECT 1")


def test_other_sqlite_errors(file: Path) -> None:
    with pytest.raises(LibraryError, match="no such table: u"):
        _run(file, "SELECT 1 FROM u")


def test_other_exceptions_are_not_translated(file: Path) -> None:
    with pytest.raises(KeyError), translate_errors(file):
        raise KeyError
