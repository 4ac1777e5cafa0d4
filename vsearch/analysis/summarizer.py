"""Summaries of indexed videos, and of files that are decoded on the fly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vsearch.analysis.summaries import SummaryInput, SummaryLength, SummaryResult, build_summary
from vsearch.buckets.bucket_path import to_absolute, to_path
from vsearch.catalog.path_matching import videos_matching
from vsearch.content_match import is_unchanged
from vsearch.errors import NoTextError, QueryError, UnreadableError
from vsearch.indexing.pipeline import process_video
from vsearch.media.file_status import is_missing, locate_videos
from vsearch.media.urls import describe_url
from vsearch.query.parser import text_query

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from vsearch.active_model import ActiveModel
    from vsearch.catalog.catalog import Catalog
    from vsearch.indexing.pipeline import Pipeline
    from vsearch.protocols import Encoder
    from vsearch.storage.feature_store import FeatureStore
    from vsearch.types import Vector, Video


def summarize_video(
    video_path: str | os.PathLike[str],
    requested_length: SummaryLength | str | float,
    query_text: str | None,
    catalog: Catalog,
    feature_store: FeatureStore,
    active_model: ActiveModel,
    create_pipeline: Callable[[], Pipeline],
) -> SummaryResult:
    """Summarize a video. See `Library.summarize`.

    Args:
        video_path: A video of the library, or a file.
        requested_length: Longest summary.
        query_text: Query, or None.
        catalog: Catalog of the library.
        feature_store: Stored frame features of the library.
        active_model: Provides the encoder.
        create_pipeline: Creates the pipeline that decodes a file, if needed.

    Returns:
        The summary.

    Raises:
        QueryError: If the length or the query is invalid, or the name matches several videos.
        NoTextError: If there is a query and the model does not encode text.
        UnreadableError: If there is no such video.
    """
    summary_length = SummaryLength.from_value(requested_length)
    term_text = None if query_text is None else text_query(query_text).terms[0].value
    summary_input = _load_or_decode(str(video_path), catalog, feature_store, create_pipeline)
    query_vector = None
    if term_text is not None:
        encoder = active_model.for_space(summary_input.frame_features.space, catalog)
        query_vector = _encode_query(term_text, encoder)
    return build_summary(summary_input, summary_length, query_vector)


def _load_or_decode(
    video_name: str,
    catalog: Catalog,
    feature_store: FeatureStore,
    create_pipeline: Callable[[], Pipeline],
) -> SummaryInput:
    """Load a stored video, or decode it if it is not indexed or its file has changed."""
    matched_videos = locate_videos(videos_matching(catalog, [video_name]))
    space = catalog.space()
    if len(matched_videos) > 1:
        raise QueryError(
            f"{video_name}: matches {len(matched_videos)} videos of the library; choose one"
        )
    if matched_videos and space is not None and _is_unchanged(matched_videos[0], catalog):
        video = matched_videos[0]
        segment_spans = [segment.span for segment in catalog.segments_of_video(video.id)]
        return SummaryInput(
            video.path, feature_store.load(video.id, space), segment_spans, video.duration
        )
    video_path = (
        matched_videos[0].path if matched_videos else to_absolute(to_path(video_name).expanduser())
    )
    if not video_path.exists():
        raise UnreadableError(
            describe_url(video_name)
            or f"{video_name}: no such file, and no such video in the library; see `vsearch list`"
        )
    processed_video = process_video(video_path, create_pipeline())
    return SummaryInput(
        video_path,
        processed_video.features,
        processed_video.segment_spans,
        processed_video.end_time,
    )


def _is_unchanged(video: Video, catalog: Catalog) -> bool:
    """Return whether the file is as indexed; a missing file counts as unchanged."""
    return is_missing(video.path) or is_unchanged(video, catalog)


def _encode_query(query_text: str, encoder: Encoder) -> Vector:
    """Encode a query text, float32 (D,)."""
    if not encoder.space.supports_text:
        raise NoTextError(
            f"{encoder.space.name} encodes images only, not text, so it cannot search for "
            f"{query_text!r}: omit the query, or use a model that encodes text"
        )
    query_vector: Vector = encoder.encode_texts([query_text])[0]
    return query_vector
