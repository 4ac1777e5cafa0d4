"""Near-duplicate detection: scaled, cropped, shortened or embedded copies of videos.

Similar segments yield candidate pairs, stored frame features yield the time shift, and small luma
frames of both files, if available, verify the result. Pairs that are not plain copies may be
altered ones: mirrored, rotated, in grayscale, or played at another speed.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from vsearch.copies.alterations import UNALTERED, Alteration
from vsearch.copies.altered_duplicates import AlteredDuplicateFinder
from vsearch.copies.candidate_pairs import (
    MIN_SIMILARITY,
    estimate_background_similarity,
    find_candidate_pairs,
)
from vsearch.copies.clip_alignment import find_offsets
from vsearch.copies.duplicate_spans import (
    FULL_COPY_SHARE,
    MIN_SHARED_SECONDS,
    VERIFY_SECONDS,
    DuplicateSpan,
    VideoPair,
    create_duplicate_span,
    create_exact_duplicate,
    extend_span,
    is_full_copy,
)
from vsearch.copies.luma_matching import MIN_COPY_CORRELATION, find_alignment, read_luma_clip
from vsearch.copies.overlap import VideoOverlap, find_overlap
from vsearch.errors import DamagedLibraryError, MediaError
from vsearch.types import Span

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vsearch.catalog.catalog import Catalog
    from vsearch.copies.candidate_pairs import CandidatePair, SegmentMatch
    from vsearch.copies.luma_matching import AlignmentMatch
    from vsearch.storage.feature_store import FeatureStore
    from vsearch.types import Features, Matrix, Segment, Space, Video

log = logging.getLogger(__name__)
MAX_SEEDS = 3  # segment matches of a pair that are extended
FRAME_ONLY_SIMILARITY = 0.9  # similarity of frame features that suffices without verification
SEARCH_MARGIN_SECONDS = 3.0  # around the position that the frame features suggest
WIDE_SEARCH_MARGIN_SECONDS = 20.0  # if the scene matches but its motion does not
MAX_VERIFIED_PAIRS = 2_000  # beyond that, frame features alone decide
FEATURE_CACHE_BYTES = 256 << 20  # of frame features kept in memory


def find_duplicates(
    catalog: Catalog, feature_store: FeatureStore, space: Space, requested_videos: Sequence[Video]
) -> Iterator[DuplicateSpan]:
    """Find the parts that videos share with each other.

    Memory is linear in the library: the vectors of all segments, 4 D bytes each, are held.

    Args:
        catalog: The catalog of the library.
        feature_store: The stored frame features.
        space: The embedding space of the features.
        requested_videos: Only pairs that contain one of these are reported.

    Yields:
        Shared parts; pairs with the strongest evidence come first.
    """
    videos_by_id = {video.id: video for video in catalog.videos()}
    segments, segment_vectors = _load_segments(catalog, space)
    if not segments:
        return
    requested_ids = {video.id for video in requested_videos}
    finder = DuplicateFinder(feature_store, space, estimate_background_similarity(segment_vectors))
    unmatched_pairs = []
    for candidate_pair in find_candidate_pairs(segments, segment_vectors, requested_ids):
        first_video = videos_by_id.get(candidate_pair.first_video_id)
        second_video = videos_by_id.get(candidate_pair.second_video_id)
        if first_video is not None and second_video is not None:
            duplicate_spans = list(finder.find_shared(candidate_pair, first_video, second_video))
            yield from duplicate_spans
            if not duplicate_spans:
                unmatched_pairs.append(candidate_pair)
    for candidate_pair in sorted(unmatched_pairs, key=lambda pair: -pair.max_similarity):
        yield from finder.find_altered(
            candidate_pair,
            videos_by_id[candidate_pair.first_video_id],
            videos_by_id[candidate_pair.second_video_id],
        )


class DuplicateFinder:
    """Compares candidate pairs of one library, one after the other."""

    def __init__(
        self, feature_store: FeatureStore, space: Space, background_similarity: float
    ) -> None:
        """Start a run; `background_similarity` is the mean cosine of unrelated segments."""
        self._background_similarity = background_similarity
        self._remaining_checks = MAX_VERIFIED_PAIRS
        self._altered_finder = AlteredDuplicateFinder(background_similarity)
        self._feature_store, self._space = feature_store, space
        self._features_cache: OrderedDict[int, Features | None] = OrderedDict()  # LRU

    def find_shared(
        self, candidate_pair: CandidatePair, first_video: Video, second_video: Video
    ) -> Iterator[DuplicateSpan]:
        """Yield the parts that two videos share, each once.

        Args:
            candidate_pair: The similar segments of the videos.
            first_video: The video of `candidate_pair.first_video_id`.
            second_video: The video of `candidate_pair.second_video_id`.

        Yields:
            Shared parts; none if frame features are missing.
        """
        if first_video.fingerprint == second_video.fingerprint:
            yield create_exact_duplicate(first_video.path, second_video)
            return
        video_pair = self._load_pair(first_video, second_video)
        if video_pair is None:
            return
        duplicate_spans: list[DuplicateSpan] = []
        tried_count = 0
        for segment_match in candidate_pair.segment_matches:
            if tried_count == MAX_SEEDS:
                break
            if segment_match.similarity < MIN_SIMILARITY or any(
                _is_explained(known_span, segment_match) for known_span in duplicate_spans
            ):
                continue
            tried_count += 1
            duplicate_span = self._extend_match(segment_match, video_pair)
            if duplicate_span is not None and not any(
                _is_repeated(known_span, duplicate_span) for known_span in duplicate_spans
            ):
                duplicate_spans.append(duplicate_span)
                yield duplicate_span

    def find_altered(
        self, candidate_pair: CandidatePair, first_video: Video, second_video: Video
    ) -> Iterator[DuplicateSpan]:
        """Yield the part that two videos share if the second one is an altered copy.

        Args:
            candidate_pair: The similar segments of the videos; most similar pairs must come first.
            first_video: The video of `candidate_pair.first_video_id`.
            second_video: The video of `candidate_pair.second_video_id`.

        Yields:
            At most one part.
        """
        yield from self._altered_finder.find_shared(
            candidate_pair, lambda: self._load_pair(first_video, second_video)
        )

    def _extend_match(
        self, segment_match: SegmentMatch, video_pair: VideoPair
    ) -> DuplicateSpan | None:
        """Return the shared part around two segments; None if there is none or it is common."""
        probe_span = extend_span(segment_match.first_segment.span, video_pair.first_video.duration)
        min_overlap = 0.8 * min(probe_span.duration, video_pair.second_video.duration)
        candidate_offsets = find_offsets(
            video_pair.first_frames.within(probe_span),
            probe_span,
            video_pair.second_frames,
            video_pair.second_video.duration,
            min_overlap=min_overlap,
            max_offsets=1,
        )
        if not candidate_offsets:
            return None
        rough_overlap = self._compute_overlap(
            video_pair, candidate_offsets[0].start_seconds - probe_span.start
        )
        if rough_overlap is None or rough_overlap.first_span.duration < min(
            MIN_SHARED_SECONDS, FULL_COPY_SHARE * video_pair.shorter_duration
        ):
            return None
        if self._remaining_checks > 0:
            try:
                verified_overlap, alteration = self._verify_overlap(video_pair, rough_overlap)
            except MediaError as error:
                log.info("%s", error)
            else:
                if verified_overlap is None:
                    return None
                duplicate_span = create_duplicate_span(
                    video_pair, verified_overlap, segment_match, is_verified=True
                )
                return duplicate_span and replace(duplicate_span, alteration=alteration)
        if rough_overlap.similarity < FRAME_ONLY_SIMILARITY:
            return None
        return create_duplicate_span(video_pair, rough_overlap, segment_match, is_verified=False)

    def _compute_overlap(self, video_pair: VideoPair, shift_seconds: float) -> VideoOverlap | None:
        durations = (video_pair.first_video.duration, video_pair.second_video.duration)
        return find_overlap(
            video_pair.first_frames,
            durations,
            video_pair.second_frames,
            shift_seconds,
            self._background_similarity,
        )

    def _verify_overlap(
        self, video_pair: VideoPair, rough_overlap: VideoOverlap
    ) -> tuple[VideoOverlap | None, Alteration]:
        """Return the overlap refined by luma frames, or None if they differ. Raises MediaError."""
        self._remaining_checks -= 1
        probe_span = _find_distinctive_span(video_pair.first_frames, rough_overlap.first_span)
        expected_span = _shift_span(
            probe_span, rough_overlap.shift_seconds, video_pair.second_video.duration
        )
        for margin_seconds in (SEARCH_MARGIN_SECONDS, WIDE_SEARCH_MARGIN_SECONDS):
            luma_match = _match_lumas(video_pair, probe_span, expected_span, margin_seconds)
            if luma_match is None or luma_match.is_copy:
                break  # otherwise it is the same scene, perhaps at another time
        if luma_match is None or not luma_match.is_copy:
            return None, UNALTERED
        exact_overlap = self._compute_overlap(
            video_pair, luma_match.source_start - probe_span.start
        )
        if (
            exact_overlap is not None
            and luma_match.is_still
            and not is_full_copy(video_pair, exact_overlap)
        ):
            return None, UNALTERED  # a common title, or a static camera
        return exact_overlap, Alteration(is_grayscale=luma_match.differs_in_color)

    def _load_pair(self, first_video: Video, second_video: Video) -> VideoPair | None:
        """Return the videos with their frame features; None if these are missing."""
        first_frames = self._load_features(first_video.id)
        second_frames = self._load_features(second_video.id)
        if first_frames is None or second_frames is None:
            return None
        return VideoPair(first_video, second_video, first_frames, second_frames)

    def _load_features(self, video_id: int) -> Features | None:
        """Return the stored frame features of a video, cached; None if they are missing."""
        cache = self._features_cache
        if video_id not in cache:
            cache[video_id] = _load_features_or_none(self._feature_store, video_id, self._space)
            while len(cache) > 2 and sum(map(_count_bytes, cache.values())) > FEATURE_CACHE_BYTES:
                cache.popitem(last=False)
        cache.move_to_end(video_id)
        return cache[video_id]


def _find_distinctive_span(frame_features: Features, span: Span) -> Span:
    """Return the `VERIFY_SECONDS` of a span in which the frames change most."""
    span_frames = frame_features.within(span)
    start_times = span_frames.frame_times[span_frames.frame_times <= span.end - VERIFY_SECONDS]
    if not len(start_times):
        return span
    change_amounts = [
        float(
            span_frames.within(Span(window_start, window_start + VERIFY_SECONDS))
            .frame_vectors.var(axis=0)
            .sum()
        )
        for window_start in start_times
    ]
    best_start = max(span.start, float(start_times[int(np.argmax(change_amounts))]))
    return Span(best_start, best_start + VERIFY_SECONDS)


def _shift_span(span: Span, shift_seconds: float, video_end: float) -> Span:
    shifted_start = min(max(0.0, span.start + shift_seconds), video_end)
    return Span(shifted_start, min(max(shifted_start, span.end + shift_seconds), video_end))


def _match_lumas(
    video_pair: VideoPair, probe_span: Span, expected_span: Span, margin_seconds: float
) -> AlignmentMatch | None:
    """Locate a part of the first video near its expected position in the second.

    Returns None if the frames show something else. Raises MediaError.
    """
    first_window = _add_margin(probe_span, video_pair.first_video, margin_seconds)
    second_window = _add_margin(expected_span, video_pair.second_video, margin_seconds)
    first_lumas = read_luma_clip(video_pair.first_video.path, first_window)
    second_lumas = read_luma_clip(video_pair.second_video.path, second_window)
    luma_match = find_alignment(first_lumas, probe_span, second_lumas, second_window)
    if luma_match is None or not luma_match.is_copy:
        # Either video may be the cropped one, so try the other direction.
        reversed_match = find_alignment(second_lumas, expected_span, first_lumas, first_window)
        if reversed_match is not None and (luma_match is None or reversed_match.is_copy):
            luma_match = replace(
                reversed_match,
                source_start=probe_span.start + expected_span.start - reversed_match.source_start,
            )
    if luma_match is None or luma_match.image_correlation < MIN_COPY_CORRELATION:
        return None
    differs_in_color = first_lumas.lacks_colors_of(second_lumas) or second_lumas.lacks_colors_of(
        first_lumas
    )
    return replace(luma_match, differs_in_color=differs_in_color)


def _add_margin(span: Span, video: Video, margin_seconds: float) -> Span:
    return Span(
        max(0.0, span.start - margin_seconds), min(video.duration, span.end + margin_seconds)
    )


def _is_explained(known_span: DuplicateSpan, segment_match: SegmentMatch) -> bool:
    """Return whether both segments lie within a shared part that was already found."""
    span_pairs = (
        (known_span.first_span, segment_match.first_segment.span),
        (known_span.second_span, segment_match.second_segment.span),
    )
    return all(
        span.start <= (segment_span.start + segment_span.end) / 2 <= span.end
        for span, segment_span in span_pairs
    )


def _is_repeated(known_span: DuplicateSpan, new_span: DuplicateSpan) -> bool:
    """Return whether a shared part was already found."""
    return (
        known_span.first_span.iou(new_span.first_span) > 0
        and known_span.second_span.iou(new_span.second_span) > 0
    )


def _load_features_or_none(
    feature_store: FeatureStore, video_id: int, space: Space
) -> Features | None:
    try:
        return feature_store.load(video_id, space)
    except DamagedLibraryError as error:
        log.warning("%s", error)
        return None


def _count_bytes(frame_features: Features | None) -> int:
    if frame_features is None:
        return 0
    return frame_features.frame_vectors.nbytes + frame_features.frame_times.nbytes


def _load_segments(catalog: Catalog, space: Space) -> tuple[list[Segment], Matrix]:
    """Return all segments that have vectors, and their vectors, float32 (N, D)."""
    segment_ids, segment_vectors = catalog.vectors(None, space)
    segments_by_id = {
        segment.id: segment
        for video in catalog.videos()
        for segment in catalog.segments_of_video(video.id)
    }
    has_segment = np.array([int(segment_id) in segments_by_id for segment_id in segment_ids], bool)
    if not has_segment.all():  # avoids a copy
        segment_ids, segment_vectors = segment_ids[has_segment], segment_vectors[has_segment]
    return [segments_by_id[int(segment_id)] for segment_id in segment_ids], segment_vectors
