"""Photos taken within seconds of each other."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from vsearch.search.bursts import find_bursts
from vsearch.search.diversity import deduplicate_moments
from vsearch.types import Explanation, Moment, Span, Video

START = datetime(2024, 5, 17, 10, 30, tzinfo=UTC)


def photo(
    video_id: int, path: str, seconds: float | None = None, *, is_photo: bool = True
) -> Video:
    recorded_at = None if seconds is None else START + timedelta(seconds=seconds)
    return Video(
        video_id, Path(path), "aa", 1, 1, 0.04, 0.0, 64, 36, "jpeg", 1, None, None, recorded_at,
        is_photo=is_photo,
    )  # fmt: skip


def groups(*videos: Video) -> list[set[int]]:
    members: dict[int, set[int]] = {}
    for video_id, burst in find_bursts(videos).items():
        members.setdefault(burst, set()).add(video_id)
    return sorted(members.values(), key=min)


def test_photos_within_seconds_are_a_burst_of_any_length() -> None:
    burst = [photo(i, f"/a/{i}.jpg", 2.5 * i) for i in range(1, 6)]
    later = [photo(8, "/a/8.jpg", 60), photo(7, "/a/7.jpg", 62.9), photo(9, "/a/9.jpg", 66)]
    assert groups(*later, *burst) == [{1, 2, 3, 4, 5}, {7, 8}]


def test_bursts_are_in_one_folder() -> None:
    assert groups(photo(1, "/a/1.jpg", 0), photo(2, "/b/2.jpg", 1)) == []


def test_names_count_where_dates_are_missing() -> None:
    undated = [photo(1, "/a/IMG_9.jpg"), photo(2, "/a/IMG_10.jpg"), photo(3, "/a/IMG_12.jpg")]
    assert groups(*undated, photo(4, "/a/scan.jpg"), photo(5, "/a/IMG-11.jpg")) == [{1, 2}]
    assert groups(photo(1, "/a/beach.jpg"), photo(2, "/a/boat.jpg")) == []


def test_a_live_photo_and_its_video_belong_together() -> None:
    pair = photo(1, "/a/IMG_1.HEIC", 0), photo(2, "/a/IMG_1.MOV", 0.5, is_photo=False)
    assert groups(*pair) == [{1, 2}]
    assert groups(photo(1, "/a/IMG_1.HEIC"), photo(2, "/a/IMG_1.MOV", is_photo=False)) == [{1, 2}]


def test_videos_alone_are_not_a_burst() -> None:
    videos = [photo(i, f"/a/{i}.mp4", i, is_photo=False) for i in range(1, 4)]
    assert groups(*videos) == []


def test_photos_of_a_burst_need_to_be_less_similar() -> None:
    burst = [photo(i, f"/a/{i}.jpg", i) for i in range(1, 4)]
    moments = [Moment(video, Span(0, 0.04), 1.0, None, Explanation(0, 1.0, 1)) for video in burst]
    degrees = np.radians([0, 40, -60])  # cosines to the first: 0.77 and 0.5
    vectors = np.stack([np.cos(degrees), np.sin(degrees)], axis=1).astype(np.float32)
    [first, third] = deduplicate_moments(moments, vectors)
    assert (first.video.id, first.explanation.duplicates_hidden, third.video.id) == (1, 1, 3)
    apart = [
        Moment(photo(i, f"/{i}/a.jpg", i), Span(0, 0.04), 1.0, None, Explanation(0, 1.0, 1))
        for i in range(1, 4)
    ]
    assert len(deduplicate_moments(apart, vectors)) == 3
