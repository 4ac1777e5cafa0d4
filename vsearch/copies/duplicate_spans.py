"""Parts that two videos share: their kind, and how they are reported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from vsearch.copies.alterations import UNALTERED, Alteration
from vsearch.copies.candidate_pairs import COMMON_AFTER_VIDEOS
from vsearch.types import Span

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.copies.candidate_pairs import SegmentMatch
    from vsearch.copies.overlap import VideoOverlap
    from vsearch.types import Features, Video

DuplicateKind: TypeAlias = Literal["exact", "near", "part"]
MIN_SHARED_SECONDS = 2.5
FULL_COPY_SHARE = 0.85  # share of the longer video above which the videos are the same
DURATION_TOLERANCE_SECONDS = 0.5  # by which the duration of a full copy may differ
VERIFY_SECONDS = 8.0  # that are decoded and compared


@dataclass(frozen=True, slots=True)
class DuplicateSpan:
    """A part that two videos share."""

    kind: DuplicateKind  # "exact": equal files; "near": the same video; "part": a shared part
    first_path: Path
    first_span: Span
    second_path: Path
    second_span: Span
    similarity: float  # of the frames, 1 for identical ones
    is_verified: bool  # by decoding both files, not only by stored features
    alteration: Alteration = UNALTERED  # of the second video, relative to the first


@dataclass(frozen=True, slots=True)
class VideoPair:
    """Two videos and their frame features."""

    first_video: Video
    second_video: Video
    first_frames: Features
    second_frames: Features

    @property
    def shorter_duration(self) -> float:
        """Duration of the shorter video in seconds."""
        return min(self.first_video.duration, self.second_video.duration)


def create_exact_duplicate(file_path: Path, video: Video) -> DuplicateSpan:
    """Return the duplicate of a video by a file with the same content."""
    whole_span = Span(0, video.duration)
    return DuplicateSpan(
        "exact", file_path, whole_span, video.path, whole_span, 1.0, is_verified=True
    )


def create_duplicate_span(
    video_pair: VideoPair,
    shared_overlap: VideoOverlap,
    segment_match: SegmentMatch,
    *,
    is_verified: bool,
) -> DuplicateSpan | None:
    """Return the result, or None for a short part that many videos share."""
    duplicate_kind = _classify_overlap(video_pair, shared_overlap)
    if (
        segment_match.shared_by_count >= COMMON_AFTER_VIDEOS
        and shared_overlap.first_span.duration < video_pair.shorter_duration / 2
    ):
        return None
    second_span = shared_overlap.map_to_second(video_pair.second_video.duration)
    return DuplicateSpan(
        duplicate_kind,
        video_pair.first_video.path,
        shared_overlap.first_span,
        video_pair.second_video.path,
        second_span,
        shared_overlap.similarity,
        is_verified,
    )


def _classify_overlap(video_pair: VideoPair, shared_overlap: VideoOverlap) -> DuplicateKind:
    second_duration = video_pair.second_video.duration * shared_overlap.speed
    longer_duration = max(video_pair.first_video.duration, second_duration)
    is_near = shared_overlap.first_span.duration >= FULL_COPY_SHARE * longer_duration
    return "near" if is_near else "part"


def is_full_copy(video_pair: VideoPair, shared_overlap: VideoOverlap) -> bool:
    """Return whether the videos are the same from start to end."""
    duration_difference = abs(video_pair.first_video.duration - video_pair.second_video.duration)
    return (
        _classify_overlap(video_pair, shared_overlap) == "near"
        and duration_difference <= DURATION_TOLERANCE_SECONDS
    )


def extend_span(span: Span, video_end: float) -> Span:
    """Extend a span to at least `VERIFY_SECONDS`, within the video."""
    extra_seconds = max(0.0, VERIFY_SECONDS - span.duration) / 2
    start_time = max(0.0, min(span.start - extra_seconds, video_end - VERIFY_SECONDS))
    return Span(
        start_time, min(video_end, max(span.end + extra_seconds, start_time + VERIFY_SECONDS))
    )
