"""Recent searches, bounded by their number and by their results."""

from __future__ import annotations

import gc
import tracemalloc
from pathlib import Path

import pytest

from vsearch import Span
from vsearch.query.model import Query, Term
from vsearch.server.problems import Problem
from vsearch.server.search_history import MAX_RESULTS, MAX_SEARCHES, SearchHistory
from vsearch.types import Explanation, Moment, Quote, Video

QUERY = Query((Term("text", "red"),))


def make_moments(count: int) -> list[Moment]:
    """Return moments of 10 videos with as much evidence as a search may give them."""
    moments = []
    for number in range(count):
        video = Video(
            number % 10, Path(f"/videos/{number % 10}.mp4"), "f" * 64, 1, 1, 60.0, 25.0, 640, 480,
            "h264", 60,
        )  # fmt: skip
        span = Span(float(number), number + 1.5)
        quotes = tuple(Quote("speech", span, f"{number} {part} " * 100, 0.5) for part in range(5))
        moments.append(Moment(video, span, 0.5, 0.5, Explanation(1.0, 0.5, 1, quotes=quotes)))
    return moments


def count_results(history: SearchHistory) -> int:
    return sum(len(search.results) for search in history._searches_by_id.values())


def test_searches_with_many_results_are_dropped_earlier() -> None:
    history, moments = SearchHistory(), make_moments(1_000)
    ids = [history.add_search(QUERY, moments).search_id for _ in range(100)]
    assert count_results(history) == history._result_count == MAX_RESULTS
    assert len(history.get_search(ids[-1]).results) == 1_000
    with pytest.raises(Problem, match="search again"):
        history.get_search(ids[0])


def test_the_number_of_searches_is_bounded() -> None:
    history = SearchHistory()
    for _ in range(MAX_SEARCHES + 10):
        history.add_search(QUERY, ())
    assert len(history._searches_by_id) == MAX_SEARCHES


def test_the_latest_search_is_kept_even_if_it_is_too_large() -> None:
    history = SearchHistory(max_results=10)
    history.add_search(QUERY, make_moments(3))
    latest = history.add_search(QUERY, make_moments(20))
    assert len(history.get_search(latest.search_id).results) == 20
    history.add_search(QUERY, make_moments(3))
    assert count_results(history) == history._result_count == 3


def test_a_search_in_use_is_kept() -> None:
    history = SearchHistory(max_results=30)
    first, second = (history.add_search(QUERY, make_moments(10)).search_id for _ in range(2))
    history.add_search(QUERY, make_moments(10))
    history.get_search(first)
    history.add_search(QUERY, make_moments(10))
    assert history.get_search(first).results[0].video_path == str(Path("/videos/0.mp4"))
    with pytest.raises(Problem):
        history.get_search(second)


def test_only_references_to_the_results_stay_in_memory() -> None:
    """An attack with the largest searches, each with new results, as measured by tracemalloc."""
    history = SearchHistory()
    history.add_search(QUERY, make_moments(10))
    gc.collect()
    tracemalloc.start()
    try:
        for _ in range(30):
            history.add_search(QUERY, make_moments(1_000))
        gc.collect()
        kept_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept_bytes < 8 * 2**20  # whole moments: 90 MB
