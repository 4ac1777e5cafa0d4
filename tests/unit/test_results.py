from __future__ import annotations

from pathlib import Path

import pytest

from vsearch import results
from vsearch.errors import QueryError
from vsearch.types import Moment, Span, Video, Why

VIDEO = Video(1, Path("/films/\udcff 1.mp4"), "aa", 1, 1, 9.0, 25.0, 64, 36, "h264", 9)


def test_what_was_found_can_be_named_by_its_number(tmp_path: Path) -> None:
    found = [Moment(VIDEO, Span(1, 2.5), 0.5, 0.9, Why(1.0, 0.5, 1))]
    results.keep(tmp_path, '"a dog" -cat', found)
    kept = results.last(tmp_path)
    assert kept.query == '"a dog" -cat'
    assert kept.named(1) == results.Result("/films/\udcff 1.mp4", Span(1, 2.5), 0.5, 0.9)
    for number in (0, 2):
        with pytest.raises(QueryError, match="no such result"):
            kept.named(number)


def test_before_the_first_search_there_is_nothing_to_name(tmp_path: Path) -> None:
    with pytest.raises(QueryError, match="no search was made"):
        results.last(tmp_path)


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"query": 1, "results": [{}]}', '{"results": 3}', "[" * 100_000,
     '{"query": "a", "results": [{"video": "a", "start": 3, "end": 1, "score": 0}]}'],
)  # fmt: skip
def test_a_file_that_holds_no_results_is_named(content: str, tmp_path: Path) -> None:
    path = tmp_path / results.FILE
    path.write_text(content)
    with pytest.raises(QueryError, match=str(path)):
        results.last(tmp_path)


def test_a_library_that_cannot_be_written_stops_no_search(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    results.keep(tmp_path / "file", "a", [])


@pytest.mark.parametrize(
    ("text", "named"),
    [("#3", [3]), ("3", [3]), ("#1-3,8", [1, 2, 3, 8]), ("2, 1,2", [2, 1]), ("#1-#2", [1, 2])],
)
def test_results_are_named_by_numbers_and_ranges(text: str, named: list[int]) -> None:
    assert results.numbers(text) == named


@pytest.mark.parametrize("text", ["", "#", "a", "0", "3-1", "1-", "-1", "1--2", "9999", "１"])
def test_what_names_no_results_is_refused(text: str) -> None:
    with pytest.raises(QueryError):
        results.numbers(text)
