"""Copy detection: locate the video of the library that a query clip was cut from.

Works from coarse to fine: segment vectors select candidate videos, frame features give candidate
offsets, and a pixel-level comparison of small luma images confirms a copy and its exact offset.
Without the original files, the frame features decide alone. If no plain copy is found, the clip may
be mirrored, rotated, in grayscale, or played at another speed.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from vsearch.copies.alterations import UNALTERED, Alteration
from vsearch.copies.clip_alignment import ClipOffset, find_offsets, median_frame_spacing
from vsearch.errors import MediaError
from vsearch.media.file_status import locate_videos
from vsearch.search.stored_frames import load_frames
from vsearch.types import Explanation, Moment, Span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.catalog.catalog import Catalog
    from vsearch.copies.luma_matching import AlignmentMatch, LumaClip
    from vsearch.search.live_index import IndexSnapshot
    from vsearch.search.query_clips import QueryClip
    from vsearch.storage.feature_store import FeatureStore
    from vsearch.types import Features, Ids, Matrix, Video

log = logging.getLogger(__name__)
NEIGHBORS_PER_SEGMENT = 48  # nearest segments fetched per segment of the clip
MAX_QUERY_SEGMENTS = 12  # a longer clip is subsampled
MAX_CANDIDATE_VIDEOS = 8  # videos whose frame features are compared
MAX_VERIFIED_VIDEOS = 4  # videos whose pixels are compared
SPARSE_SPACING_SECONDS = 2.0  # frame spacing from which on frames locate a clip only roughly
MAX_OFFSETS_PER_VIDEO = 3  # offsets tried per video with such sparse frames
# relative similarities: 0 is the mean similarity of any two frames, 1 is identity
MIN_COPY_SIMILARITY = 0.35  # below it, a video is not a candidate
CERTAIN_SIMILARITY = 0.65  # from it on, a copy is accepted without pixels
TIE_MARGIN = 0.1  # a further copy may be this much less similar than the first
MIN_OVERLAP_SHARE = 0.9  # share of the shorter one of clip and video that must overlap
SEARCH_MARGIN_SECONDS = 4.0  # searched around a frame offset; more where frames are sparse
WIDE_MARGIN_SECONDS = 30.0  # second attempt, e.g. for a static camera
MAX_WIDE_SEARCHES = 2  # candidates that get this second attempt
SAME_SCENE_CORRELATION = 0.8  # mean pixel correlation of two images of one scene
VERIFY_SECONDS = 16.0  # length of the part of the clip that is compared by pixels
MAX_MATCH_CERTAINTY = 2.0  # image and motion correlation of identical clips
MAX_ALTERED_VIDEOS = 2  # videos of which the clip may be an altered copy
ALTERED_PROBE_SHARE = 0.9  # of the clip that is compared at most, as its ends may differ
ALTERED_PROBE_SECONDS = 8.0  # length of the part of the clip that is compared for it
ALTERED_MARGIN_SECONDS = 12.0  # searched around a frame offset, which altered frames blur
TRIM_SECONDS = 0.15  # cut off its end, as the source may end slightly earlier


@dataclass(frozen=True, slots=True)
class CopyMatch:
    """A span of a library video that the query clip is a copy of."""

    video: Video
    span: Span
    mean_similarity: float  # mean cosine of aligned frames
    match_certainty: float  # image plus motion correlation; 0 without pixel comparison
    alteration: Alteration = UNALTERED  # of the query clip, relative to the video


@dataclass(frozen=True, slots=True)
class _CopyCandidate:
    """A possible offset of the clip in a video."""

    video: Video
    offset: ClipOffset
    relative_similarity: float  # 0: mean similarity of any two frames, 1: identity
    frame_spacing: float  # seconds between stored frames of the video

    @property
    def is_certain(self) -> bool:
        """Return True if the frames alone are sufficient evidence."""
        return self.relative_similarity >= CERTAIN_SIMILARITY


class CopyFinder:
    """Copy search in one snapshot of a library."""

    def __init__(
        self,
        catalog: Catalog,
        feature_store: FeatureStore,
        index_snapshot: IndexSnapshot,
        sample_vectors: Matrix,
        allowed_ids: Ids | None,
    ) -> None:
        """Search the segments `allowed_ids` (None: all).

        Args:
            catalog: The catalog of the library.
            feature_store: Its stored frame features.
            index_snapshot: The index that is searched.
            sample_vectors: Segments sampled evenly from the library, float32 (M, D).
            allowed_ids: Ascending ids of the segments to search; None: all.
        """
        self._catalog, self._feature_store = catalog, feature_store
        self._index_snapshot = index_snapshot
        self._sample_vectors, self._allowed_ids = sample_vectors, allowed_ids

    def find_copies(self, query_clip: QueryClip) -> list[CopyMatch]:
        """Return the sources of the clip, the most certain first; usually none or one.

        Args:
            query_clip: The clip; its segment and frame vectors must be in the index's space. A clip
                of an indexed video is its own source.
        """
        if query_clip.library_video is not None:
            itself = CopyMatch(
                query_clip.library_video, query_clip.clip_span, 1.0, MAX_MATCH_CERTAINTY
            )
            return list(filter(self._is_allowed, [itself]))
        candidates = self._find_copy_candidates(query_clip)
        verifier = _PixelVerifier(query_clip, SEARCH_MARGIN_SECONDS)
        copy_matches = verifier.verify_candidates(_limit_videos(candidates, MAX_VERIFIED_VIDEOS))
        if not copy_matches:  # e.g. a static camera, where frames do not determine the offset
            likely_candidates = [
                candidate
                for candidate in candidates
                if candidate.is_certain or candidate in verifier.similar_candidates
            ]
            copy_matches = replace(verifier, margin_seconds=WIDE_MARGIN_SECONDS).verify_candidates(
                likely_candidates[:MAX_WIDE_SEARCHES]
            )
        if not copy_matches:
            copy_matches = _find_altered_copies(query_clip, candidates)
        return sorted(
            filter(self._is_allowed, copy_matches),
            key=lambda copy_match: -copy_match.match_certainty,
        )

    def _is_allowed(self, copy_match: CopyMatch) -> bool:
        """Return True if the copy overlaps an allowed segment of its video."""
        if self._allowed_ids is None:
            return True
        segments = self._catalog.segments_of_video(copy_match.video.id)
        overlapping_ids = [
            segment.id for segment in segments if segment.span.overlaps(copy_match.span)
        ]
        return bool(np.isin(overlapping_ids, self._allowed_ids).any())

    def _find_copy_candidates(self, query_clip: QueryClip) -> list[_CopyCandidate]:
        """Return candidate offsets by frame features, best first; usually one per video."""
        background_similarity = (
            float((self._sample_vectors @ query_clip.frame_features.frame_vectors.T).mean())
            if len(self._sample_vectors)
            else 0.0
        )
        candidates = []
        for video in self._find_candidate_videos(query_clip):
            frame_features = self._load_frames(video)
            for offset in (
                _find_offsets(query_clip, video, frame_features) if frame_features else ()
            ):
                relative_similarity = (offset.mean_similarity - background_similarity) / max(
                    1 - background_similarity, 1e-6
                )
                if frame_features and relative_similarity >= MIN_COPY_SIMILARITY:
                    candidates.append(
                        _CopyCandidate(
                            video, offset, relative_similarity, median_frame_spacing(frame_features)
                        )
                    )
        return sorted(candidates, key=lambda candidate: -candidate.offset.score)

    def _find_candidate_videos(self, query_clip: QueryClip) -> list[Video]:
        """Return the videos whose segments are most similar to those of the clip."""
        query_vectors = query_clip.segment_vectors[
            :: -(-len(query_clip.segment_vectors) // MAX_QUERY_SEGMENTS)
        ]  # (S, D)
        neighbor_ids = [
            self._index_snapshot.vector_index.search(
                query_vector, NEIGHBORS_PER_SEGMENT, self._allowed_ids
            )[0]
            for query_vector in query_vectors
        ]
        candidate_ids = np.unique(np.concatenate(neighbor_ids))
        video_scores = {
            segments[0].video_id: float((query_vectors @ segment_vectors.T).max(axis=1).mean())
            for segments, segment_vectors in self._catalog.iter_videos_with_vectors(
                candidate_ids, self._index_snapshot.space
            )
        }
        best_video_ids = sorted(video_scores, key=lambda video_id: -video_scores[video_id])[
            :MAX_CANDIDATE_VIDEOS
        ]
        videos_by_id = self._catalog.videos_by_id(best_video_ids)
        return locate_videos(
            videos_by_id[video_id] for video_id in best_video_ids if video_id in videos_by_id
        )

    def _load_frames(self, video: Video) -> Features | None:
        """Return the stored frame features of a video; None if they are missing or damaged."""
        return load_frames(self._catalog, self._feature_store, video.id, self._index_snapshot.space)


@dataclass(frozen=True, slots=True)
class _PixelVerifier:
    """Pixel-level comparison of a clip with candidate videos."""

    query_clip: QueryClip
    margin_seconds: float  # searched before and after a candidate offset
    luma_by_span: dict[Span, LumaClip] = field(default_factory=dict)  # decoded parts of the clip
    # rejected candidates that show the same scene, perhaps at another offset
    similar_candidates: list[_CopyCandidate] = field(default_factory=list)

    def verify_candidates(self, candidates: Sequence[_CopyCandidate]) -> list[CopyMatch]:
        """Return the confirmed copies, one per video; after the first, try only ties with it."""
        copy_matches: list[CopyMatch] = []
        min_similarity = -1.0
        for candidate in candidates:
            if candidate.relative_similarity < min_similarity or any(
                copy_match.video == candidate.video for copy_match in copy_matches
            ):
                continue
            copy_match = self._verify_candidate(candidate)
            if copy_match is not None:
                copy_matches.append(copy_match)
                min_similarity = max(min_similarity, candidate.relative_similarity - TIE_MARGIN)
        return copy_matches

    def _verify_candidate(self, candidate: _CopyCandidate) -> CopyMatch | None:
        """Return the copy if pixels confirm it, or, if a file cannot be read, if frames do."""
        clip_part = _select_verified_span(self.query_clip, candidate)
        try:
            alignment_match = self._align_pixels(clip_part, candidate)
        except MediaError as error:
            log.info("%s", error)
            return (
                _build_copy_match(self.query_clip, candidate, candidate.offset.start_seconds, 0.0)
                if candidate.is_certain
                else None
            )
        if alignment_match is None or not alignment_match.is_copy:
            if (
                alignment_match is not None
                and alignment_match.image_correlation >= SAME_SCENE_CORRELATION
            ):
                self.similar_candidates.append(candidate)
            return None
        start_time = alignment_match.source_start - (
            clip_part.start - self.query_clip.clip_span.start
        )
        return _build_copy_match(
            self.query_clip,
            candidate,
            start_time,
            alignment_match.image_correlation + alignment_match.motion_correlation,
        )

    def _align_pixels(self, clip_part: Span, candidate: _CopyCandidate) -> AlignmentMatch | None:
        """Align a part of the clip with the video around the offset. Raises MediaError."""
        # deferred: a text query needs no decoder
        from vsearch.copies.luma_matching import find_alignment, read_luma_clip

        video_end = candidate.video.duration
        start_time = (
            candidate.offset.start_seconds + clip_part.start - self.query_clip.clip_span.start
        )
        # the offset may be wrong by a frame in either direction
        margin_seconds = max(self.margin_seconds, 2 * candidate.frame_spacing)
        search_window = Span(
            min(max(0.0, start_time - margin_seconds), video_end),
            min(start_time + clip_part.duration + margin_seconds, video_end),
        )
        if clip_part not in self.luma_by_span:
            self.luma_by_span[clip_part] = read_luma_clip(self.query_clip.video_path, clip_part)
        shortened_part = Span(
            clip_part.start, clip_part.start + min(clip_part.duration, search_window.duration)
        )
        return find_alignment(
            self.luma_by_span[clip_part],
            shortened_part,
            read_luma_clip(candidate.video.path, search_window),
            search_window,
        )


def _find_altered_copies(
    query_clip: QueryClip, candidates: Sequence[_CopyCandidate]
) -> list[CopyMatch]:
    """Return the source of an altered clip, if pixels confirm one of the most likely videos."""
    best_by_video = {candidate.video.id: candidate for candidate in reversed(candidates)}
    best_candidates = [c for c in candidates if best_by_video[c.video.id] is c]
    for candidate in best_candidates[:MAX_ALTERED_VIDEOS]:
        try:
            copy_match = _match_altered_clip(query_clip, candidate)
        except MediaError as error:
            log.info("%s", error)
            continue
        if copy_match is not None:
            return [copy_match]
    return []


def _match_altered_clip(query_clip: QueryClip, candidate: _CopyCandidate) -> CopyMatch | None:
    """Align the middle of the clip with a video, whatever its alteration. Raises MediaError."""
    # deferred: a text query needs no decoder
    from vsearch.copies.altered_matching import MAX_SPEED, find_altered_alignment
    from vsearch.copies.luma_matching import read_luma_clip

    clip_span, video = query_clip.clip_span, candidate.video
    probe_seconds = min(
        ALTERED_PROBE_SECONDS, ALTERED_PROBE_SHARE * min(clip_span.duration, video.duration)
    )
    clip_center = (clip_span.start + clip_span.end) / 2
    probe_span = Span(clip_center - probe_seconds / 2, clip_center + probe_seconds / 2)
    video_center = candidate.offset.start_seconds + clip_center - clip_span.start
    reach_seconds = probe_seconds * MAX_SPEED / 2 + ALTERED_MARGIN_SECONDS
    video_window = Span(
        max(0.0, min(video_center, video.duration) - reach_seconds),
        min(video.duration, max(video_center, 0.0) + reach_seconds),
    )
    altered_match = find_altered_alignment(
        read_luma_clip(query_clip.video_path, probe_span),
        probe_span,
        read_luma_clip(video.path, video_window),
        video_window,
        expected_speeds=(clip_span.duration / max(video.duration, 1e-6),),
    )
    if altered_match is None or not altered_match.is_copy or altered_match.is_still:
        return None
    speed = altered_match.alteration.speed  # of the video, relative to the clip
    start_time = altered_match.copy_start - (probe_span.start - clip_span.start) / speed
    return CopyMatch(
        video,
        Span(
            min(max(0.0, start_time), video.duration),
            min(max(0.0, start_time + clip_span.duration / speed), video.duration),
        ),
        candidate.offset.mean_similarity,
        altered_match.total_correlation,
        altered_match.alteration.invert(),
    )


def merge_copies(
    copy_matches: Sequence[CopyMatch], moments: Sequence[Moment], k: int, per_video: int | None
) -> list[Moment]:
    """Put copies before other moments and drop moments that duplicate a copy.

    Args:
        copy_matches: Copies, best first.
        moments: Other moments, best first.
        k: Maximum number of moments to return.
        per_video: Maximum number of moments per video; None: no limit.

    Returns:
        At most `k` moments. A copy scores at least as high as the best other moment.
    """
    other_moments = [
        moment
        for moment in moments
        if not any(_is_same_stretch(moment, copy_match) for copy_match in copy_matches)
    ]
    best_score = other_moments[0].score if other_moments else -1.0
    copy_moments = [
        Moment(
            copy_match.video,
            copy_match.span,
            max(copy_match.mean_similarity, best_score),
            None,
            Explanation(
                (copy_match.span.start + copy_match.span.end) / 2,
                copy_match.mean_similarity,
                1,
                is_copy=True,
                copy_alteration=copy_match.alteration.describe(),
            ),
        )
        for copy_match in copy_matches
    ]
    selected_moments: list[Moment] = []
    for moment in [*copy_moments, *other_moments]:
        video_count = sum(
            selected_moment.video.id == moment.video.id for selected_moment in selected_moments
        )
        if per_video is None or video_count < per_video:
            selected_moments.append(moment)
    return selected_moments[:k]


def _is_same_stretch(moment: Moment, copy_match: CopyMatch) -> bool:
    """Return True if moment and copy share over half of the shorter one."""
    shared_start = max(moment.span.start, copy_match.span.start)
    shared_seconds = min(moment.span.end, copy_match.span.end) - shared_start
    shorter_duration = min(moment.span.duration, copy_match.span.duration)
    return moment.video.id == copy_match.video.id and shared_seconds > shorter_duration / 2


def _find_offsets(
    query_clip: QueryClip, video: Video, frame_features: Features
) -> list[ClipOffset]:
    """Return the best offsets of the clip in the stored frames of a video."""
    min_overlap = MIN_OVERLAP_SHARE * min(query_clip.clip_span.duration, video.duration)
    max_offsets = (
        MAX_OFFSETS_PER_VIDEO
        if median_frame_spacing(frame_features) >= SPARSE_SPACING_SECONDS
        else 1
    )
    return find_offsets(
        query_clip.frame_features,
        query_clip.clip_span,
        frame_features,
        video.duration,
        min_overlap=min_overlap,
        max_offsets=max_offsets,
    )


def _limit_videos(candidates: Sequence[_CopyCandidate], max_videos: int) -> list[_CopyCandidate]:
    """Return the candidates that belong to the first `max_videos` videos."""
    video_ids = list(dict.fromkeys(candidate.video.id for candidate in candidates))[:max_videos]
    return [candidate for candidate in candidates if candidate.video.id in video_ids]


def _select_verified_span(query_clip: QueryClip, candidate: _CopyCandidate) -> Span:
    """Return the part of the clip to verify: the middle of its overlap with the video."""
    # start of the video on the time axis of the clip's file
    video_start = query_clip.clip_span.start - candidate.offset.start_seconds
    start_time = max(query_clip.clip_span.start, video_start)
    end_time = min(query_clip.clip_span.end, video_start + candidate.video.duration)
    trim_seconds = max(0.0, end_time - start_time - VERIFY_SECONDS) / 2
    return Span(
        start_time + trim_seconds,
        max(start_time + trim_seconds, end_time - trim_seconds - TRIM_SECONDS),
    )


def _build_copy_match(
    query_clip: QueryClip, candidate: _CopyCandidate, clip_start: float, match_certainty: float
) -> CopyMatch:
    """Return the match, limited to the duration of the video."""
    start_time = min(max(0.0, clip_start), candidate.video.duration)
    end_time = min(
        max(start_time, clip_start + query_clip.clip_span.duration), candidate.video.duration
    )
    return CopyMatch(
        candidate.video,
        Span(start_time, end_time),
        candidate.offset.mean_similarity,
        match_certainty,
    )
