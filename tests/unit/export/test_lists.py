"""CSV and M3U export."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest

from vsearch.export.excerpts import ExportExcerpt, SourceVideo
from vsearch.export.lists import to_csv, to_m3u
from vsearch.export.timeline import to_exact_rate
from vsearch.types import Span


def excerpt(name: str, note: str = "a dog") -> ExportExcerpt:
    source = SourceVideo(Path("/v") / name, 60.0, to_exact_rate(25))
    return ExportExcerpt(source, Span(1.25, 3.5), 2, -0.125, 0.9, note)


def rows(*found: ExportExcerpt) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(to_csv(found).decode("utf-8-sig"), newline="")))


def test_csv_has_a_row_per_excerpt_with_times_in_seconds() -> None:
    assert rows(excerpt('a, "b".mp4')) == [
        {
            "rank": "2", "name": 'a, "b".mp4', "start": "1.250", "end": "3.500",
            "duration": "2.250", "score": "-0.125000", "confidence": "0.9000", "fps": "25.000",
            "path": '/v/a, "b".mp4', "note": "a dog",
        }
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "\n=1"])
def test_names_are_never_formulas(name: str) -> None:
    [row] = rows(excerpt(f"{name}.mp4", note=name))
    for cell in (row["name"], row["note"]):
        assert cell[0] in "'\\"
        assert "\n" not in cell


@pytest.mark.parametrize(
    ("name", "escaped"),
    [
        ("+1;=2+5", "'+1;'=2+5"), ("a;=2", "a;'=2"), ("a; -2", "a;' -2"), ('a;"=2"', "a;'\"=2\""),
        ("a|@x", "a|'@x"), ("a;;+1", "a;;'+1"), ("\uff1d1", "'\uff1d1"), ("a-b;c=d", "a-b;c=d"),
    ],
)  # fmt: skip
def test_no_cell_is_a_formula_where_another_character_separates_cells(
    name: str, escaped: str
) -> None:
    content = to_csv([excerpt(name, note=name)])
    [row] = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""))
    assert (row["name"], row["note"]) == (escaped, escaped)
    for separator in ";\t|":
        for cells in csv.reader(io.StringIO(content.decode("utf-8-sig")), delimiter=separator):
            assert not [cell for cell in cells[1:] if cell.lstrip(' \t"')[:1] in tuple("=+-@")]


def test_undecodable_names_are_escaped() -> None:
    [row] = rows(excerpt("\udce9.mp4"))
    assert row["name"] == "\\udce9.mp4"


def test_a_playlist_plays_only_the_excerpts() -> None:
    lines = to_m3u([excerpt("a b.mp4")], "a dog").decode().splitlines()
    assert lines == [
        "#EXTM3U", "#PLAYLIST:a dog", "#EXTINF:2,2. a b.mp4", "#EXTVLCOPT:start-time=1.250",
        "#EXTVLCOPT:stop-time=3.500", "file:///v/a%20b.mp4",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "name", ["a\n#EXTVLCOPT:sub-file=x\nb.mp4", "a\rb.mp4", "a\u2028b.mp4", "\udce9.mp4", "#a%.mp4"]
)
def test_names_cannot_add_lines_to_a_playlist(name: str) -> None:
    lines = to_m3u([excerpt(name)], f"title\n{name}").decode().splitlines()
    assert len(lines) == 6
    path = unquote_to_bytes(lines[-1].removeprefix("file://"))
    assert path == bytes(Path("/v") / name)
