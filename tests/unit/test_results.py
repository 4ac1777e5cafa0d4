from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import pytest

from vsearch import results
from vsearch.errors import QueryError
from vsearch.files import replaced
from vsearch.types import Moment, Quote, Span, Video, Why

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

VIDEO = Video(1, Path("/films/\udcff 1.mp4"), "aa", 1, 1, 9.0, 25.0, 64, 36, "h264", 9)

QUOTED = (
    '{"query": "a", "results": [{"video": "a", "start": 1, "end": 2, "score": 0, '
    '"why": {"quotes": %s}}]}'
)


def test_what_was_found_can_be_named_by_its_number(tmp_path: Path) -> None:
    quote = Quote("screen", Span(1, 2), "<dogs>", 0.5)
    found = [Moment(VIDEO, Span(1, 2.5), 0.5, 0.9, Why(1.0, 0.5, 1, quotes=(quote,)))]
    results.keep(tmp_path, '"a dog" -cat', found)
    kept = results.last(tmp_path)
    assert kept.query == '"a dog" -cat'
    assert kept.named(1) == results.Result("/films/\udcff 1.mp4", Span(1, 2.5), 0.5, 0.9, quote)
    assert kept.named(1) == results.Result.of(found[0])
    for number in (0, 2):
        with pytest.raises(QueryError, match="no such result"):
            kept.named(number)


def test_before_the_first_search_there_is_nothing_to_name(tmp_path: Path) -> None:
    with pytest.raises(QueryError, match="no search was made"):
        results.last(tmp_path)


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"query": 1, "results": [{}]}', '{"results": 3}', "[" * 100_000,
     '{"query": "a", "results": [{"video": "a", "start": 3, "end": 1, "score": 0}]}',
     QUOTED % '{"a": 1}', QUOTED % '[3]', QUOTED % '[{"source": "speech"}]',
     QUOTED % '[{"source": "dog", "start": 1, "end": 2, "text": "a", "score": 0}]',
     QUOTED % '[{"source": "speech", "start": 1, "end": Infinity, "text": "a", "score": 0}]'],
)  # fmt: skip
def test_a_file_that_holds_no_results_is_named(content: str, tmp_path: Path) -> None:
    path = tmp_path / results.FILE
    path.write_text(content)
    with pytest.raises(QueryError, match=str(path)):
        results.last(tmp_path)


def test_a_library_that_cannot_be_written_stops_no_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    assert results.keep(tmp_path / "file", "a", [])
    monkeypatch.setenv("VSEARCH_CACHE", str(tmp_path / "file" / "cache"))
    assert not results.keep(tmp_path / "file", "a", [])


def test_results_never_mean_those_of_an_older_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the library became read-only, and where it can be written again."""
    library, other = tmp_path / "library", tmp_path / "other"
    for folder in (library, other):
        results.keep(folder, "first", [])
    with monkeypatch.context() as patch:
        patch.setattr("vsearch.files.replaced", but_not_in(library))
        assert results.keep(library, "second", [])
        monkeypatch.chdir(library)
        assert results.last(Path()).query == results.last(library).query == "second"
        assert results.last(other).query == "first"
    results.keep(library, "third", [])
    assert results.last(library).query == "third"


def but_not_in(folder: Path) -> Callable[[Path], AbstractContextManager[BinaryIO]]:
    """Files are replaced as ever, save in a folder that is read-only."""

    def replaced_elsewhere(path: Path) -> AbstractContextManager[BinaryIO]:
        if path.parent == folder:
            raise PermissionError
        return replaced(path)

    return replaced_elsewhere


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
