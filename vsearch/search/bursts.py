"""Find bursts among results: photos taken within seconds of each other in one folder."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from vsearch.types import Video

MAX_BURST_GAP_SECONDS = 3.0  # from one photo of a burst to the next
_NUMBER_RE = re.compile(r"(.*?)(\d{1,9})(\D*)", re.DOTALL | re.ASCII)


def find_bursts(videos: Iterable[Video]) -> Mapping[int, int]:
    """Assign photos of one folder to bursts.

    Consecutive photos of a burst are recorded at most 3 seconds apart or, where a date is missing,
    their names are numbered consecutively. A video with the name of a photo, as of a Live Photo,
    belongs to the photo.

    Args:
        videos: Videos and photos.

    Returns:
        Number of the burst by id of the photo or video, for those that belong to one.
    """
    ordered_videos = sorted({video.id: video for video in videos}.values(), key=_get_sort_key)
    burst_numbers: dict[int, int] = {}
    for burst_number, (before, after) in enumerate(pairwise(ordered_videos)):
        if _are_in_burst(before, after):
            burst_numbers.setdefault(before.id, burst_number)
            burst_numbers[after.id] = burst_numbers[before.id]
    return burst_numbers


def _get_sort_key(video: Video) -> tuple[str, bool, float, tuple[str, int, str], int]:
    recorded_seconds = video.recorded_at.timestamp() if video.recorded_at else 0.0
    return (
        str(video.path.parent),
        video.recorded_at is None,
        recorded_seconds,
        _split_number(video.path.stem),
        video.id,
    )


def _split_number(stem: str) -> tuple[str, int, str]:
    """Split a name around its last number; -1 if it has none."""
    number_match = _NUMBER_RE.fullmatch(stem)
    if number_match is None:
        return stem, -1, ""
    return number_match[1], int(number_match[2]), number_match[3]


def _are_in_burst(before: Video, after: Video) -> bool:
    if before.path.parent != after.path.parent or not (before.is_photo or after.is_photo):
        return False
    if before.recorded_at is not None and after.recorded_at is not None:
        gap_seconds = (after.recorded_at - before.recorded_at).total_seconds()
        return gap_seconds <= MAX_BURST_GAP_SECONDS
    first_prefix, first_number, first_end = _split_number(before.path.stem)
    next_prefix, next_number, next_end = _split_number(after.path.stem)
    if (first_prefix, first_end) != (next_prefix, next_end):
        return False
    return next_number - first_number in (0, 1)
