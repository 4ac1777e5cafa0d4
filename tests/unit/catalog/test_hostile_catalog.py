"""Catalogs from somebody else: code in the schema, and rows with impossible paths."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.support.filled_library import add_vectors, vectors_with_scores
from vsearch.catalog.catalog import Catalog
from vsearch.errors import DamagedLibraryError

if TYPE_CHECKING:
    from pathlib import Path

ENDLESS = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM r)"
ATTACKS = {
    "a view in place of a table": f"""
        ALTER TABLE tags RENAME TO tags2; CREATE VIEW tags AS {ENDLESS} SELECT n, n FROM r;""",
    "another view": f"CREATE VIEW extra AS {ENDLESS} SELECT n FROM r;",
    "a trigger": """
        CREATE TRIGGER extra AFTER INSERT ON relevance_feedback BEGIN DELETE FROM videos; END;""",
    "a changed trigger": """
        DROP TRIGGER cues_deleted; CREATE TRIGGER cues_deleted AFTER DELETE ON cues
        BEGIN DELETE FROM videos; END;""",
    "a commented trigger": """
        create /* harmless */ trigger extra AFTER INSERT ON tags BEGIN DELETE FROM videos; END;""",
    "a virtual table": "CREATE VIRTUAL TABLE extra USING fts5(text);",
    "a generated column": """
        ALTER TABLE tags ADD COLUMN extra AS (hex(zeroblob(400000000)));""",
    "a generated column, in full": """
        ALTER TABLE tags ADD COLUMN extra TEXT GENERATED ALWAYS AS (hex(zeroblob(9))) VIRTUAL;""",
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "catalog.sqlite3"
    with Catalog.open(file, create=True) as catalog:
        add_vectors(catalog, "one.mp4", vectors_with_scores(0.5))
    return file


def change(file: Path, script: str, *values: object) -> None:
    with closing(sqlite3.connect(file)) as raw:
        raw.executescript(script) if not values else raw.execute(script, values)
        raw.commit()


@pytest.mark.parametrize("name", ATTACKS)
def test_a_schema_with_foreign_code_is_refused(file: Path, name: str) -> None:
    change(file, ATTACKS[name])
    with pytest.raises(DamagedLibraryError, match=r"unexpected (view|trigger|table)") as caught:
        Catalog.open(file)
    assert str(file) in str(caught.value)


def test_a_schema_of_vsearch_is_accepted(file: Path) -> None:
    change(file, "CREATE TABLE notes (id INTEGER, text); CREATE INDEX ix_notes ON notes (text);")
    with Catalog.open(file) as catalog:
        assert catalog.find_problems() == []


def test_functions_in_the_schema_are_not_trusted_by_readers(file: Path) -> None:
    with Catalog.open(file) as catalog, catalog._read_transaction() as connection:
        assert connection.execute("PRAGMA trusted_schema").fetchone() == (0,)
        assert connection.execute("PRAGMA cell_size_check").fetchone() == (1,)


@pytest.mark.parametrize("stored", ["-rf", "", "a/b.mp4", "/a\0b.mp4", b"\xff.mp4", b"/\xff\0", 7])
def test_an_impossible_path_is_damage(file: Path, stored: object) -> None:
    change(file, "UPDATE videos SET path = ?", stored)
    with Catalog.open(file) as catalog:
        for read in (catalog.videos, catalog.video_paths):
            with pytest.raises(DamagedLibraryError, match="invalid row"):
                read()
        assert any("invalid row" in problem for problem in catalog.find_problems())
        change(file, "DELETE FROM segments")
        assert any("invalid row" in problem for problem in catalog.find_problems())


@pytest.mark.parametrize("stored", [b"/\xff.mp4", "/a -rf\n.mp4", "C:\\videos\\a.mp4"])
def test_an_unusual_path_is_read(file: Path, stored: object) -> None:
    change(file, "UPDATE videos SET path = ?", stored)
    with Catalog.open(file) as catalog:
        assert len(catalog.videos()) == len(catalog.video_paths()) == 1
        assert catalog.find_problems() == []


@pytest.mark.parametrize("times", ["'end' = 1e308", "start = -5.0", "'end' = 9e999", "'end' = 'x'"])
def test_segments_with_impossible_times_are_found(file: Path, times: str) -> None:
    times = times.replace("'end'", '"end"')
    change(file, f"PRAGMA ignore_check_constraints = 1; UPDATE segments SET {times};")
    with Catalog.open(file) as catalog:
        problems = catalog.find_problems()
    assert any("vsearch index --force /one.mp4" in problem for problem in problems)


@pytest.mark.parametrize("table", ["tags", "relevance_feedback"])
def test_other_impossible_times_are_found(file: Path, table: str) -> None:
    columns = {
        "tags": "video_id, label, probability, created_at, source",
        "relevance_feedback": "video_id, query, relevant, created_at, id",
    }[table]
    change(
        file,
        f'INSERT INTO {table} ({columns}, start, "end")'
        " VALUES (1, 'x', 1, '2026-01-01 00:00:00.000000', 1, 0.0, 1e308);",
    )
    with Catalog.open(file) as catalog:
        problems = catalog.find_problems()
        assert len(problems) == 1, problems
        problem = problems[0]
    assert problem.startswith("/one.mp4 has 1 ")
    assert "vsearch restore" in problem


def test_damage_of_the_file_is_named_on_one_line(file: Path) -> None:
    change(file, "PRAGMA wal_checkpoint(TRUNCATE);")
    content = bytearray(file.read_bytes())
    content[64] ^= 0xFF  # incremental vacuum
    file.write_bytes(content)
    with Catalog.open(file) as catalog:
        [problem] = catalog.find_problems()
    assert problem.startswith(f"{file} is damaged (")
    assert "Restore it from a backup" in problem
    assert problem.isprintable()
