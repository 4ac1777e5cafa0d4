from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import pytest

from vsearch.errors import QueryError
from vsearch.query.model import ResultRef
from vsearch.search import last_search
from vsearch.storage.atomic_files import atomic_write
from vsearch.types import Explanation, Moment, Quote, Span, Video

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

VIDEO = Video(1, Path("/films/\udcff 1.mp4"), "aa", 1, 1, 9.0, 25.0, 64, 36, "h264", 9)
QUOTED = (
    '{"query": "a", "results": [{"video": "a", "start": 1, "end": 2, "score": 0, '
    '"explanation": {"quotes": %s}}]}'
)


def test_results_can_be_referenced_by_number(tmp_path: Path) -> None:
    quote = Quote("ocr", Span(1, 2), "<dogs>", 0.5)
    found = [Moment(VIDEO, Span(1, 2.5), 0.5, 0.9, Explanation(1.0, 0.5, 1, quotes=(quote,)))]
    last_search.save_last_search(tmp_path, '"a dog" -cat', found)
    kept = last_search.load_last_search(tmp_path)
    assert kept.query_text == '"a dog" -cat'
    assert kept.get_result(1) == ResultRef("/films/\udcff 1.mp4", Span(1, 2.5), 0.5, 0.9, quote)
    assert kept.get_result(1) == ResultRef.from_moment(found[0])
    for number in (0, 2):
        with pytest.raises(QueryError, match="no such result"):
            kept.get_result(number)


def test_references_fail_before_the_first_search(tmp_path: Path) -> None:
    with pytest.raises(QueryError, match="no search was made"):
        last_search.load_last_search(tmp_path)


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"query": 1, "results": [{}]}', '{"results": 3}', "[" * 100_000,
     '{"query": "a", "results": [{"video": "a", "start": 3, "end": 1, "score": 0}]}',
     QUOTED % '{"a": 1}', QUOTED % '[3]', QUOTED % '[{"source": "speech"}]',
     QUOTED % '[{"source": "dog", "start": 1, "end": 2, "text": "a", "score": 0}]',
     QUOTED % '[{"source": "speech", "start": 1, "end": Infinity, "text": "a", "score": 0}]'],
)  # fmt: skip
def test_an_invalid_result_file_is_named_in_the_error(content: str, tmp_path: Path) -> None:
    path = tmp_path / last_search.LAST_SEARCH_FILE
    path.write_text(content)
    with pytest.raises(QueryError, match=str(path)):
        last_search.load_last_search(tmp_path)


def test_a_read_only_library_stores_results_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    assert last_search.save_last_search(tmp_path / "file", "a", [])
    monkeypatch.setenv("VSEARCH_CACHE", str(tmp_path / "file" / "cache"))
    assert not last_search.save_last_search(tmp_path / "file", "a", [])


def test_references_always_mean_the_latest_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This includes a library that becomes read-only and writable again."""
    library, other = tmp_path / "library", tmp_path / "other"
    for folder in (library, other):
        last_search.save_last_search(folder, "first", [])
    with monkeypatch.context() as patch:
        patch.setattr("vsearch.storage.atomic_files.atomic_write", but_not_in(library))
        assert last_search.save_last_search(library, "second", [])
        monkeypatch.chdir(library)
        assert (
            last_search.load_last_search(Path()).query_text
            == last_search.load_last_search(library).query_text
            == "second"
        )
        assert last_search.load_last_search(other).query_text == "first"
    last_search.save_last_search(library, "third", [])
    assert last_search.load_last_search(library).query_text == "third"


def but_not_in(folder: Path) -> Callable[[Path], AbstractContextManager[BinaryIO]]:
    """Replace files normally, but fail in a read-only folder."""

    def replaced_elsewhere(path: Path) -> AbstractContextManager[BinaryIO]:
        if path.parent == folder:
            raise PermissionError
        return atomic_write(path)

    return replaced_elsewhere


@pytest.mark.parametrize(
    ("text", "named"),
    [("#3", [3]), ("3", [3]), ("#1-3,8", [1, 2, 3, 8]), ("2, 1,2", [2, 1]), ("#1-#2", [1, 2])],
)
def test_result_numbers_and_ranges_are_parsed(text: str, named: list[int]) -> None:
    assert last_search.parse_result_numbers(text) == named


@pytest.mark.parametrize("text", ["", "#", "a", "0", "3-1", "1-", "-1", "1--2", "9999", "１"])
def test_malformed_result_numbers_are_rejected(text: str) -> None:
    with pytest.raises(QueryError):
        last_search.parse_result_numbers(text)
