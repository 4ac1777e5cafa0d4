"""Near-duplicates that are mirrored, rotated, in grayscale, or played at another speed.

Their frame features resemble those of the original, if less than those of a plain copy, so that the
most similar videos are candidates. Pixels alone decide.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from vsearch.copies.altered_matching import MAX_SPEED, find_altered_alignment
from vsearch.copies.duplicate_spans import (
    MIN_SHARED_SECONDS,
    create_duplicate_span,
    extend_span,
    is_full_copy,
)
from vsearch.copies.luma_matching import read_luma_clip
from vsearch.copies.overlap import MATCH_THRESHOLD, find_overlap
from vsearch.errors import MediaError
from vsearch.types import Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vsearch.copies.altered_matching import AlteredMatch
    from vsearch.copies.candidate_pairs import CandidatePair, SegmentMatch
    from vsearch.copies.duplicate_spans import DuplicateSpan, VideoPair
    from vsearch.copies.overlap import VideoOverlap
    from vsearch.types import Features

log = logging.getLogger(__name__)
MAX_SEEDS = 2  # segment matches of a pair that are decoded
MAX_PARTNERS = 2  # videos, the most similar ones, that may be altered copies of a video
MAX_CHECKS = 500  # comparisons of decoded frames
PROBE_SHARE = 0.9  # of the shorter video that is aligned at most, as ends may differ
MARGIN_SECONDS = 6.0  # searched before and after the slowest possible copy
MATCH_SHARE = 0.6  # of the similarity of aligned frames, above which others match as well


class AlteredDuplicateFinder:
    """Compares candidate pairs of one library that are not plain copies, one after the other."""

    def __init__(self, background_similarity: float) -> None:
        """Start a run; `background_similarity` is the mean cosine of unrelated segments."""
        self._background_similarity = background_similarity
        self._remaining_checks = MAX_CHECKS
        self._partner_counts: Counter[int] = Counter()  # pairs so far, by video id

    def find_shared(
        self, candidate_pair: CandidatePair, load_pair: Callable[[], VideoPair | None]
    ) -> Iterator[DuplicateSpan]:
        """Yield the shared part of two videos if the second one is an altered copy.

        Only the `MAX_PARTNERS` first pairs of either video are compared: nearly always, the
        original is the most similar video, and the number of comparisons then grows with the
        library, not with its square.

        Args:
            candidate_pair: The similar segments of the videos; most similar pairs must come first.
            load_pair: Returns the videos with their frame features; None if these are missing.

        Yields:
            At most one part.
        """
        video_ids = (candidate_pair.first_video_id, candidate_pair.second_video_id)
        earlier_count = min(self._partner_counts[video_id] for video_id in video_ids)
        self._partner_counts.update(video_ids)
        if earlier_count >= MAX_PARTNERS:
            return
        video_pair = load_pair()
        if video_pair is None:
            return
        segment_matches = sorted(
            candidate_pair.segment_matches, key=lambda match: -match.similarity
        )
        for segment_match in segment_matches[:MAX_SEEDS]:
            if self._remaining_checks == 0:
                return
            self._remaining_checks -= 1
            try:
                duplicate_span = self._match_altered(segment_match, video_pair)
            except MediaError as error:
                log.info("%s", error)
                return
            if duplicate_span is not None:
                yield duplicate_span
                return

    def _match_altered(
        self, segment_match: SegmentMatch, video_pair: VideoPair
    ) -> DuplicateSpan | None:
        """Return the part shared with an altered copy around two segments. Raises MediaError."""
        first_video, second_video = video_pair.first_video, video_pair.second_video
        probe_span = extend_span(segment_match.first_segment.span, first_video.duration)
        probe_span = shorten_span(probe_span, PROBE_SHARE * video_pair.shorter_duration)
        second_span = segment_match.second_segment.span
        copy_center = (second_span.start + second_span.end) / 2
        reach_seconds = probe_span.duration * MAX_SPEED / 2 + MARGIN_SECONDS
        copy_window = Span(
            max(0.0, copy_center - reach_seconds),
            min(second_video.duration, copy_center + reach_seconds),
        )
        first_lumas = read_luma_clip(first_video.path, probe_span)
        second_lumas = read_luma_clip(second_video.path, copy_window)
        altered_match = find_altered_alignment(
            first_lumas,
            probe_span,
            second_lumas,
            copy_window,
            expected_speeds=(first_video.duration / max(second_video.duration, 1e-6),),
        )
        if altered_match is None or not altered_match.is_copy:
            return None
        return self._extend_altered(segment_match, video_pair, probe_span, altered_match)

    def _extend_altered(
        self,
        segment_match: SegmentMatch,
        video_pair: VideoPair,
        probe_span: Span,
        altered_match: AlteredMatch,
    ) -> DuplicateSpan | None:
        """Extend an aligned part as far as the frames are as similar as in it."""
        alteration = altered_match.alteration
        shift_seconds = altered_match.copy_start - probe_span.start / alteration.speed

        def compute_overlap(first_frames: Features, threshold: float) -> VideoOverlap | None:
            return find_overlap(
                first_frames,
                (video_pair.first_video.duration, video_pair.second_video.duration),
                video_pair.second_frames,
                shift_seconds,
                self._background_similarity,
                speed=alteration.speed,
                match_threshold=threshold,
            )

        probe_overlap = compute_overlap(video_pair.first_frames.within(probe_span), -1.0)
        if probe_overlap is None:
            return None
        match_threshold = min(MATCH_THRESHOLD, MATCH_SHARE * probe_overlap.similarity)
        shared_overlap = compute_overlap(video_pair.first_frames, match_threshold)
        if shared_overlap is None or shared_overlap.first_span.duration < MIN_SHARED_SECONDS:
            return None
        if altered_match.is_still and not is_full_copy(video_pair, shared_overlap):
            return None  # a common title, or a static camera
        duplicate_span = create_duplicate_span(
            video_pair, shared_overlap, segment_match, is_verified=True
        )
        return None if duplicate_span is None else replace(duplicate_span, alteration=alteration)


def shorten_span(span: Span, max_seconds: float) -> Span:
    """Return the middle of a span."""
    trim_seconds = max(0.0, span.duration - max_seconds) / 2
    return Span(span.start + trim_seconds, span.end - trim_seconds)
