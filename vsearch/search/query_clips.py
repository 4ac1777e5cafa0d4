"""Query clips: spans of video files, indexed or not, that are used as queries."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from vsearch.buckets.bucket_path import to_absolute, to_path
from vsearch.catalog.path_matching import videos_matching
from vsearch.errors import QueryError
from vsearch.types import Span

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vsearch.catalog.catalog import Catalog
    from vsearch.indexing.pipeline import Pipeline
    from vsearch.protocols import Encoder, Pooler
    from vsearch.storage.feature_store import FeatureStore
    from vsearch.types import Features, Matrix, Times, Vector, Video


@dataclass(frozen=True, slots=True)
class QueryClip:
    """A span of a video file used as a query, processed like an indexed video."""

    video_path: Path
    clip_span: Span  # seconds in the file
    frame_features: Features  # frames in the span; times are seconds in the file
    segment_spans: tuple[Span, ...]
    segment_vectors: Matrix  # float32 (S, D), one per segment
    library_video: Video | None = None  # the video itself, if it is indexed

    @property
    def mean_vector(self) -> Vector:
        """Mean of the segment vectors weighted by duration, float32 (D,) of unit length."""
        segment_durations = np.array([span.duration for span in self.segment_spans], np.float32)
        vector_sum: Vector = segment_durations @ self.segment_vectors
        vector_norm = float(np.linalg.norm(vector_sum))
        if vector_norm > 1e-6:
            vector_sum /= np.float32(vector_norm)
        else:  # opposite segments cancel out
            vector_sum = self.segment_vectors[0]
        return vector_sum


class QueryClipLoader:
    """Loads query clips of one library."""

    def __init__(
        self,
        catalog: Catalog,
        feature_store: FeatureStore,
        load_pooler: Callable[[], Pooler],
        load_pipeline: Callable[[], Pipeline],
    ) -> None:
        """Take the components of a library.

        Args:
            catalog: The catalog.
            feature_store: Stored frame features.
            load_pooler: Returns the pooler.
            load_pipeline: Returns the indexing pipeline, which decodes other files.
        """
        self._catalog, self._feature_store = catalog, feature_store
        self._load_pooler, self._load_pipeline = load_pooler, load_pipeline

    def load(self, named_path: Path, span: Span | None, encoder: Encoder) -> QueryClip:
        """Load a clip from the library, or decode it the way videos are indexed.

        The encoder is the snapshot's: the active model may be switched during the search. Raises
        MediaError, and QueryError if the video ends before the span.
        """
        # deferred: a text query needs no decoder
        from vsearch.indexing.pipeline import pool_segments, process_video

        video_path = to_path(os.path.expanduser(named_path))  # noqa: PTH111 - never raises
        known_video = self._catalog.video_at(to_absolute(video_path))
        if known_video is not None:
            frame_features = self._feature_store.load(known_video.id, encoder.space)
            end_time = known_video.duration
            known_segments = self._catalog.segments_of_video(known_video.id)
            cut_times = np.array([segment.span.start for segment in known_segments])
        else:
            pipeline = replace(self._load_pipeline(), encoder=encoder, pooler=self._load_pooler())
            processed_video = process_video(video_path, pipeline, span=span)
            frame_features, end_time = processed_video.features, processed_video.end_time
            cut_times = processed_video.shot_cuts
        if span is not None and span.start >= end_time:
            raise QueryError(f"{video_path} ends after {end_time:.1f} s, before the requested span")
        span = Span(span.start, min(span.end, end_time)) if span else Span(0.0, end_time)
        frame_features = frame_features.within(span)
        segment_spans = _segment_clip(frame_features.frame_times, cut_times, span)
        return QueryClip(
            video_path,
            span,
            frame_features,
            segment_spans,
            pool_segments(frame_features, segment_spans, self._load_pooler()),
            known_video,
        )

    def resolve_path(self, path: Path) -> Path:
        """Return the path of an indexed video with the same name or content, if there is one.

        An indexed video does not have to be decoded.
        """
        from vsearch.content_match import FileContent  # deferred: a text query needs none

        file_path = to_path(os.path.expanduser(path))  # noqa: PTH111 - never raises
        if not file_path.is_file():
            matching_videos = videos_matching(self._catalog, [str(path)])
            if len(matching_videos) > 1:
                raise QueryError(
                    f"{path}: matches {len(matching_videos)} videos; use the path of one"
                )
            return matching_videos[0].path if matching_videos else file_path
        if self._catalog.video_at(to_absolute(file_path)):
            return file_path
        twin_videos = FileContent(file_path, self._catalog).find_videos()
        return twin_videos[0].path if twin_videos else file_path


def _segment_clip(frame_times: Times, cut_times: Times, video_span: Span) -> tuple[Span, ...]:
    """Segment a span of a video as if it were a whole video."""
    from vsearch.media.segmentation import segment_video

    clip_spans = segment_video(
        frame_times - video_span.start, cut_times - video_span.start, video_span.duration
    )
    shifted_spans = (
        Span(clip_span.start + video_span.start, clip_span.end + video_span.start)
        for clip_span in clip_spans
    )
    return tuple(shifted_spans) or (video_span,)
