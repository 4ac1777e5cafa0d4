"""Filters of queries."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.catalog_rows import SPACE, make_spans, unit_vectors
from vsearch.catalog.catalog import Catalog
from vsearch.catalog.filters import allowed_segment_ids
from vsearch.errors import QueryError
from vsearch.query.parser import parse_query
from vsearch.types import Cue, Span, Tag

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vsearch.catalog.database_url import CatalogLocation

FILE_TIME = datetime(2024, 6, 15, 12, tzinfo=UTC)
WHEN = {"beach": datetime(2023, 7, 1, 10, tzinfo=UTC), "ski": datetime(2024, 1, 5, tzinfo=UTC)}
SECONDS = {"beach": 10.0, "ski": 60.0, "party": 6.0}


@pytest.fixture
def catalog(catalog_location: CatalogLocation) -> Iterator[Catalog]:
    """Three videos of three two-second segments; `party` has no recording time."""
    with Catalog.open(catalog_location, create=True) as made:
        for number, name in enumerate(SECONDS):
            _add(made, name, number)
        yield made


def _add(catalog: Catalog, name: str, number: int) -> None:
    with catalog.begin() as change:
        video = change.add_video(
            video_path=Path(f"/films/{name}/{name}.mp4"),
            fingerprint=name,
            size_bytes=1,
            mtime_ns=int(FILE_TIME.timestamp()) * 1_000_000_000,
            duration=SECONDS[name],
            fps=25.0,
            width=64,
            height=36,
            codec="h264",
            sampled_frames=6,
            sample_fps=1.0,
            recorded_at=WHEN.get(name),
        )
        change.add_segments(video.id, make_spans(3), unit_vectors(3, seed=number), SPACE)
        change.add_features(video.id, SPACE, "builtin:fast" if name == "ski" else "builtin")
        if name != "party":
            change.replace_cues(
                video.id, "speech", [Cue(Span(0, 1), "hi", "speech")], source_name="x"
            )
        if name == "party":
            change.replace_cues(video.id, "ocr", [Cue(Span(0, 1), "hi", "ocr")], source_name="x")
        if name == "ski":
            change.add_tags([Tag(video.id, "Snow", 0.9, Span(2, 4), "me", None, datetime.now(UTC))])


def left(catalog: Catalog, filters: str) -> dict[str, int]:
    """Return the number of segments of each video that pass the filters."""
    ids = allowed_segment_ids(catalog, parse_query(f"x {filters}"))
    assert ids is not None
    names = {
        segment.id: video.path.stem
        for video in catalog.videos()
        for segment in catalog.segments_of_video(video.id)
    }
    found = [names[id_] for id_ in ids.tolist()]
    assert ids.tolist() == sorted(set(ids.tolist()))
    return {name: found.count(name) for name in SECONDS if name in found}


ALL = {"beach": 3, "ski": 3, "party": 3}


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ("path:beach.mp4", {"beach": 3}),
        ("path:/films/ski path:party*", {"ski": 3, "party": 3}),
        ("path:nowhere", {}),
        ("-path:*/beach/*", {"ski": 3, "party": 3}),
        ("longer:10s", {"beach": 3, "ski": 3}),
        ("shorter:10s", {"party": 3}),
        ("-shorter:10s", {"beach": 3, "ski": 3}),
        ("at:0-2", {"beach": 1, "ski": 1, "party": 1}),
        ("at:1-3 path:/films/ski", {"ski": 2}),
        ("at:0-1 at:5-6 path:/films/ski", {"ski": 2}),
        ("-at:0-1 path:/films/ski", {"ski": 2}),
        ("tag:snow", {"ski": 1}),
        ("-tag:snow", {"beach": 3, "ski": 2, "party": 3}),
        ("-tag:unheard-of", ALL),
        ("has:tags", {"ski": 3}),
        ("has:speech", {"beach": 3, "ski": 3}),
        ("has:speech has:tags", {"ski": 3}),
        ("-has:speech", {"party": 3}),
        ("has:screen", {"party": 3}),
        ("has:subtitles", {}),
        ("-has:speech -path:/films/party", {}),
        ("model:builtin", ALL),
        ("model:builtin:fast", {"ski": 3}),
        ("-model:BUILTIN:*", {"beach": 3, "party": 3}),
        ("after:2024", {"ski": 3, "party": 3}),
        ("before:2024", {"beach": 3}),
        ("after:2024-01-06 before:2024-06-15", {}),
        ("after:2024-06-15T12:00Z", {"party": 3}),
        ("after:2024-06-15T12:00:01Z", {}),
        ("after:2023-07-01T10:00Z before:2023-07-01T10:01Z", {"beach": 3}),
        ("after:9999", {}),
        ("before:9999", ALL),
        ("after:0002", ALL),
        ("-after:2024", {"beach": 3}),
        ("-after:2024 -before:2023-08", {}),
    ],
)
def test_filters_select_segments(catalog: Catalog, filters: str, expected: dict[str, int]) -> None:
    assert left(catalog, filters) == expected


def test_without_filters_nothing_is_restricted(catalog: Catalog) -> None:
    assert allowed_segment_ids(catalog, parse_query("x")) is None


def test_unknown_names_are_reported_with_suggestions(catalog: Catalog) -> None:
    with pytest.raises(QueryError, match="did you mean 'Snow'"):
        allowed_segment_ids(catalog, parse_query("x tag:snov"))
    with pytest.raises(QueryError, match="try builtin:fast"):
        allowed_segment_ids(catalog, parse_query("x model:builtin:fats"))


def test_the_number_of_filters_is_limited(catalog: Catalog) -> None:
    many = " ".join(f"-at:{2 * n}-{2 * n + 1}" for n in range(64))
    assert left(catalog, many) == {}
    with pytest.raises(QueryError, match="64 filters"):
        parse_query(f"x {many} -at:1-2")


def test_the_recording_time_is_read_back(catalog: Catalog) -> None:
    known = {video.path.stem: video.recorded_at for video in catalog.videos()}
    assert known == {**WHEN, "party": None}
