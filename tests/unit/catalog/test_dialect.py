"""Translation of queries and words for PostgreSQL, without a server."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from vsearch.catalog.dialect import CLOCK_SQL, RECORDING_TIME_SQL, local_time_zone, to_postgresql
from vsearch.catalog.fts import fts_expression, to_tsvector, tokenize
from vsearch.catalog.rows import decode_path, encode_path, path_bytes_to_text


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT a % 7 FROM t WHERE b = ?", "SELECT a %% 7 FROM t WHERE b = %s"),
        ("SELECT 'a?b%', \"c?\", ?", "SELECT 'a?b%%', \"c?\", %s"),
        ("SELECT 'it''s ?' || ?", "SELECT 'it''s ?' || %s"),
        (
            "id IN (SELECT value FROM json_each(?))",
            "id IN (SELECT unnest(CAST(translate(%s, '[]', '{}') AS bigint[])))",
        ),
        ("a CROSS JOIN b ON b.c = a.c", "a JOIN b ON b.c = a.c"),
        ("max(a.x, b.y) - min(a.x, 3)", "greatest(a.x, b.y) - least(a.x, 3)"),
        ("SELECT max(id), min(x) FROM t", "SELECT max(id), min(x) FROM t"),
        ("WHERE cues_fts MATCH ?", "WHERE cues_fts.tokens @@ %s"),
        ("instr(a, b) > 0", "strpos(a, b) > 0"),
        ("json_extract(value, '$[1]')", "(CAST(value AS json) ->> 1)"),
    ],
)
def test_a_query_is_translated(sql: str, expected: str) -> None:
    assert to_postgresql(sql) == expected


@pytest.mark.parametrize("fragment", [CLOCK_SQL, RECORDING_TIME_SQL])
def test_no_function_of_sqlite_is_left_in_times(fragment: str) -> None:
    translated = to_postgresql(f"SELECT {fragment} FROM videos")
    assert not any(name in translated for name in ("datetime", "strftime", "printf", "unixepoch"))


def test_texts_have_the_words_of_the_full_text_index_of_sqlite() -> None:
    texts = ["Café-Olé, snake_case", "", "北京 e\u0301te\u0301", "a\0b"]
    expected = [["cafe", "ole", "snake", "case"], [], ["北京", "ete"], ["a", "b"]]
    assert tokenize(texts) == expected


def test_a_vector_has_the_positions_of_each_word() -> None:
    assert to_tsvector(["a", "b", "a"]) == "'a':1,3 'b':2"


def test_a_vector_is_within_the_limits_of_postgresql() -> None:
    long_word = "é" * 3_000
    vector = to_tsvector([long_word, *(f"w{number}" for number in range(100_000))])
    lexeme = vector.split(":")[0]
    assert len(lexeme.encode()) < 2_046
    assert ":16382 " in vector
    assert ":16383" not in vector
    assert len(vector) < 1_000_000


@pytest.mark.parametrize(
    ("phrase_groups", "expected"),
    [
        ([["Dog", "big dogs*"], ["cat"]], "('dog' | 'big' <-> 'dogs':*) & ('cat')"),
        ([["'x':1 & y"]], "('x' <-> '1' <-> 'y')"),
        ([["!!!"], ["a"]], "('!') & ('a')"),
        ([["\ud800a"]], "('a')"),
    ],
)
def test_a_query_for_words_is_translated(phrase_groups: list[list[str]], expected: str) -> None:
    assert fts_expression(phrase_groups).to_tsquery() == expected


def test_a_path_that_is_not_utf_8_can_be_stored_as_text() -> None:
    path = Path("/films/\udcff\udcfe.mp4")
    stored_path = encode_path(path)
    assert isinstance(stored_path, bytes)
    assert decode_path(stored_path) == decode_path(path_bytes_to_text(stored_path)) == path


@pytest.mark.parametrize(
    ("zone_text", "expected"),
    [
        ("Europe/Berlin", "Europe/Berlin"),
        (":America/New_York", "America/New_York"),
        ("CET-1CEST,M3.5.0,M10.5.0/3", "CET-1CEST,M3.5.0,M10.5.0/3"),
        ("<+0330>-3:30", "<+0330>-3:30"),
        ("", "UTC"),
        ("No/Such_Zone", "UTC"),
        ("'; DROP TABLE videos", "UTC"),
        ("../../etc/passwd", "UTC"),
    ],
)
def test_the_time_zone_of_a_session_is_that_of_this_machine(
    zone_text: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone_text)
    assert local_time_zone() == expected


def test_a_zone_file_that_is_a_copy_gives_its_rule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone_file = tmp_path / "localtime"
    zone_file.write_bytes(b"TZif2 (transitions)\nCET-1CEST,M3.5.0,M10.5.0/3\n")
    monkeypatch.setenv("TZ", str(zone_file))
    assert local_time_zone() == "CET-1CEST,M3.5.0,M10.5.0/3"


def test_a_zone_without_a_file_has_the_present_offset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "<+0330>-3:30")
    time.tzset()
    monkeypatch.setenv("TZ", str(tmp_path / "missing"))
    try:
        assert local_time_zone() == "<local>-03:30"
    finally:
        monkeypatch.undo()
        time.tzset()
